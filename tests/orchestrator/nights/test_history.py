"""The history of nights: nothing is lost, written twice or written over, in a folder as in a storage."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from orchestrator.nights.history import History, HistoryError, history_problems
from orchestrator.nights.night import Cell, CellStatus, SeedScore
from orchestrator.nights.night_files import METADATA, SCHEMA
from orchestrator.nights.verdict import Outcome, Verdict
from orchestrator.store.parquet import write_parquet
from orchestrator.store.predictions import read_predictions
from tests.orchestrator.nights.made_nights import DEBMATCH, DEBSEC, cell, finding, night, verdict


@pytest.fixture(params=["folder", "file", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        return str(request.getfixturevalue("s3").uri)
    return ("file://" if request.param == "file" else "") + f"{tmp_path}/history"


def answers(path: Path, given: str = "1") -> str:
    rows = [{"trial": 3, "seed": 1, "row": 0, "id": "a", "gold": "1", "prediction": given}]
    return str(write_parquet(rows, path))


def full_cell(predictions: str) -> Cell:
    """A cell of which no field is as it is by default."""
    score = SeedScore(seed=7, score=51.25, n=600, predictions=predictions, trial=3)
    made = cell(status=CellStatus.TAKEN_OVER, why="näher", scores=(score,), measured_on="2026-03-01")
    bare = Cell(key=DEBSEC, status=CellStatus.MEASURED)
    assert [one.name for one in fields(made) if getattr(made, one.name) == getattr(bare, one.name)] == ["key"]
    return made


def test_what_is_appended_comes_back_and_needs_no_folder_of_a_search(place: str, tmp_path: Path) -> None:
    history, kept = History(place), answers(tmp_path / "run" / "predictions.parquet")
    bare = Cell(key=DEBMATCH, status=CellStatus.NOT_RUN, why="no time left")
    second, judged = night(2, full_cell(kept), bare), verdict(finding(), finding(Outcome.NOT_COMPARED, DEBMATCH))
    history.append(second, judged)
    history.append(night(1, calibration=None))
    Path(kept).unlink()

    (first, again), found = History(place).nights("demo"), History(place).kept("demo")
    assert first == night(1, calibration=None)
    there = again.cells[0].scores[0]
    assert read_predictions(there.predictions)[3].given == ("1",)
    assert replace(again, cells=(full_cell(kept), bare)) == second
    assert again.cells[0] == full_cell(there.predictions) and again.cells[1] == bare
    assert [one.night.date for one in found] == ["2026-03-01", "2026-03-02"]
    assert [one.verdict for one in found] == [None, Verdict(list(judged.findings))]
    assert History(place).sweeps() == ["demo"] and History(place).nights("other") == []
    assert [one.date for one in History(place).nights("demo", last=1)] == ["2026-03-02"]


def test_a_date_is_one_entry_and_its_answers_are_kept_once(tmp_path: Path) -> None:
    history = History(tmp_path / "history")
    both = (answers(tmp_path / "a.parquet"), answers(tmp_path / "b.parquet"))
    for path in both:
        history.append(night(1, full_cell(path)))
    history.append(replace(history.nights("demo")[0], date="2026-03-02"))  # what is taken over is here already
    history.append(replace(history.kept("demo")[0].night, date="2026-03-03"))
    assert [one.date for one in history.nights("demo")] == ["2026-03-01", "2026-03-02", "2026-03-03"]
    assert len({one.cells[0].scores[0].predictions for one in history.nights("demo")}) == 1
    assert len(list((tmp_path / "history" / "predictions").iterdir())) == 1


def test_answers_that_are_gone_are_named_and_not_pointed_to(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    History(tmp_path).append(night(1, full_cell(str(tmp_path / "gone.parquet"))))
    assert "gone.parquet is not there" in caplog.text
    score = History(tmp_path).nights("demo")[0].cells[0].scores[0]
    assert (score.predictions, score.trial) == ("", 0)


def test_many_writers_at_once_leave_every_night_whole(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda day: History(tmp_path).append(night(day % 5 + 1)), range(40)))
    assert History(tmp_path).nights("demo") == [night(day) for day in range(1, 6)]
    assert {file.suffix for file in (tmp_path / "nights" / "demo").iterdir()} == {".parquet"}


def append_forever(place: Path, predictions: Path) -> None:
    for count in range(100_000):
        History(place).append(night(1, full_cell(answers(predictions, str(count)))), verdict())


def test_a_writer_that_is_killed_leaves_the_night_once_and_whole(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    for round_ in range(8):
        writer = context.Process(target=append_forever, args=(tmp_path / "history", tmp_path / "answers.parquet"))
        writer.start()
        while not (tmp_path / "history" / "nights").exists():
            time.sleep(0.01)
        time.sleep(0.05 + 0.013 * round_)
        os.kill(writer.pid or 0, signal.SIGKILL)
        writer.join()
        for kept in History(tmp_path / "history").kept("demo"):
            assert kept.verdict == Verdict(list(verdict().findings))
            (there,) = History(tmp_path / "history").nights("demo")
            assert read_predictions(there.cells[0].scores[0].predictions)
    assert len(History(tmp_path / "history").kept("demo")) == 1


def rewritten(file: Path, **changed: Any) -> None:
    table = parquet.read_table(file)
    document = json.loads(table.schema.metadata[METADATA])
    metadata = {METADATA: json.dumps({**document, **changed})}
    parquet.write_table(table.replace_schema_metadata(metadata), file)


def test_a_history_of_a_later_version_is_refused(tmp_path: Path) -> None:
    history = History(tmp_path)
    file = Path(str(history.append(night(1))))
    rewritten(file, schema=SCHEMA + 1, night={"unknown": "form"})
    before = file.read_bytes()
    for use in (lambda: history.nights("demo"), lambda: history.append(night(1))):
        with pytest.raises(HistoryError, match=rf"2026-03-01.parquet was written by a later .* \(schema {SCHEMA + 1};"):
            use()
    assert file.read_bytes() == before


@pytest.mark.parametrize("how", ["cut", "flipped", "empty", "other"])
def test_a_damaged_file_is_named_left_out_and_kept(how: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    history = History(tmp_path)
    for day in (1, 2, 3):
        file = Path(str(history.append(night(day))))
    data = file.read_bytes()
    place = data.index(b"--task debsec")  # in a page of values
    if how == "other":
        parquet.write_table(pa.table({"score": [1.0]}), file)
    else:
        flipped = data[:place] + b"X" + data[place + 1 :]
        file.write_bytes({"cut": data[: len(data) // 2], "flipped": flipped, "empty": b""}[how])
    damaged = file.read_bytes()
    with caplog.at_level(logging.WARNING):
        assert [one.date for one in history.nights("demo", last=2)] == ["2026-03-01", "2026-03-02"]
    assert caplog.text.count("2026-03-03.parquet is damaged and left out") == 1 and file.read_bytes() == damaged

    history.append(night(3))
    assert len(history.nights("demo")) == 3
    (beside,) = file.parent.glob("*.damaged-*")
    assert beside.read_bytes() == damaged and beside.name in caplog.text


def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    for sweep, date in (("../x", "2026-03-01"), ("", "2026-03-01"), (".", "2026-03-01"), ("demo", "a/b")):
        with pytest.raises(HistoryError, match="cannot name a file"):
            History(tmp_path / "history").append(night(1, sweep=sweep, date=date))
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_sweep_that_is_not_there_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="there is no history here"):
        History(tmp_path).found("demo")
    History(tmp_path).append(night(1))
    assert History(tmp_path).found("demo") == "demo"
    with pytest.raises(HistoryError, match=r"demoo: .* \(did you mean 'demo'\?\); it has nights of demo"):
        History(tmp_path).found("demoo")


def test_a_place_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert history_problems(str(tmp_path), "--history") == []
    assert history_problems(str(tmp_path / "file"), "history") == [
        f"history {tmp_path}/file: it is a file; name a folder or a URI"
    ]
    assert "--history s4://bucket/x: unknown scheme 's4'" in history_problems("s4://bucket/x", "--history")[0]
