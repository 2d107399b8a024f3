"""A night as a whole, with searches that are made instead of trained: nothing is lost, nothing is there twice."""

from __future__ import annotations

import json
import sys
from datetime import date, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from orchestrator.console import INTERRUPTED, PlainConsole
from orchestrator.nights import run as night_run
from orchestrator.nights.history import History
from orchestrator.nights.kept_lists import write_list
from orchestrator.nights.night import Cell, CellKey, CellStatus, Night
from orchestrator.nights.run import plan_night, run_night
from orchestrator.nights.verdict import Verdict
from orchestrator.record.errors import LockError
from orchestrator.run.session import Session
from orchestrator.store.lock import SearchLock
from orchestrator.sweep import estimates, fingerprint
from orchestrator.sweep.expand import PlannedSearch
from orchestrator.sweep.rules import GateRules
from orchestrator.sweep.sweep_file import read_and_plan, read_and_plan_what_has_rows
from tests.orchestrator.nights.made_nights import cell as made_cell
from tests.orchestrator.sweep.made_sweeps import DEVICE, SMALL, made
from trials.errors import UserError

NIGHT = SMALL + "champions: no\nnotify: {when: always, file: notes.jsonl}\n"


@pytest.fixture(autouse=True)
def same_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "device", lambda: DEVICE)
    monkeypatch.setattr(fingerprint, "_data", lambda plan: f"rows of {plan.task.name}")
    monkeypatch.setattr(night_run, "calibrate", lambda engines: 100.0)


class Weeks:
    """A sweep file in a folder, and its nights."""

    def __init__(self, folder: Path, text: str = NIGHT) -> None:
        self.folder, self.trained = folder, list[str]()
        self.file = folder / "small.yaml"
        self.file.write_text(text)
        self.place = folder / "runs" / "small"
        self.console = PlainConsole(quiet=True)

    def night(self, day: str | None, **given: Any) -> int:
        how = {"run_one": made(self.trained), **given}
        return run_night(str(self.file), self.console, day=day, places={"output": str(self.folder / "runs")}, **how)

    @property
    def dates(self) -> list[str]:
        return [one.date for one in History(self.folder / "runs" / "history").nights("small")]

    @property
    def notified(self) -> int:
        return len((self.folder / "notes.jsonl").read_text().splitlines())


@pytest.fixture
def weeks(tmp_path: Path) -> Weeks:
    return Weeks(tmp_path)


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


def with_mail(tmp_path: Path, text: str = NIGHT) -> Weeks:
    """A sweep of debsec and of an own task with rows in CSV."""
    weeks = Weeks(tmp_path, text.replace("debmatch", "mail.yaml"))
    rows = "text,kind\n" + "\n".join(f"{kind} {number},{kind}" for number in range(9) for kind in ("good", "bad"))
    files = {split: f"{split}.csv" for split in ("train", "validation", "test")}
    for file in files.values():
        (tmp_path / file).write_text(rows + f"\nthe last of {file},good\n")
    (tmp_path / "mail.yaml").write_text(
        f"{{name: mail, template: '{{text}}', label_column: kind, files: {json.dumps(files)}}}"
    )
    return weeks


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


def planned(weeks: Weeks, day: str | None = None) -> str:
    """What ``nightly SWEEP --plan`` prints."""
    console = PlainConsole(file=StringIO(), width=120)
    assert plan_night(str(weeks.file), console, day=day, places={"output": str(weeks.folder / "runs")}) == 0
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


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


def test_two_nights_at_once_are_refused(weeks: Weeks) -> None:
    with SearchLock(weeks.place / "2026-06-01", "small", what="night"), pytest.raises(LockError, match="night"):
        weeks.night("2026-06-01")
    with SearchLock(weeks.place, "small", what="sweep"), pytest.raises(LockError, match="sweep"):
        weeks.night("2026-06-02")
    assert weeks.trained == [] and not json.loads((weeks.place / "2026-06-02" / "night.json").read_text())["concluded"]
