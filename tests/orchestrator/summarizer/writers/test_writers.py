"""One table in every form: the same numbers, and nothing that a name could break."""

from __future__ import annotations

import csv
import io
import math
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from pyarrow import parquet
from rich.console import Console

from orchestrator.summarizer.report import headline, make_results, write_report
from orchestrator.summarizer.report_results import ReportResults
from orchestrator.summarizer.results.found_search import FoundSearch
from orchestrator.summarizer.tables.model import ReportTable
from orchestrator.summarizer.tables.paper_layouts import chosen, paper_layouts
from orchestrator.summarizer.tables.paper_tables import paper_table
from orchestrator.summarizer.writers import frames, latex, markdown, terminal
from tests.orchestrator.made_records import make_trial
from tests.orchestrator.made_results import found, long_search, searched, sweep

ODD = (
    r'<script>alert("1")</script> & 100% $x_1^2$ #{a} ~\\end{tabular} | *b* `c` [d](e) --seed é 中 '
    + "\x1b[31m\n\r\x07"
)
TOOLS = [tool for tool in ("pdflatex", "tectonic") if shutil.which(tool)]


def odd_results() -> ReportResults:
    return make_results(
        found(
            searched(80.0, task=ODD, method=ODD, backbone=ODD, name=ODD, seed=1),
            searched(70.0, task=ODD, method="pt", backbone=ODD, name=ODD, seed=1),
            searched(None, task=ODD, method="pt", backbone=ODD, seed=2, trials=[odd_trial()]),
        )
    )


def odd_trial() -> object:
    return make_trial(1, [60.0], "failed", configuration={ODD: ODD, "prompt_lr": 0.3}, error=ODD)


def whole() -> ReportResults:
    return make_results(found(*sweep()), paper_layouts())


def cells(grid: ReportTable) -> list[str]:
    return [cell.text for _, _, cell in grid.cells()]


def check_syntax(text: str) -> None:
    """What a compiler would stumble over: open environments and braces, rows with another number of cells."""
    open_ones: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            open_ones.append(name)
        else:
            assert open_ones.pop() == name
    assert not open_ones
    plain = re.sub(r"\\[\\{}&%$#_]", lambda m: "\\\\" if m.group() == r"\\" else "", text)
    assert plain.count("{") == plain.count("}")
    for columns, body in re.findall(r"\\begin\{tabular\}\{([lr]+)\}(.*?)\\end\{tabular\}", plain, re.S):
        for row in body.split(r"\\"):
            row = re.sub(r"\\(toprule|midrule|bottomrule|cmidrule\(lr\)\{[\d-]+\})", "", row).strip()
            spans = [int(width) for width in re.findall(r"\\multicolumn\{(\d+)\}", row)]
            assert not row or row.count("&") + 1 + sum(width - 1 for width in spans) == len(columns), row
    assert not re.search(r"(?<!\\)[#^~]|(?<!\\)%(?! |\n)", plain.split(r"\begin{document}")[-1])


@pytest.mark.parametrize("results", [whole(), odd_results()], ids=["all tables", "odd names"])
def test_the_latex_is_sound(results: ReportResults) -> None:
    for grid in results.all_tables:
        check_syntax(latex.render(grid))


@pytest.mark.skipif(not TOOLS, reason="neither pdflatex nor tectonic is installed")
@pytest.mark.parametrize("results", [whole(), odd_results()], ids=["all tables", "odd names"])
def test_the_latex_compiles(results: ReportResults, tmp_path: Path) -> None:
    write_report(results, tmp_path, ["latex"])
    options = ["-interaction=nonstopmode", "-halt-on-error"] if TOOLS[0] == "pdflatex" else []
    run = subprocess.run([TOOLS[0], *options, "report.tex"], cwd=tmp_path, capture_output=True, timeout=300)
    assert run.returncode == 0, run.stdout.decode(errors="replace")[-2_000:]
    assert (tmp_path / "report.pdf").stat().st_size > 10_000


def test_a_table_of_the_paper_as_latex() -> None:
    results = make_results(found(*(searched(score, seed=seed) for seed, score in ((1, 83.0), (2, 85.0)))))
    (grid,) = [grid for grid in results.tables if grid.name == "table-3-glue-superglue"]
    text = latex.render(grid)
    assert r"\cmidrule(lr){3-11}\cmidrule(lr){12-17}" in text
    assert r"\textbf{84.0}$_{\pm 1.4}$ (2)" in text
    assert r"\multicolumn{17}{l}{\textit{Single-task learning, quoted}} \\" in text
    assert r"\label{tab:table-3-glue-superglue}" in text
    assert "adept-search search -{}-method adept" in text  # two hyphens stay two hyphens


def test_markdown_shows_names_as_they_are() -> None:
    results = odd_results()
    text = markdown.document("Odd", results.all_tables, headline(results))
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    children = [child for token in tokens for child in token.children or []]
    assert not [child for child in children if child.type in ("link_open", "s_open", "image")]
    raw = {child.content for child in children if child.type == "html_inline"}
    assert raw <= {"<ins>", "</ins>"}
    shown = "".join(child.content for child in children)
    assert '<script>alert("1")</script> & 100% $x_1^2$ #{a}' in shown
    assert "\x1b" not in text and "\x07" not in text


