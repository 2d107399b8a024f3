"""What ``nightly SWEEP --plan`` prints is the night that the same command would begin."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from orchestrator.console import INTERRUPTED
from orchestrator.nights import run as night_run
from orchestrator.nights.kept_lists import write_list
from orchestrator.nights.night import Cell
from orchestrator.sweep.sweep_file import read_and_plan_what_has_rows
from tests.orchestrator.nights.made_nights import cell as made_cell
from tests.orchestrator.nights.made_weeks import NIGHT, Weeks, planned, with_mail
from trials.errors import UserError

pytestmark = pytest.mark.usefixtures("same_machine")


def test_the_plan_is_of_the_night_that_the_same_command_would_begin(
    weeks: Weeks, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = date.today().isoformat()
    assert weeks.night("2026-06-01", run_one=lambda search, session: INTERRUPTED) == INTERRUPTED
    assert f"would write to {weeks.place / '2026-06-01'};" in planned(weeks)  # it goes on
    monkeypatch.setattr(night_run, "GOES_ON", timedelta(0))
    assert f"would write to {weeks.place / today};" in planned(weeks)  # it was cut off too long ago
    with pytest.raises(UserError, match="--date June: a night is named by its date"):
        planned(weeks, "June")
    weeks.night("2026-06-01")
    assert "night 2026-06-01 of small is over" in planned(weeks, "2026-06-01")
    weeks.file.write_text(NIGHT.replace("notes.jsonl", "nowhere/notes.jsonl"))
    with pytest.raises(UserError, match="there is no folder"):
        planned(weeks)


def test_the_plan_pins_the_champions_and_names_rows_that_cannot_be_read(tmp_path: Path) -> None:
    pinned = NIGHT.replace("champions: no\n", "search: pinned\n")
    weeks = with_mail(tmp_path, pinned)
    (tmp_path / "train.csv").unlink()
    searches, _ = read_and_plan_what_has_rows(weeks.file)[1:]
    key, best = searches[0].key, searches[0].plan.trials[1].config.hyperparameters
    kept = weeks.place / "champions" / "known.json"
    write_list(kept, list[Cell], [made_cell(key, 40.0, configuration=best)])
    before = sorted(tmp_path.rglob("*"))
    shown = planned(weeks)
    assert shown.count("failed: mail") == 2 and "train.csv" in shown
    assert shown.count("│ pinned") == 1 and shown.count("│ full") == 1  # no night has trained a winner yet
    assert sorted(tmp_path.rglob("*")) == before
