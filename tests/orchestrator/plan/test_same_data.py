"""A search is what it computes: other rules of a task are another search, and other data are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.plan.plan import Plan
from orchestrator.plan.read_settings import read_settings
from orchestrator.plan.resolve import make_plan
from orchestrator.plan.same_data import check_finished, check_prepared
from orchestrator.plan.search_folder import SearchFolder
from orchestrator.record.kept_data import kept_of
from orchestrator.record.record import SearchRecord, TestResult
from orchestrator.run.run import prepare_data
from orchestrator.run.standing import standing
from orchestrator.store.layout import DEFINITION
from orchestrator.store.twin_files import copy_of
from trials.data_facts import DataIdentity
from trials.errors import UserError

RULES: dict[str, Any] = {"name": "tickets", "template": "text: {text}", "label_column": "kind"}
OPTIONS = {"backbone": "t5-nano", "steps": "20", "eval_every": "10", "samples": "2", "scheduler": "none"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own task whose rows have two columns that can be the label, and an empty cache."""
    monkeypatch.setenv("ADEPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    for split, rows in (("train", 8), ("validation", 6), ("test", 4)):
        kinds = ("billing", "accounts")
        lines = [f"{split} ticket {i},{kinds[i % 2]},{kinds[i // 2 % 2]}" for i in range(rows)]
        (tmp_path / f"{split}.csv").write_text("\n".join(["text,kind,other", *lines]) + "\n")
    return tmp_path


def plan_of(folder: Path, name: str | None = None, **rules: Any) -> Plan:
    splits = ("train", "validation") if rules.get("split") == "small" else ("train", "validation", "test")
    task = {**RULES, "files": {split: f"{split}.csv" for split in splits}, **rules}
    (folder / "tickets.yaml").write_text(json.dumps(task))
    given = {**OPTIONS, "task": str(folder / "tickets.yaml"), "output": str(folder / "runs"), "name": name}
    return make_plan(*read_settings(given))


def record_of(plan: Plan, data: DataIdentity, tested: bool = True) -> SearchRecord:
    metric = plan.task.selection_metric
    record = SearchRecord(
        name=plan.name,
        task="tickets",
        method="adept",
        backbone="t5-nano",
        recipe="released_code",
        metric=metric,
        provenance=kept_of(data),
    )
    record.test = TestResult(1, 75.0, {metric: 75.0}, 4, 25.0, 20) if tested else None
    return record


def swap_labels(file: Path) -> None:
    text = file.read_text().replace("billing", "?").replace("accounts", "billing").replace("?", "accounts")
    file.write_text(text)


def append_rows(file: Path) -> None:
    file.write_text(file.read_text() + "one ticket more,billing,billing\n" * 500)


@pytest.mark.parametrize(
    "change",
    [
        {"metrics": ["f1_macro"]},
        {"metrics": ["accuracy", "f1_macro"]},
        {"labels": {"accounts": 1, "billing": 0}},
        {"label_column": "other"},
        {"split": "small"},
        {"tsv_quoting": "csv"},
    ],
)
def test_whatever_a_task_file_decides_makes_another_search(folder: Path, change: dict[str, Any]) -> None:
    before = plan_of(folder)
    assert plan_of(folder, title="Another title", metrics="accuracy").name == before.name
    assert plan_of(folder, **change).name != before.name
    named = plan_of(folder, name="mine")
    SearchFolder(named.folder).begin(named, {}, record_of(named, DataIdentity()), DataIdentity())
    with pytest.raises(UserError, match=f"holds a search of that name with another {next(iter(change))}"):
        SearchFolder(named.folder).previous(plan_of(folder, name="mine", **change))


def test_a_plan_says_what_stands_already_and_refuses_what_a_search_would(folder: Path) -> None:
    plan = plan_of(folder, name="mine")
    assert standing(plan) == []
    data = prepare_data(plan).identity
    SearchFolder(plan.folder).begin(plan, {}, record_of(plan, data, tested=False), data)
    assert standing(plan) == ["search mine was begun there: it would go on"]
    record_of(plan, data).save(SearchFolder(plan.folder).record)
    arguments = ["plan", "--task", str(folder / "tickets.yaml"), "--output", str(folder / "runs"), "--name", "mine"]
    arguments += [f"--{key.replace('_', '-')}={value}" for key, value in OPTIONS.items()]
    done = CliRunner().invoke(app, arguments)
    assert (done.exit_code, "search mine is finished" in done.output) == (0, True)
    swap_labels(folder / "test.csv")
    done = CliRunner().invoke(app, arguments)
    assert (done.exit_code, "test: test.csv (was" in done.output) == (2, True)
    other = plan_of(folder, name="mine", metrics=["f1_macro"])
    with pytest.raises(UserError, match=r'another metrics \(then \["accuracy"\], now \["f1_macro"\]\); put it back'):
        standing(other)


def test_what_a_registered_task_decides_is_said_by_its_name() -> None:
    """A finished search is found by its automatic name: it may change only where what is computed does."""
    plan = make_plan(*read_settings({"steps": "40", "eval_every": "10", "samples": "2"}))
    assert not plan.definition.keys() & {"metrics", "label_column", "labels", "split"}
    assert plan.definition["revision"] == "5e0016d32b56936c"


@pytest.mark.parametrize("change", [swap_labels, append_rows])
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_finished_search_of_other_data_is_refused_without_tokenising(
    folder: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None], split: str
) -> None:
    plan = plan_of(folder)
    data = prepare_data(plan).identity
    record = record_of(plan, data)
    monkeypatch.setattr("trials.backbones.describe.load_tokenizer", lambda facts: pytest.fail("it loads a tokenizer"))
    assert check_finished(plan, record, data) == ""
    before = (folder / f"{split}.csv").read_text()
    change(folder / f"{split}.csv")
    with pytest.raises(UserError) as error:
        check_finished(plan_of(folder), record, data)
    told = str(error.value)
    then = data.files[split][f"{split}.csv"]
    assert f"{split}: {split}.csv (was {then}, is " in told and f"rows fingerprint then {data.rows}, now" in told
    assert "put back the data of then" in told and "another --name or --output" in told
    assert all(other not in told for other in {"train.csv", "validation.csv", "test.csv"} - {f"{split}.csv"})
    (folder / f"{split}.csv").write_text(before)
    assert check_finished(plan_of(folder), record, data) == ""


