"""`adept-search report` and `adept-search compare`, as typed."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.orchestrator.made_results import searched, sweep
from tests.orchestrator.typed_commands import save, typed


def test_a_report_of_the_runs_here(here: Path) -> None:
    save(here / "runs", *sweep())
    code, printed, _ = typed("report", "--task", "rte,boolq", "--method", "adept,pt", "--formats", "md,tex,json")
    assert code == 0
    assert "12 searches with 48 trials: 2 tasks, 2 methods, on t5-base." in printed
    assert "measured on t5-base" in printed
    written = {path.name for path in (here / "report").iterdir()}
    assert written == {"report.md", "report.tex", "tables", "summary.json", "summary.schema.json"}
    document = json.loads((here / "report" / "summary.json").read_text(encoding="utf-8"))
    assert {score["task"] for score in document["scores"]} == {"rte", "boolq"}
    text = (here / "report" / "report.md").read_text(encoding="utf-8")
    assert "with 3 seeds no test can reach p \\< 0.25" in text
    assert "not distinguishable" in text


def test_the_files_of_a_report_are_counted(here: Path) -> None:
    save(here / "runs", searched())
    for formats, line in {
        "html": "Report: report/report.html",
        "md,html": "Report: report/report.md, report/report.html",
        "md,json": "Report: report/report.md, report/summary.json and 1 more file in report",
    }.items():
        code, printed, _ = typed("report", "--formats", formats)
        assert code == 0
        assert line in printed.splitlines(), printed


def test_the_papers_tables_need_no_search(here: Path) -> None:
    (here / "runs").mkdir()
    code, _, _ = typed("report", "--tables", "all", "--formats", "csv", "--out", "paper")
    assert code == 0
    with (here / "paper" / "tables.csv").open(encoding="utf-8", newline="") as stream:
        assert [row["kind"] for row in csv.DictReader(stream)].count("quoted") == 570


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["report"], "no searches here: neither mlflow.db nor a folder runs is in"),
        (["report", "--runs", "nothing"], "nothing: there is no such folder"),
        (["report", "--tracking-uri", "sqlite:///nothing.db"], "there is no such database"),
        (["report", "--formats", "word,latx"], "--formats latx: it is one or more of"),
        (["report", "--tables", "99"], "--tables 99: it is one of 1, 2"),
        (["report", "--since", "yesterday"], "--since yesterday: a day is written"),
        (["compare", "a", "2026-01-01", "--runs", "."], "a: neither a folder, nor a day"),
        (["compare", "2026-02-30", "2026-03-01"], "2026-02-30: a day is written YEAR-MONTH-DAY, and exists"),
        (["compare", "2026-03-02..2026-03-01", "2026-03-01"], "before the first; write 2026-03-01..2026-03-02"),
        (["report", "--tables", "3", "--out", "notes"], "notes: it is a file, and a folder is needed"),
        (["report", "--tables", "3", "--out", "notes/more"], "notes/more: a folder on the way to it is a file"),
        (["compare", "a", "b", "--formats", "csv"], "--formats csv: name the folder for these files with --out FOLDER"),
    ],
)
def test_what_is_wrong_is_said_in_one_message(here: Path, words: list[str], message: str) -> None:
    (here / "notes").touch()
    code, _, errors = typed(*words)
    assert code == 2
    assert message in errors
    assert "Traceback" not in errors
    assert not (here / "report").exists()


def test_a_selection_that_is_empty_is_told(here: Path) -> None:
    save(here / "runs", searched())
    code, _, errors = typed("report", "--since", "2026-03-02")
    assert code == 2
    assert "1 searches are there, none of them selected" in errors


def test_two_searches_side_by_side(here: Path) -> None:
    first, second = searched(80.0, day=1), searched(84.0, day=2, name="other")
    second.record.settings["steps"] = 9_000
    second.record.trials[0].configuration["prompt_lr"] = 0.5
    save(here / "runs", first, second)
    code, printed, _ = typed("compare", "runs/rte-adept-42", "other", "--runs", "runs", "--out", "compared")
    assert code == 0
    assert "+4.0" in printed
    assert "unpaired: A and B kept no answers to the test rows" in " ".join(printed.split())
    rows = [line.split() for line in printed.splitlines()]
    assert ["steps", "5,000", "9,000", "all"] in rows
    assert any(row[:1] == ["configurations"] for row in rows)
    assert (here / "compared" / "report.md").is_file()


def test_two_days_side_by_side(here: Path) -> None:
    before = [searched(70.0 + seed, seed=seed, day=1, name=f"old-{seed}") for seed in range(6)]
    after = [searched(75.0 + 1.1 * seed, seed=seed, day=9, name=f"new-{seed}") for seed in range(6)]
    save(here / "runs", *before, *after, searched(task="sst2", day=9))
    code, printed, _ = typed("compare", "2026-03-01", "2026-03-08..2026-03-10")
    assert code == 0
    assert "B is higher" in printed
    assert "Only in B: sst2, ADePT on t5-base." in printed
    assert "A and B were run alike." in printed


def test_a_search_beside_itself_has_no_difference(here: Path) -> None:
    save(here / "runs", searched())
    code, printed, _ = typed("compare", "runs", "runs")
    assert code == 0
    assert "+0.0" in printed
    assert "less than one example" in printed
