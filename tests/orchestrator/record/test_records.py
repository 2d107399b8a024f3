"""The record of a search: what it computes, and that it survives the disk."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from orchestrator.record.errors import RecordError
from orchestrator.record.record import SearchRecord, TestResult
from orchestrator.record.strict_json import write_atomically
from tests.orchestrator.made_records import make_record, make_trial


def full_record() -> SearchRecord:
    record = make_record(
        make_trial(1, [50.0, 72.5, 72.5]),
        make_trial(2, [60.0, math.nan], "diverged", reason="loss is NaN"),
        make_trial(3, status="failed", error='RuntimeError: "out of memory"\n  in line 3', configuration={}),
        parameters={1: 76_051, 2: 76_071},
        test=TestResult(1, 71.2, {"accuracy": 71.2, "f1": math.nan}, 139, 100 / 139, 2_000),
        wall_seconds=12,
        provenance={"version/ray": "2.60.0", "odd": [1, 2.5, None, True, {"limit": -math.inf}]},
        published=[{"table": 3, "method": "ADePT", "value": 82.0, "std": None}],
        adapter="runs/größe/adapter",
    )
    record.trials[1].configuration = {"prompt_lr": 1e-5, "note": "NaN", "big": 2**60, "small": 5e-324, "third": 1 / 3}
    record.trials[1].reports[-1]["train/loss"] = math.inf
    return record


def test_what_was_saved_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    record = full_record()
    loaded = SearchRecord.load(record.save(tmp_path / "new" / "record.json"))
    # repr writes every float in full and NaN as nan, which compares as == cannot.
    assert repr(loaded) == repr(record).replace("wall_seconds=12,", "wall_seconds=12.0,")
    assert loaded.parameters == {1: 76_051, 2: 76_071}
    assert loaded.trials[1].configuration["note"] == "NaN"
    assert math.isnan(loaded.trials[1].reports[-1]["score"])


def test_the_file_is_json_for_any_reader(tmp_path: Path) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    text = full_record().save(tmp_path / "record.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=refuse)["schema"] == 1


def test_numpy_numbers_are_saved_as_the_numbers_they_are(tmp_path: Path) -> None:
    record = make_record(make_trial(1, configuration={"rank": np.int64(19), "rate": np.float32(0.5)}))
    assert SearchRecord.load(record.save(tmp_path / "r.json")).trials[0].configuration == {"rank": 19, "rate": 0.5}


def test_everything_without_a_json_form_is_named_and_the_old_file_stays(tmp_path: Path) -> None:
    path = full_record().save(tmp_path / "record.json")
    before = path.read_bytes()
    odd = make_record(make_trial(1, configuration={"a": {1, 2}}), settings={3: "x"}, provenance={"p": Path("x")})
    with pytest.raises(RecordError) as error:
        odd.save(path)
    for part in ("trials[0].configuration.a", "a set", "key 3", "provenance.p"):
        assert part in str(error.value)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["record.json"]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.37, 0.5, 0.9, 0.999])
def test_a_cut_file_is_called_damaged_with_its_name_and_a_way_out(tmp_path: Path, share: float) -> None:
    path = full_record().save(tmp_path / "record.json")
    data = path.read_bytes()
    path.write_bytes(data[: int(share * (len(data) - 2))])
    with pytest.raises(RecordError, match="damaged") as error:
        SearchRecord.load(path)
    assert str(path) in str(error.value)
    assert "--resume" in str(error.value)
    assert "empty" in str(error.value) if int(share * len(data)) == 0 else "line" in str(error.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"[1, 2]", "holds a list"),
        (b'{"accuracy": 82.0}', "no 'schema' number"),
        (b'{"schema": 99}', "schema 99"),
        (b'{"schema": 1, "name": "x", "colour": 1}', "task: .*colour: "),
    ],
)
def test_another_kind_of_file_is_refused_with_the_reason(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=words):
        SearchRecord.load(path)


def test_a_status_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    path = full_record().save(tmp_path / "record.json")
    path.write_text(path.read_text(encoding="utf-8").replace('"diverged"', '"dverged"'), encoding="utf-8")
    with pytest.raises(RecordError, match=r"trials\.1\.status.*'diverged'"):
        SearchRecord.load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no search record at"):
        SearchRecord.load(tmp_path / "record.json")


def test_a_crash_while_writing_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_atomically(tmp_path / "record.json", "old")

    def power_cut(descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", power_cut)
    with pytest.raises(OSError, match="no space"):
        write_atomically(path, "new, and longer")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["record.json"]


def test_best_is_the_highest_finite_score_at_its_first_step() -> None:
    trial = make_trial(1, [50.0, 72.5, math.inf, 72.5, math.nan])
    assert (trial.best_score, trial.best_step, trial.last_score, trial.step) == (72.5, 2_000, 72.5, 5_000)
    assert trial.train_seconds == 50.0
    assert trial.evaluation_seconds == 7.5


def test_a_best_whose_report_was_lost_in_a_crash_counts() -> None:
    trial = make_trial(1, [50.0, 72.5, 61.0])
    del trial.reports[1]
    assert (trial.best_score, trial.best_step) == (72.5, 2_000)


def test_a_trial_without_a_finite_report_has_no_best() -> None:
    for trial in (make_trial(1), make_trial(1, [math.nan])):
        assert (trial.best_score, trial.best_step, trial.last_score) == (None, None, None)
    assert make_trial(1).step == 0


def test_score_at_a_step_is_the_later_of_two_reports_and_never_a_neighbour() -> None:
    trial = make_trial(1, [50.0, 60.0, math.nan])
    trial.reports.append({"step": 1_000, "score": 55.0})
    assert [trial.score_at(step) for step in (1_000, 1_500, 2_000, 3_000)] == [55.0, None, 60.0, None]


def test_records_and_summaries_are_read_without_the_heavy_libraries() -> None:
    modules = "orchestrator.record.record, orchestrator.summarizer, orchestrator.tune.progress"
    code = f"import sys, {modules}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "ray", "mlflow", "transformers"} & set(loaded)
