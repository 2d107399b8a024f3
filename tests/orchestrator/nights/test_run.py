"""A night as a whole, with searches that are made instead of trained: nothing is lost, nothing is there twice."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from orchestrator.console import INTERRUPTED
from orchestrator.nights import run as night_run
from orchestrator.nights.history import History
from orchestrator.nights.night import Cell, CellKey, CellStatus, Night
from orchestrator.nights.verdict import Verdict
from orchestrator.record.errors import LockError
from orchestrator.run.session import Session
from orchestrator.store.lock import SearchLock
from orchestrator.sweep import fingerprint
from orchestrator.sweep.expand import PlannedSearch
from orchestrator.sweep.rules import GateRules
from orchestrator.sweep.runner import run_sweep
from orchestrator.sweep.runs import chosen_run
from orchestrator.sweep.sweep_file import read_and_plan
from tests.orchestrator.nights.made_nights import cell as made_cell
from tests.orchestrator.nights.made_weeks import NIGHT, Weeks, planned
from tests.orchestrator.sweep.made_sweeps import made
from trials.errors import UserError


def test_a_night_leaves_history_page_and_notification_and_is_over(weeks: Weeks) -> None:
    assert weeks.night("2026-06-01") == 3  # there is nothing to compare with
    night = History(weeks.folder / "runs" / "history").nights("small")[0]
    assert [cell.status for cell in night.cells] == [CellStatus.MEASURED] * 4 and night.calibration == 100.0
    assert all(cell.score is not None and cell.fingerprint and cell.configuration for cell in night.cells)
    page = (weeks.place / "history.html").read_text()
    assert "debmatch" in page and "2026-06-01" in page
    assert weeks.notified == 1 and sorted(weeks.trained) == sorted(set(weeks.trained))
    assert weeks.night("2026-06-01") == 3 and weeks.dates == ["2026-06-01"]
    assert weeks.notified == 1 and len(weeks.trained) == 4


@pytest.mark.parametrize("lost", ["removed", "damaged", "another place"])
def test_a_night_that_is_over_and_not_in_the_history_is_judged_again(weeks: Weeks, lost: str) -> None:
    weeks.night("2026-06-01")
    place = weeks.folder / "runs" / "history"
    file = place / "nights" / "small" / "2026-06-01.parquet"
    if lost == "removed":
        file.unlink()
    elif lost == "damaged":
        file.write_bytes(file.read_bytes()[:99])
    else:
        place = weeks.folder / "elsewhere"
        weeks.file.write_text(f"{NIGHT}history: {place}\n")
    for _ in range(2):
        assert weeks.night("2026-06-01") == 3 and len(weeks.trained) == 4
        assert [len(one.cells) for one in History(place).nights("small")] == [4]
    assert weeks.notified == 2  # a message twice is better than none


def test_a_night_that_is_judged_again_is_not_held_against_later_champions(
    weeks: Weeks, monkeypatch: pytest.MonkeyPatch
) -> None:
    weeks.file.write_text(NIGHT.replace("champions: no\n", ""))
    judged: list[set[str]] = []
    judge = night_run.judge

    def noted(night: Night, earlier: list[Night], found: dict[CellKey, Cell], rules: GateRules) -> Verdict:
        judged.append({one.measured_on for one in found.values()})
        return judge(night, earlier, found, rules)

    def known(keys: list[CellKey], uri: str | None, folder: Path) -> dict[CellKey, Cell]:
        dates = ("2026-06-01", "2026-06-02", "2026-06-03")
        return {key: made_cell(key, 99.0, measured_on=date) for key, date in zip(keys, dates, strict=False)}

    monkeypatch.setattr(night_run, "judge", noted)
    monkeypatch.setattr(night_run, "champions", known)
    monkeypatch.setattr(night_run, "crown", lambda *given, **more: [])
    weeks.night("2026-06-02")
    assert judged == [{"2026-06-01", "2026-06-02"}]


def test_what_has_not_changed_is_taken_over_and_proves_nothing_new(weeks: Weeks) -> None:
    weeks.night("2026-06-01")
    assert weeks.night("2026-06-02") == 3 and len(weeks.trained) == 4
    cell = History(weeks.folder / "runs" / "history").nights("small")[-1].cells[0]
    assert cell.status is CellStatus.TAKEN_OVER and cell.measured_on == "2026-06-01"


@pytest.mark.parametrize("step", ["judge", "crown", "write_history_page", "notify", "write_night"])
def test_a_night_killed_after_its_last_search_goes_on_where_it_was(
    weeks: Weeks, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    weeks.file.write_text(NIGHT.replace("champions: no\n", ""))
    kept = getattr(night_run, step)
    monkeypatch.setattr(night_run, "champions", lambda keys, uri, folder: {})
    monkeypatch.setattr(night_run, "crown", lambda *given, **more: [])

    def killed(*given: Any, **more: Any) -> Any:
        if step == "write_night" and not more["concluded"]:
            return kept(*given, **more)
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(night_run, step, killed)
        with pytest.raises(SystemExit):
            weeks.night("2026-06-01")
    assert weeks.night("2026-06-01") == 3
    assert weeks.dates == ["2026-06-01"] and len(weeks.trained) == 4
    assert weeks.notified == (2 if step == "write_night" else 1)  # a message twice is better than none


def test_a_night_cut_off_goes_on_by_itself_and_another_one_keeps_what_it_measured(weeks: Weeks) -> None:
    kept = made(weeks.trained)

    def cut_off(search: PlannedSearch, session: Session) -> int:
        if len(weeks.trained) == 2:
            raise SystemExit
        return kept(search, session)

    with pytest.raises(SystemExit):
        weeks.night(None, run_one=cut_off)
    [today] = [path.name for path in weeks.place.iterdir() if (path / "night.json").exists()]
    assert weeks.dates == []
    assert weeks.night("2999-01-01") == 3  # another night begins: what was measured is kept and taken over
    assert weeks.dates == [today, "2999-01-01"] and len(weeks.trained) == 4
    first = History(weeks.folder / "runs" / "history").nights("small")[0]
    assert sorted(cell.status for cell in first.cells) == [CellStatus.MEASURED] * 2 + [CellStatus.NOT_RUN] * 2
    with pytest.raises(SystemExit):
        weeks.file.write_text(NIGHT.replace("steps: 20", "steps: 40"))
        weeks.night("2999-01-02", run_one=made(weeks.trained, after=lambda search: sys.exit()))
    weeks.night(None)
    assert weeks.dates[-1] == "2999-01-02"


def test_a_search_that_fails_leaves_the_others_and_is_no_green_night(weeks: Weeks) -> None:
    assert weeks.night("2026-06-01", run_one=made(weeks.trained, failing=["debsec"])) == 3
    night = History(weeks.folder / "runs" / "history").nights("small")[0]
    failed = [cell for cell in night.cells if cell.status is CellStatus.FAILED]
    assert {cell.key.task for cell in failed} == {"debsec"} and "are gone" in failed[0].why


def test_what_is_wrong_is_named_at_once_and_nothing_starts(weeks: Weeks) -> None:
    weeks.file.write_text(
        NIGHT.replace("notes.jsonl", "notes.jsonl, webhook: NO_SUCH_VARIABLE") + "history: small.yaml\n"
    )
    with pytest.raises(UserError) as caught:
        weeks.night("2026-06-01")
    assert len(caught.value.problems) == 2 and weeks.trained == []
    weeks.file.write_text(NIGHT)
    with pytest.raises(UserError, match="--date June: a night is named by its date"):
        weeks.night("June")


def test_two_nights_at_once_are_refused(weeks: Weeks) -> None:
    with SearchLock(weeks.place / "2026-06-01", "small", what="night"), pytest.raises(LockError, match="night"):
        weeks.night("2026-06-01")
    with SearchLock(weeks.place, "small", what="sweep"), pytest.raises(LockError, match="sweep"):
        weeks.night("2026-06-02")
    assert weeks.trained == [] and not json.loads((weeks.place / "2026-06-02" / "night.json").read_text())["concluded"]


def sweep(weeks: Weeks, run: str | None = None) -> str:
    """Run the nights' file as ``adept-search sweep`` does; the run's name."""
    found, searches = read_and_plan(weeks.file, {"output": str(weeks.folder / "runs")})
    chosen = chosen_run(weeks.place, run)
    run_sweep(found, searches, weeks.place, chosen, weeks.console, run_one=made(weeks.trained))
    return chosen


def test_what_a_sweep_measured_on_the_same_day_is_not_called_the_nights_own(
    weeks: Weeks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprint, "code_digest", lambda *given: "code of the morning")
    swept = sweep(weeks)
    monkeypatch.setattr(fingerprint, "code_digest", lambda *given: "code of the evening")
    weeks.night(None)
    night = History(weeks.folder / "runs" / "history").nights("small")[0]
    assert len(weeks.trained) == 8 and [cell.status for cell in night.cells] == [CellStatus.MEASURED] * 4
    assert {cell.parts["code"] for cell in night.cells} == {"code of the evening"}
    monkeypatch.setattr(fingerprint, "code_digest", lambda *given: "code of the morning")
    weeks.night("2999-01-01")
    cells = History(weeks.folder / "runs" / "history").nights("small")[1].cells
    assert [(cell.status, cell.measured_on) for cell in cells] == [(CellStatus.TAKEN_OVER, swept)] * 4


def test_a_sweep_neither_goes_on_with_a_night_nor_writes_into_one(weeks: Weeks) -> None:
    assert weeks.night(None, run_one=lambda search, session: INTERRUPTED) == INTERRUPTED
    [night] = [path.parent for path in weeks.place.glob("*/night.json")]
    kept = (night / "sweep.json").read_bytes()
    for _ in range(2):
        assert sweep(weeks) != night.name and (night / "sweep.json").read_bytes() == kept
    with pytest.raises(UserError, match=f"--run {night.name}: that is a night of this sweep, .* another name"):
        sweep(weeks, night.name)


def test_a_night_is_not_begun_in_the_folder_of_a_sweeps_run(weeks: Weeks) -> None:
    sweep(weeks, "2026-06-01")
    trained = len(weeks.trained)
    for begin in (weeks.night, partial(planned, weeks)):
        with pytest.raises(UserError, match=r"--date 2026-06-01: .* holds a run of `adept-search sweep`, .* another"):
            begin("2026-06-01")
    assert len(weeks.trained) == trained and not (weeks.place / "2026-06-01" / "night.json").exists()
