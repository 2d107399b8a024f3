"""A night of tasks whose rows cannot be read: their searches fail, and no others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.console import INTERRUPTED
from orchestrator.nights.history import History
from orchestrator.nights.night import CellStatus
from orchestrator.run.session import Session
from orchestrator.sweep import estimates
from orchestrator.sweep.expand import PlannedSearch
from orchestrator.sweep.sweep_file import read_and_plan
from tests.orchestrator.nights.made_weeks import NIGHT, with_mail
from tests.orchestrator.sweep.made_sweeps import made
from trials.errors import UserError

pytestmark = pytest.mark.usefixtures("same_machine")


def test_rows_that_cannot_be_read_fail_their_own_searches_and_no_others(tmp_path: Path) -> None:
    weeks = with_mail(tmp_path)
    whole = (tmp_path / "train.csv").read_text()
    (tmp_path / "train.csv").write_text(whole + '"cut off')
    with pytest.raises(UserError, match=r"train\.csv"):
        read_and_plan(weeks.file)  # a sweep that someone watches is refused
    assert weeks.night("2026-06-01") == 3
    night, verdict = (one := History(tmp_path / "runs" / "history").kept("small")[0]).night, one.verdict
    assert sorted((cell.key.task, cell.status) for cell in night.cells) == [
        *[("debsec", CellStatus.MEASURED)] * 2,
        *[("mail", CellStatus.FAILED)] * 2,
    ]
    assert {cell.key.backbone for cell in night.cells} == {"t5-nano"}
    assert verdict is not None and sum("train.csv" in one.sentence for one in verdict.findings) == 2
    (tmp_path / "train.csv").write_text(whole)
    weeks.night("2026-06-02")
    assert sorted(weeks.trained) == ["debsec adept", "debsec pt", "mail adept", "mail pt"]
    weeks.file.write_text(weeks.file.read_text().replace("debsec, ", ""))
    (tmp_path / "test.csv").unlink()
    assert weeks.night("2026-06-03") == 3 and weeks.dates[-1] == "2026-06-03"  # nothing is left to run: it says so
    weeks.file.write_text(weeks.file.read_text().replace("pt]", "ptt]"))
    with pytest.raises(UserError, match="'ptt'"):
        weeks.night("2026-06-04")


def test_a_night_that_goes_on_keeps_what_it_measured_of_rows_that_cannot_be_read_any_more(tmp_path: Path) -> None:
    weeks = with_mail(tmp_path)
    last = made(weeks.trained)

    def cut_off(search: PlannedSearch, session: Session) -> int:
        return INTERRUPTED if len(weeks.trained) == 2 else last(search, session)

    assert weeks.night("2026-06-01", run_one=cut_off) == INTERRUPTED
    assert "mail pt" in weeks.trained
    whole = (tmp_path / "train.csv").read_text()
    (tmp_path / "train.csv").write_text(whole + '"cut off')
    weeks.night("2026-06-01")
    night = History(tmp_path / "runs" / "history").nights("small")[0]
    found = {(cell.key.task, cell.key.method): cell.status for cell in night.cells}
    assert len(night.cells) == 4 and len(weeks.trained) == 3
    failed = [key for key, status in found.items() if status is not CellStatus.MEASURED]
    assert failed == [("mail", "adept")]
    state = json.loads((weeks.place / "2026-06-01" / "sweep.json").read_text())
    assert len(state["searches"]) == 4


def test_a_time_limit_is_not_judged_without_the_searches_that_have_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weeks = with_mail(tmp_path, NIGHT + "time_limit: 1h\n")
    seconds = {"debsec": 7200.0, "mail": 10.0}
    monkeypatch.setattr(estimates, "estimated_seconds", lambda plan: seconds[plan.task.name])
    (tmp_path / "train.csv").unlink()
    assert weeks.night("2026-06-01") == 3 and weeks.dates == ["2026-06-01"]