def test_markdown_marks_and_spreads() -> None:
    results = make_results(found(*(searched(score, seed=seed) for seed, score in ((1, 83.0), (2, 85.0)))))
    text = markdown.document("Report", results.tables)
    assert "**84.0** ± 1.4 (2)" in text
    assert "<ins>82.7</ins>" in text
    assert "| _Single-task learning, quoted_ |" in text


def test_csv_and_parquet_hold_the_same_numbers(tmp_path: Path) -> None:
    results = whole()
    paths = write_report(results, tmp_path, ["csv", "parquet"])
    assert {path.name for path in paths} == {
        f"{name}.{form}" for name in ("tables", "scores", "trials", "comparisons") for form in ("csv", "parquet")
    }
    for name, rows in frames.frames(results).items():
        with (tmp_path / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
            read = list(csv.DictReader(stream))
        table = parquet.read_table(tmp_path / f"{name}.parquet").to_pylist()
        assert len(read) == len(table) == len(rows) > 0
        assert list(read[0]) == list(table[0])
    trials = parquet.read_table(tmp_path / "trials.parquet")
    assert trials.num_rows == sum(len(record.trials) for record in results.records)
    assert trials.schema.field("best_score").type == "double"
    quoted = [
        row for row in frames.frames(results)["tables"] if row["table"].startswith("table-") and row["kind"] == "quoted"
    ]
    assert len(quoted) == 570
    assert all(float(row["text"]) == row["value"] for row in quoted)


def test_a_deviation_is_written_as_it_is_and_not_as_it_is_printed(tmp_path: Path) -> None:
    results = make_results(found(searched(80.0, seed=1), searched(80.03, seed=2)))
    write_report(results, tmp_path, ["csv", "parquet"])
    with (tmp_path / "tables.csv").open(encoding="utf-8", newline="") as stream:
        of_csv = [float(row["sd"]) for row in csv.DictReader(stream) if row["sd"] and row["kind"] == "measured"]
    of_parquet = [
        row["sd"] for row in parquet.read_table(tmp_path / "tables.parquet").to_pylist() if row["kind"] == "measured"
    ]
    assert len(of_csv) > 1 and of_csv == [one for one in of_parquet if one is not None]
    assert of_csv == [pytest.approx(0.03 / math.sqrt(2))] * len(of_csv), "printed as 0.0"
    quoted = [cell for _, _, cell in paper_table(chosen(["4"])[0], []).cells() if cell.spread]
    assert quoted and all(cell.sd == float(cell.spread) for cell in quoted)


def test_the_terminal_shows_a_wide_table_on_its_side() -> None:
    (grid, *_) = make_results(found(*sweep())).tables
    for width in (60, 200):
        stream = io.StringIO()
        terminal.show(grid, Console(file=stream, width=width, color_system=None))
        lines = stream.getvalue().splitlines()
        assert all(text in stream.getvalue() for text in cells(grid))
        assert max(len(line) for line in lines if "adept-search" not in line) <= width


ODD_SEARCHES = {
    "no search": [],
    "no trial": [searched(None, trials=[])],
    "no finished trial": [
        searched(None, trials=[make_trial(1, [60.0], "stopped early"), make_trial(2, status="failed")])
    ],
    "one trial": [searched(70.0, trials=[make_trial(1, [70.0])])],
    "ties everywhere": [searched(70.0, method=m, seed=s) for m in ("adept", "pt", "dept") for s in (1, 2, 3)],
    "no finite score": [searched(math.nan), searched(None, seed=2, trials=[make_trial(1, [math.nan], "diverged")])],
    "one test example": [searched(100.0, n=1), searched(0.0, method="pt", n=1)],
    "no test example": [searched(0.0, n=0)],
    "nothing known": [searched(70.0, settings={}, sizes={}, majority={}, provenance={}, parameters={})],
}


@pytest.mark.parametrize("searches", ODD_SEARCHES.values(), ids=ODD_SEARCHES.keys())
def test_whatever_the_searches_came_to_there_is_a_report(searches: list[FoundSearch], tmp_path: Path) -> None:
    paths = write_report(make_results(found(*searches)), tmp_path, ["markdown", "latex", "csv", "parquet", "json"])
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "nan" not in text.lower().replace("finance", "")
    assert "None" not in text
    assert all(path.exists() for path in paths)
    check_syntax((tmp_path / "report.tex").read_text(encoding="utf-8"))


def test_a_thousand_trials_within_ten_megabytes_each(tmp_path: Path) -> None:
    record = long_search(1_000)
    paths = write_report(
        make_results(found(FoundSearch(record))), tmp_path, ["markdown", "latex", "csv", "parquet", "json"]
    )
    assert all(path.stat().st_size < 10_000_000 for path in paths)