def test_a_record_of_an_earlier_version_is_compared_by_what_it_has(folder: Path) -> None:
    plan = plan_of(folder)
    prepared = prepare_data(plan)
    old = record_of(plan, DataIdentity())
    old.provenance = {"data fingerprint": prepared.fingerprint}
    assert check_finished(plan, old, None) == ""
    check_prepared(plan, old, None, prepared)
    swap_labels(folder / "validation.csv")
    for check in (
        lambda: check_finished(plan, old, None),
        lambda: check_prepared(plan, old, None, prepare_data(plan)),
    ):
        with pytest.raises(UserError, match=rf"data fingerprint then {prepared.fingerprint}, now [0-9a-f]{{16}}\)"):
            check()
    old.metric = "f1_macro"  # its definition does not name it
    with pytest.raises(UserError, match="selected by f1_macro, and the task selects by accuracy now"):
        check_finished(plan, old, None)


def test_a_definition_of_an_earlier_version_is_still_that_of_its_search(folder: Path) -> None:
    plan = plan_of(folder, name="mine")
    SearchFolder(plan.folder).begin(plan, {}, record_of(plan, DataIdentity()), DataIdentity())
    for file in (plan.folder / DEFINITION, copy_of(plan.folder / DEFINITION)):
        definition = json.loads(file.read_text())
        for key in ("data", "metrics", "label_column", "labels", "split"):
            del definition[key]
        file.write_text(json.dumps(definition))
    files = SearchFolder(plan.folder)
    assert files.previous(plan) is not None and files.data is None


@pytest.mark.parametrize("tested", [True, False])
@pytest.mark.parametrize("lost", [False, True])
def test_neither_the_same_command_nor_resume_mixes_two_data_sets(folder: Path, tested: bool, lost: bool) -> None:
    """The command ends before anything has started; what is there is as it was, also where the record is lost."""
    plan = plan_of(folder)
    options = {**OPTIONS, "task": str(folder / "tickets.yaml"), "output": str(folder / "runs")}
    files = SearchFolder(plan.folder)
    files.begin(plan, options, record_of(plan, data := prepare_data(plan).identity, tested), data)
    if lost:
        files.record.unlink()
    before = {file: file.read_bytes() for file in plan.folder.iterdir()}
    append_rows(folder / "train.csv")
    flags = [part for key, value in options.items() for part in (f"--{key.replace('_', '-')}", value)]
    for command in (["search", *flags], ["resume", plan.name, "--output", options["output"]]):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 2, result.output
        assert f"train: train.csv (was {data.files['train']['train.csv']}, is" in result.output
    assert {file: file.read_bytes() for file in plan.folder.iterdir()} == before


def test_files_are_known_by_what_they_hold_and_by_their_order() -> None:
    then = DataIdentity("r1", {"train": {"a.csv": "1", "b.csv": "2"}, "test": {"t.csv": "3"}})
    assert then.changed(DataIdentity("r1", {"train": {"x.csv": "1", "y.csv": "2"}, "test": {"t.csv": "3"}})) == []
    swapped = DataIdentity("r2", {"train": {"b.csv": "2", "a.csv": "1"}, "test": {"t.csv": "3"}})
    place = "in another place among the files of its split"
    assert then.changed(swapped) == [f"train: a.csv ({place})", f"train: b.csv ({place})"]
    fewer = DataIdentity("r3", {"train": {"a.csv": "1"}, "validation": {"v.csv": "4"}, "test": {"t.csv": "5"}})
    assert then.changed(fewer) == [
        "train: b.csv (was 2, gone now)",
        "test: t.csv (was 3, is 5)",
        "validation: v.csv (new, 4)",
    ]


def test_how_a_file_is_read_is_part_of_what_its_rows_are(folder: Path) -> None:
    for split in ("train", "validation", "test"):
        (folder / f"{split}.tsv").write_text((folder / f"{split}.csv").read_text().replace(",", "\t"))
    files = {split: f"{split}.tsv" for split in ("train", "validation", "test")}
    one, other = (prepare_data(plan_of(folder, files=files, **more)) for more in ({}, {"tsv_quoting": "csv"}))
    assert one.fingerprint != other.fingerprint and one.identity.rows != other.identity.rows
    assert one.identity.files == other.identity.files
