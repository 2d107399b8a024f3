"""The journal of decisions: a search that is killed anywhere goes on with the same decisions."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from orchestrator.record import journal as journal_module
from orchestrator.record.errors import JournalError
from orchestrator.record.journal import Journal
from orchestrator.record.status import TrialStatus
from orchestrator.schedulers.asha import Promotion
from orchestrator.schedulers.decision import Action, Decision
from orchestrator.schedulers.journaled import JournaledScheduler
from tests.orchestrator.curves_of import Workers, curves, losses
from tests.orchestrator.made_records import make_record, make_trial
from tests.orchestrator.schedulers.test_halving import NUMBERS, SCHEDULERS, SEEDS


def journaled(path: Path, name: str) -> JournaledScheduler:
    return JournaledScheduler(SCHEDULERS[name](), Journal(path))


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_judge_that_is_made_again_knows_the_same(tmp_path: Path, name: str) -> None:
    for seed in SEEDS:
        path = tmp_path / f"{seed}.jsonl"
        first = journaled(path, name)
        Workers(first, curves(seed), random.Random(seed), losses=losses(seed)).run(events=5 * seed)
        first.journal.close()  # type: ignore[union-attr]
        again = journaled(path, name)
        assert again.scheduler.over == first.scheduler.over
        assert again.scheduler.rungs == first.scheduler.rungs
        assert again.scheduler.gains == first.scheduler.gains
        assert again.reports == first.reports
        assert [again.action(n) for n in NUMBERS] == [first.action(n) for n in NUMBERS]
        again.journal.close()  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["together", "together by loss", "median together"])
def test_killed_at_any_event_a_search_decided_together_ends_as_if_it_had_not_been(tmp_path: Path, name: str) -> None:
    undisturbed = Workers(JournaledScheduler(SCHEDULERS[name]()), curves(4), random.Random(0), losses=losses(4))
    undisturbed.run()
    for kill in range(0, undisturbed.trained, 3):
        path = tmp_path / f"{kill}.jsonl"
        first = Workers(journaled(path, name), curves(4), random.Random(kill), losses=losses(4))
        first.run(events=kill)
        first.journaled.journal.close()  # type: ignore[union-attr]
        second = first.resumed(journaled(path, name), random.Random(-kill))
        second.run()
        assert second.at == undisturbed.at
        assert second.journaled.stops == undisturbed.journaled.stops
        assert first.trained + second.trained == undisturbed.trained  # no report is trained twice


def test_a_journal_cut_at_any_byte_gives_a_judge_of_the_last_whole_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(journal_module.os, "fsync", lambda file: None)  # of hundreds of small files
    path = tmp_path / "whole.jsonl"
    first = journaled(path, "promotion")
    Workers(first, curves(2, trials=12), random.Random(2)).run(events=7)
    first.journal.close()  # type: ignore[union-attr]
    whole = path.read_bytes()
    complete = {(d["number"], d["step"], d["action"]) for d in Journal(path).found if d["event"] == "decision"}
    for cut in range(len(whole)):
        part = tmp_path / "part.jsonl"
        part.write_bytes(whole[:cut])
        part.with_name("part.jsonl.length").write_text(f"{len(whole)}\n")
        again = journaled(part, "promotion")
        assert "entries are whole and are used" in caplog.messages[-1], cut
        caplog.clear()
        decided = {(n, rung.step, str(v)) for rung in again.scheduler.rungs.values() for n, v in rung.actions.items()}
        assert decided <= complete, cut
        again.journal.close()  # type: ignore[union-attr]
        part.unlink()


def test_what_was_decided_holds_even_where_it_would_be_decided_otherwise_now(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    first = journaled(path, "asha")
    first.report(1, {"step": 100, "score": 50.0})
    decision = Decision(2, Action.STOP, 100, 90.0, 1, 2, 95.0)
    first.journal.append(  # type: ignore[union-attr]
        [
            {"event": "report", "number": 2, "report": {"step": 100, "score": 90.0}},
            {"event": "decision", **decision.as_dict()},
        ]
    )
    first.journal.close()  # type: ignore[union-attr]
    assert journaled(path, "asha").stops == {2: decision}


def test_a_search_from_before_losses_were_told_goes_on(tmp_path: Path) -> None:
    """Its journal says nothing of ties: they were kept, and are; another way of breaking them is refused."""
    path = tmp_path / "j.jsonl"
    first = journaled(path, "asha")
    settings = {key: value for key, value in first.scheduler.settings.items() if key != "ties"}
    decision = Decision(1, Action.CONTINUE, 100, 50.0, 1, 1, 50.0)
    plain = {key: value for key, value in decision.as_dict().items() if "loss" not in key}
    first.journal.close()  # type: ignore[union-attr]
    path.unlink()
    report = {"event": "report", "number": 1, "report": {"step": 100, "score": 50.0}}
    old = Journal(path)
    old.append([{"event": "settings", **settings}, report, {"event": "decision", **plain}])
    old.close()
    again = journaled(path, "asha")
    (tied,) = again.report(2, {"step": 100, "score": 50.0, "validation/loss": 0.4})
    assert (tied.action, tied.loss) == (Action.CONTINUE, None)
    again.journal.close()  # type: ignore[union-attr]
    with pytest.raises(JournalError, match="another ties: ties was keep, is loss"):
        journaled(path, "asha by loss")


def test_a_stop_that_was_written_but_not_carried_out_is_carried_out_on_the_record(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    first = journaled(path, "asha")
    for number, scores in ((1, [50.0]), (2, [20.0]), (3, [math.nan])):
        first.report(number, {"step": 100, "score": scores[0], "best_score": scores[0]})
    first.journal.close()  # type: ignore[union-attr]
    record = make_record(make_trial(1, [], "running"), make_trial(2, [], "running"), make_trial(3, [], "interrupted"))
    again = JournaledScheduler(SCHEDULERS["asha"](), Journal(path), record.trials)
    said = again.catch_up(record)
    assert [trial.status for trial in record.trials] == ["running", "stopped early", "diverged"]
    assert record.trials[1].reason == "at step 100: best so far 20.0 < cutoff 50.0, rank 2 of 2"
    assert [trial.step for trial in record.trials] == [100, 100, 100]
    assert said[0] == "trial 1: the report of step 100 is taken from the journal"
    assert (
        said[2]
        == "trial 2: stopped early now, as decided before: at step 100: best so far 20.0 < cutoff 50.0, rank 2 of 2"
    )
    assert again.catch_up(record) == []


def test_trials_that_the_record_never_heard_of_are_made_from_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    first = journaled(path, "asha")
    first.report(4, {"step": 100, "score": 50.0})
    for step in (100, 900):
        first.report(5, {"step": step, "score": 70.0, "status": "running"})
    first.end(5, TrialStatus.FINISHED)
    first.end(6, TrialStatus.FAILED)
    first.journal.close()  # type: ignore[union-attr]
    record = make_record(make_trial(7, [], "waiting"))
    planned = {number: ({"prompt_lr": number / 10}, 42) for number in NUMBERS}
    journaled(path, "asha").catch_up(record, planned)
    assert [(t.number, t.status, t.step) for t in record.trials] == [
        (4, "interrupted", 100),
        (5, "finished", 900),
        (7, "waiting", 0),
    ]
    assert record.trials[0].configuration == {"prompt_lr": 0.4}


def test_without_its_journal_a_search_goes_on_from_its_record(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trials = [make_trial(1, [50.0], "running"), make_trial(2, [60.0], "running"), make_trial(3, [9.0], "running")]
    scheduler = Promotion((1, 2, 3, 4), 5_000, 1_000, 3, together=True)
    again = JournaledScheduler(scheduler, Journal(tmp_path / "j.jsonl"), [*trials, make_trial(4, [], "failed")])
    assert again.stops.keys() == {1, 3}
    again.journal.close()  # type: ignore[union-attr]
    anew = JournaledScheduler(
        Promotion((1, 2, 3, 4), 5_000, 1_000, 3, together=True), Journal(tmp_path / "j.jsonl"), trials
    )
    assert anew.stops == again.stops
    assert caplog.messages == []


def test_a_trial_whose_last_report_came_but_not_its_end_is_not_trained_past_its_budget(tmp_path: Path) -> None:
    """A kill came between the two lines, or the file was cut there."""
    last = {"step": 900, "score": 70.0, "best_score": 70.0, "best_step": 900, "status": "finished"}
    first = journaled(tmp_path / "j.jsonl", "asha")
    first.report(1, last)
    first.journal.close()  # type: ignore[union-attr]
    record = make_record(make_trial(1, [], "running"), make_trial(2, [60.0], "running"))
    record.trials[1].reports = [last]  # and of this one the journal has nothing
    again = JournaledScheduler(SCHEDULERS["asha"](), Journal(tmp_path / "j.jsonl"), record.trials)
    assert again.scheduler.over == {1: TrialStatus.FINISHED, 2: TrialStatus.FINISHED}
    again.catch_up(record)
    assert [(trial.status, trial.step) for trial in record.trials] == [("finished", 900), ("finished", 900)]
    again.journal.close()  # type: ignore[union-attr]
    assert journaled(tmp_path / "j.jsonl", "asha").scheduler.over == again.scheduler.over


def test_a_failed_trial_is_judged_again_and_one_that_is_wanted_anew_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    first = journaled(path, "asha")
    first.report(1, {"step": 100, "score": 50.0})
    first.report(2, {"step": 100, "score": math.nan})
    first.report(3, {"step": 100, "score": 40.0})
    first.end(1, TrialStatus.FAILED)
    first.start(1)
    first.start(2)  # diverged: it stays so
    assert first.action(2) is Action.DIVERGED
    first.start(2, anew=True)
    first.report(2, {"step": 100, "score": 70.0})
    first.journal.close()  # type: ignore[union-attr]
    again = journaled(path, "asha")
    assert again.scheduler.over.keys() == {3}
    standings = again.scheduler.rungs[100].standings
    assert {number: standing.score for number, standing in standings.items()} == {1: 50.0, 3: 40.0, 2: 70.0}


@pytest.mark.parametrize(
    ("name", "action"),
    [("promotion", Action.STOP), ("together", Action.STOP), ("median together", Action.CONTINUE)],
)
def test_a_failed_trial_that_stands_at_a_rung_is_decided_on_when_it_is_started_again(
    tmp_path: Path, name: str, action: Action
) -> None:
    """Nobody else comes by any more, so it would wait for ever. A journal that has lost its end leaves trials so."""
    first = journaled(tmp_path / "j.jsonl", name)
    *earlier, last = NUMBERS
    for number in earlier:
        first.report(number, {"step": 200, "score": 85.0 if number == 1 else 10.0 * number, "status": "running"})
    assert first.action(1) is Action.PAUSE
    first.end(1, TrialStatus.FAILED)
    first.report(last, {"step": 200, "score": 10.0 * last, "status": "running"})
    first.start(1)
    assert first.action(1) is action
    first.journal.close()  # type: ignore[union-attr]
    assert journaled(tmp_path / "j.jsonl", name).action(1) is action


def test_reports_of_a_trial_that_was_tried_again_are_taken_up_where_the_journal_ends_with_its_failure(
    tmp_path: Path,
) -> None:
    first = journaled(tmp_path / "j.jsonl", "median together")
    first.report(1, {"step": 100, "score": 50.0, "status": "running"})
    first.end(1, TrialStatus.FAILED)
    first.journal.close()  # type: ignore[union-attr]
    tried_again = make_trial(1, [50.0, 60.0], "interrupted", every=100)
    again = JournaledScheduler(SCHEDULERS["median together"](), Journal(tmp_path / "j.jsonl"), [tried_again])
    assert again.scheduler.over == {} and again.scheduler.rungs[200].standings.keys() == {1}
    again.journal.close()  # type: ignore[union-attr]
    assert journaled(tmp_path / "j.jsonl", "median together").reports.keys() == {(1, 100), (1, 200)}


def test_a_journal_of_other_settings_is_refused_with_both(tmp_path: Path) -> None:
    journaled(tmp_path / "j.jsonl", "asha").journal.close()  # type: ignore[union-attr]
    with pytest.raises(JournalError, match="another scheduler, together: scheduler was asha, is promotion"):
        journaled(tmp_path / "j.jsonl", "together")


def test_once_the_disk_is_full_nothing_more_is_decided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = journaled(tmp_path / "j.jsonl", "asha")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journal_module, "_write", full)
        with pytest.raises(JournalError, match="No space left"):
            first.report(1, {"step": 100, "score": 50.0})
    with pytest.raises(JournalError, match="No space left"):
        first.report(2, {"step": 100, "score": 20.0})
    first.journal.close()  # type: ignore[union-attr]
    assert journaled(tmp_path / "j.jsonl", "asha").reports == {}


def test_a_report_that_comes_again_changes_neither_the_journal_nor_what_is_known(tmp_path: Path) -> None:
    """A checkpoint was lost, and a trial trains steps once more; its clock, and its last bits, are others then."""
    path = tmp_path / "again.jsonl"
    first = JournaledScheduler(Promotion(range(1, 5), 16, grace_period=8, reduction_factor=2), Journal(path))
    for step in (4, 8, 4, 8):
        came_before = (1, step) in first.reports
        score = 60.0 if not came_before else 99.0
        made = first.report(1, {"step": step, "score": score, "best_score": score, "status": "running"})
        assert not (came_before and made)
    assert first.scheduler.best == {1: 60.0} and first.reports[1, 8]["score"] == 60.0
    first.journal.close()  # type: ignore[union-attr]
    with Journal(path) as journal:
        assert [e["report"]["step"] for e in journal.found if e["event"] == "report"] == [4, 8]


def test_a_journal_with_the_words_of_before_is_read(tmp_path: Path) -> None:
    """Earlier versions wrote settings and decisions with other words."""
    common = {"event": "decision", "step": 8, "score": 60.0, "rank": 1, "n": 1}
    with Journal(tmp_path / "old.jsonl") as journal:
        journal.append(
            [
                {"event": "settings", "scheduler": "promotion", "steps": 16, "numbers": [1, 2], "grace": 8, "eta": 2}
                | {"together": False},
                {"event": "report", "number": 1, "report": {"step": 8, "score": 60.0}},
                {**common, "number": 1, "verdict": "wait"},
                {"event": "report", "number": 2, "report": {"step": 8, "score": 50.0}},
                {**common, "number": 1, "verdict": "go on", "n": 2, "cutoff": 60.0},
                {**common, "number": 2, "verdict": "stop", "score": 50.0, "rank": 2, "n": 2, "cutoff": 60.0},
            ]
        )
    scheduler = Promotion((1, 2), 16, grace_period=8, reduction_factor=2)
    with Journal(tmp_path / "old.jsonl") as journal:
        again = JournaledScheduler(scheduler, journal)
        assert (again.action(1), again.action(2)) == (Action.CONTINUE, Action.STOP)
        assert again.stops[2].sentence == "at step 8: best so far 50.0 < cutoff 60.0, rank 2 of 2"
        assert len(journal.entries()) == 6, "nothing is decided anew"
