"""The report on a task's rows: before the first trial, in the record and on the page."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest
from huggingface_hub import constants
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.plan.data import planned_data, prepare_data
from orchestrator.plan.read_settings import read_settings
from orchestrator.plan.resolve import make_plan
from orchestrator.record.record import SearchRecord
from orchestrator.summarizer.page import write_search_page
from tests.orchestrator.made_records import make_record
from tests.trials.made_data import write_rows
from trials.data.report import DataReport, SplitReport
from trials.errors import BackboneError, DataError

FACTS = DataReport(
    {
        "train": SplitReport(rows=8, classes={"0": 8, "1": 0}, tokens=80, unknown_tokens=2),
        "test": SplitReport(rows=4, classes={"0": 2, "1": 2}, tokens=40, in_train_rows=1, repeated_rows=1),
    },
    {"0": ["<b>no</b>"], "1": ["yes"]},
    max_source_length=64,
)


def write_task(folder: Path, test: str = "a,x\nb,y\n") -> Path:
    for split in ("train", "validation"):
        (folder / f"{split}.csv").write_text(f'text,label\n{split} one,x\n{split} two,y\n"say </s>",y\n')
    (folder / "test.csv").write_text(f"text,label\n{test}")
    path = folder / "mine.yaml"
    files = "{train: train.csv, validation: validation.csv, test: test.csv}"
    path.write_text(f'name: mine\nfiles: {files}\ntemplate: "{{text}}"\n')
    return path


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADEPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_a_plan_reports_on_the_rows_that_are_here(tmp_path: Path) -> None:
    command = ["plan", "--task", str(write_task(tmp_path)), "--backbone", "t5-nano", "--output", str(tmp_path / "runs")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert "data: train: 3 rows; classes x (0): 1, y (1): 2" in lines
    assert "data: test: 2 rows; classes x (0): 1, y (1): 1" in lines
    warned = "warning: rows that spell control tokens (</s>), which are read as plain text: "
    assert f"{warned}train 1 of 3 (33.3 %), validation 1 of 3 (33.3 %)" in lines
    assert "tokens in the mean, and 3 rows of " in done.output

    (tmp_path / "test.csv").write_text("text,label\na,x\nb,z\n")
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 2
    assert "is 'z' in 1 row" in done.output


def test_a_plan_says_why_it_has_not_looked(tmp_path: Path) -> None:
    def planned(*, task: str) -> list[str]:
        options = {"task": task, "backbone": "t5-base", "output": str(tmp_path)}
        lines, lengths = planned_data(make_plan(*read_settings(options)))
        assert lengths is None
        return lines

    assert planned(task="rte") == [
        "data: not looked at, the rows come from the hub (--data-dir FOLDER reads them here)"
    ]
    [line] = planned(task=str(write_task(tmp_path)))
    assert "train 3 rows, validation 3 rows, test 2 rows; not looked at as tokens" in line
    with pytest.raises(DataError, match="is 'z' in 1 row"):
        planned(task=str(write_task(tmp_path, test="a,x\nb,z\n")))


def test_what_is_to_be_downloaded_is_named_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    caplog.set_level("INFO", logger="orchestrator")
    plan = make_plan(*read_settings({"task": "rte", "backbone": "t5-base", "output": str(tmp_path)}))
    with pytest.raises(BackboneError, match="HF_HUB_OFFLINE is set"):
        prepare_data(plan)
    assert caplog.messages == [
        "fetching the rows of RTE from the hub (nyu-mll/glue)",
        "fetching t5-base from the hub (google-t5/t5-base)",
    ]


def test_the_report_is_kept_and_shown_on_the_page(tmp_path: Path) -> None:
    record = make_record(data_report=FACTS.as_dict())
    assert SearchRecord.load(record.save(tmp_path / "search.json")).data_report == FACTS.as_dict()
    page = write_search_page(record, tmp_path / "report.html").read_text()
    section = page[page.index('<section id="data"') :]
    section = section[: section.index("</section>")]
    for piece in (
        "tokens that the tokenizer does not know: their text is lost: train 2 of 80 (2.5 %)",
        "train has no row of class yes (1)",
        "class &lt;b&gt;no&lt;/b&gt; (0)",
        "rows that are in train, too",
    ):
        assert piece in section
    assert '<section id="data"' not in write_search_page(make_record(), tmp_path / "old.html").read_text()


def test_a_part_of_a_registered_task_is_taken_where_that_is_said(tmp_path: Path) -> None:
    for split, count in (("train", 8), ("validation", 9)):
        rows = [{"sentence1": f"{split} {n}", "sentence2": "so", "label": n % 2} for n in range(count)]
        write_rows(tmp_path / "data" / "glue" / "rte" / f"{split}.parquet", rows)
    command = ["plan", "--task", "rte", "--backbone", "t5-nano", "--data-dir", str(tmp_path / "data")]
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 2
    assert "expected are train 2,490, validation 138, test 139" in " ".join(refused.output.split())
    assert "--data-sizes any takes them as they are" in " ".join(refused.output.split())
    done = CliRunner().invoke(app, [*command, "--data-sizes", "any"])
    assert done.exit_code == 0, done.output
    note = "rows of RTE: any number of them (published: train 2,490, validation 138, test 139)"
    assert note in done.output and "data: validation: 4 rows" in done.output
    own = CliRunner().invoke(app, ["plan", "--task", str(write_task(tmp_path)), "--data-sizes", "any"])
    assert "--data-sizes any changes nothing" in own.output
