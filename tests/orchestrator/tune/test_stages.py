"""What is left of a search, whatever was done of it before."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from orchestrator.plan.plan import Plan
from orchestrator.plan.read_settings import read_settings
from orchestrator.plan.resolve import make_plan
from orchestrator.record.record import SearchRecord, TrialRecord
from orchestrator.record.status import TrialStatus
from orchestrator.schedulers.asha import Promotion
from orchestrator.schedulers.base import NoStopping
from orchestrator.searchers.optuna_search import ConfigurationSearch, Distributions
from orchestrator.store import checkpoints
from orchestrator.store.checkpoints import keep, read_kept
from orchestrator.tune.progress import Progress
from orchestrator.tune.runner import Search
from orchestrator.tune.stages import SearchStage, SeedStage
from search_spaces import Configuration

SPACE = """
about: four
settings: {steps: 40, eval_every: 10, batch_size: 8, warmup_steps: 4}
grids:
  adept: {prompt_lr: [0.1, 0.2], mlp_lr: 1e-3, prompt_length: [4, 8], bottleneck: 2}
"""

SUGGESTED: Configuration = {"prompt_lr": 0.15, "mlp_lr": 1e-3, "prompt_length": 5, "bottleneck": 2}


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., Plan]:
    (tmp_path / "four.yaml").write_text(SPACE)

    def make(**options: Any) -> Plan:
        given = {"space": tmp_path / "four.yaml", "output": tmp_path, **options}
        settings, problems = read_settings({key: str(value) for key, value in given.items()})
        return make_plan(settings, problems)

    return make


def record_of(plan: Plan, *ends: tuple[int, str, float]) -> SearchRecord:
    """A record in which some trials have ended, each with one report at its last step."""
    record = SearchRecord(
        name=plan.name, task="debsec", method="adept", backbone="t5-nano", recipe="released_code", metric="accuracy"
    )
    for number, status, score in ends:
        step = 40 if status == "finished" else 10
        report = {"step": step, "score": score, "best_score": score, "best_step": step, "status": "running"}
        trial = next((t for t in plan.trials if t.number == number), None)
        configuration = dict(trial.config.hyperparameters) if trial else {"prompt_lr": number / 10}
        record.trials.append(TrialRecord(f"t{number}", number, configuration, 42, TrialStatus(status), [report]))
    return record


def own(plan: Plan, folder: Path, record: SearchRecord, searcher: ConfigurationSearch | None = None) -> SearchStage:
    return SearchStage(plan, NoStopping(plan.numbers, 40), folder, record, searcher)


def searcher_of(plan: Plan) -> ConfigurationSearch:
    distributions = Distributions(plan.space, plan.facts.width, plan.max_source_length)
    return ConfigurationSearch(distributions, plan.settings.searcher, 42, plan.samples)


def test_failed_trials_are_left_but_not_open(plan: Callable[..., Plan], tmp_path: Path) -> None:
    made = plan()
    record = record_of(made, (1, "finished", 50.0), (2, "failed", 40.0), (3, "interrupted", 30.0))
    one = own(made, tmp_path, record)
    assert sorted(trial.number for trial in one.trials()) == [2, 3, 4]
    assert (one.left, one.open) == (3, 2)


def test_the_best_whole_trainings_are_repeated_on_the_next_seeds(plan: Callable[..., Plan], tmp_path: Path) -> None:
    made = plan(seeds=3, top=2)
    ends: list[tuple[int, str, float]] = [(1, "finished", 50.0), (2, "stopped early", 90.0), (3, "finished", 60.0)]
    record = record_of(made, *ends, (4, "finished", 55.0))
    further = SeedStage(made, tmp_path, record)
    planned = [(t.number, t.config.seed, t.config.hyperparameters) for t in further.trials()]
    best, second = (made.trials[[t.number for t in made.trials].index(n)].config.hyperparameters for n in (3, 4))
    assert planned == [(5, 43, best), (6, 44, best), (7, 43, second), (8, 44, second)]


def test_repeats_keep_their_numbers_when_the_ranking_changes(plan: Callable[..., Plan], tmp_path: Path) -> None:
    made = plan(seeds=2)
    record = record_of(made, (1, "finished", 50.0), (3, "finished", 60.0))
    third = next(t.config.hyperparameters for t in made.trials if t.number == 3)
    report = {"step": 40, "score": 58.0, "best_score": 58.0, "best_step": 40, "status": "finished"}
    record.trials.append(TrialRecord("t5", 5, dict(third), 43, TrialStatus.FINISHED, [report]))
    further = SeedStage(made, tmp_path, record)
    assert (further.left, further.open) == (0, 0)
    next(t for t in record.trials if t.number == 1).reports[0] |= {"score": 70.0, "best_score": 70.0}
    assert [(t.number, t.config.seed) for t in further.trials()] == [(6, 43)]


@pytest.mark.parametrize("options", [{}, {"seeds": 3, "top": 1}])
def test_a_repeat_is_trained_anew_though_fewer_are_asked_for_now(
    plan: Callable[..., Plan], tmp_path: Path, options: dict[str, Any]
) -> None:
    """Else it is forgotten and never trained: without --seeds, of a configuration that is no longer among the best."""
    made = plan(**options)
    record = record_of(made, (1, "finished", 50.0), (2, "finished", 55.0), (3, "finished", 60.0), (4, "finished", 40.0))
    report = {"step": 40, "score": 58.0, "best_score": 58.0, "best_step": 40, "status": "finished"}
    for number, of, seed in ((5, 3, 43), (6, 3, 44), (7, 1, 43)):
        configuration = dict(record.trials[of - 1].configuration)
        record.trials.append(
            TrialRecord(f"t{number}", number, configuration, seed, TrialStatus.FINISHED, [dict(report)])
        )
    progress = Progress(made.count, made.steps, "accuracy", Console(file=io.StringIO()))
    search = Search(made, tmp_path, progress, record, lambda: None, rerun=[7])
    assert search.open == 1
    (left,) = [trial for stage in search.stages for trial in stage.trials()]
    assert left.identity == (7, record.trials[0].configuration, 43)
    for stage in search.stages:
        stage.journal.close()
    record.trials[-1].status = TrialStatus.INTERRUPTED
    assert Search(made, tmp_path, progress, record, lambda: None).open == 1, "it is trained when the search goes on"


def test_a_trial_to_be_trained_anew_is_forgotten_by_record_and_journal(
    plan: Callable[..., Plan], tmp_path: Path
) -> None:
    made = plan()
    record = record_of(made, (1, "finished", 50.0), (2, "diverged", 40.0))
    one = own(made, tmp_path, record)
    one.train_anew([2])
    one.journal.close()
    two = next(t for t in record.trials if t.number == 2)
    assert (two.status, two.reports) == ("waiting", [])
    again = own(made, tmp_path, record)
    assert not two.reports, "the journal brought back what was to be forgotten"
    assert 2 in [trial.number for trial in again.trials()]


def test_what_a_kill_left_in_checkpoints_alone_is_taken_up_in_record_and_journal(
    plan: Callable[..., Plan], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    made = plan()
    record = record_of(made, (1, "interrupted", 50.0), (2, "failed", 40.0), (3, "interrupted", 30.0))
    for number, step, status in ((1, 20, "running"), (2, 20, "running"), (3, 30, "running"), (4, 10, "finished")):
        kept_in(tmp_path, made, number, step, status=status)
    one = own(made, tmp_path, record)
    taken = {t.number: (t.status.value, [report["step"] for report in t.reports]) for t in record.trials}
    assert taken == {
        1: ("interrupted", [10, 20]),
        2: ("failed", [10, 20]),  # it is tried again
        3: ("interrupted", [10]),  # the report of step 20 would be missing
        4: ("finished", [10]),  # the record had not begun to know it
    }
    assert {(number, step) for number, step in one.journaled.reports} == {
        (1, 10),
        (1, 20),
        (2, 10),
        (2, 20),
        (3, 10),
        (4, 10),
    }
    assert "trial 1: the report of step 20 is taken from its checkpoint" in caplog.messages
    one.journal.close()
    caplog.clear()
    again = own(made, tmp_path, record)
    assert not [sentence for sentence in caplog.messages if "checkpoint" in sentence]
    assert [trial.number for trial in again.trials()] == [1, 2, 3]


def test_the_checkpoints_of_a_trial_that_no_record_knows_are_read_once(
    plan: Callable[..., Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has megabytes of weights, and in a storage comes over the network."""
    made, read = plan(), []
    kept_in(tmp_path, made, 4, 10)
    kept_in(tmp_path, made, 4, 10, 20)
    monkeypatch.setattr(checkpoints, "read_kept", lambda place: read.append(place.name) or read_kept(place))
    record = record_of(made)
    own(made, tmp_path, record)
    assert [(t.number, [report["step"] for report in t.reports]) for t in record.trials] == [(4, [10, 20])]
    assert read == ["checkpoint_step_000000010", "checkpoint_step_000000020"]


def kept_in(folder: Path, plan: Plan, number: int, *steps: int, status: str = "running", time: float = 0.0) -> None:
    """The checkpoint of a trial's last step, with the reports of several; that of step 20 came 20 s after `time`."""
    config = next((t for t in plan.trials if t.number == number), plan.trial(number, SUGGESTED)).config.as_dict()
    facts = json.dumps({"step": steps[-1], "config": config}).encode()
    reports: list[dict[str, Any]] = [
        {"step": step, "score": 1.0, "best_score": 1.0, "best_step": step, "status": "running", "time": time + step}
        for step in steps
    ]
    reports[-1]["status"] = status
    keep(folder / "attempt-1" / f"trial-{number}", {"training.json": facts}, reports)


def test_reports_that_a_lost_machine_took_with_it_are_taken_from_later_checkpoints_in_their_order(
    plan: Callable[..., Plan], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    made = plan()
    record = record_of(made, (1, "interrupted", 50.0), (2, "interrupted", 40.0))
    kept_in(tmp_path, made, 1, 10, 20, 30, 40, status="finished", time=100.0)
    kept_in(tmp_path, made, 2, 10, 20, 30, time=95.0)
    one = own(made, tmp_path, record)
    taken = {t.number: (t.status.value, [report["step"] for report in t.reports]) for t in record.trials}
    assert taken == {1: ("finished", [10, 20, 30, 40]), 2: ("interrupted", [10, 20, 30])}
    assert list(one.journaled.reports)[2:] == [(2, 20), (1, 20), (2, 30), (1, 30), (1, 40)]
    sentences = [f"trial {n}: the report of step {step} is taken from its checkpoint" for n, step in ((2, 20), (1, 20))]
    assert [sentence for sentence in caplog.messages if "checkpoint" in sentence][:2] == sentences


def test_a_searcher_is_asked_only_when_it_is_its_turn(plan: Callable[..., Plan], tmp_path: Path) -> None:
    made = plan(searcher="tpe", samples=3)
    searcher = searcher_of(made)
    one = own(made, tmp_path, record_of(made), searcher)
    trials = one.trials()
    assert next(trials).number == 1 and len(searcher.tried) == 1
    assert [trial.number for trial in trials] == [2, 3]


def test_a_resumed_searcher_knows_which_trials_wait_at_a_rung(plan: Callable[..., Plan], tmp_path: Path) -> None:
    """Else it would propose other configurations than the search that was not interrupted."""
    made = plan(searcher="tpe", samples=4)
    searcher = searcher_of(made)
    record = record_of(made, (1, "interrupted", 50.0), (2, "interrupted", 30.0))
    SearchStage(made, Promotion(made.numbers, 40, 10, 4), tmp_path, record, searcher)
    known = {number: (tried.status, tried.step, tried.score) for number, tried in searcher.tried.items()}
    assert known == {1: (TrialStatus.WAITING, 10, 50.0), 2: (TrialStatus.STOPPED_EARLY, 10, 30.0)}


def test_suggested_trials_that_a_record_has_lost_are_taken_from_their_checkpoints(
    plan: Callable[..., Plan], tmp_path: Path
) -> None:
    """A machine was lost, and the record in the storage is behind the journal, and both behind the checkpoints.

    Else another configuration would be suggested under the number of one that has begun, judged by its reports, and put
    into its checkpoint.
    """
    made = plan(searcher="tpe", samples=4)
    record = record_of(made)
    before = own(made, tmp_path, record, searcher_of(made))
    for number in (2, 3):
        before.journaled.report(number, {"step": 10, "score": 1.0, "best_score": 1.0, "status": "running"})
    before.journal.close()
    kept_in(tmp_path, made, 1, 10, 20)
    kept_in(tmp_path, made, 2, 10)
    searcher = searcher_of(made)
    after = own(made, tmp_path, record, searcher)
    known = {
        t.number: (t.configuration, t.seed, t.status, [report["step"] for report in t.reports]) for t in record.trials
    }
    assert known == {1: (SUGGESTED, 42, "interrupted", [10, 20]), 2: (SUGGESTED, 42, "interrupted", [10])}
    assert searcher.tried[1].score == 1.0
    assert set(after.journaled.reports) == {(1, 10), (1, 20), (2, 10)}, "of trial 3 nothing tells what it was"
    assert [trial.number for trial in after.trials()] == [1, 2, 3, 4]


def test_a_searcher_counts_no_trial_as_tried_that_has_not_begun(plan: Callable[..., Plan], tmp_path: Path) -> None:
    """A kill came after it was suggested, or after it had started again; a Gaussian process would take it for poor."""
    made = plan(searcher="gp", samples=4)
    searcher = searcher_of(made)
    record = record_of(made, (1, "waiting", 0.0), (2, "waiting", 50.0), (3, "diverged", 20.0))
    record.trials[0].reports = []
    stage = own(made, tmp_path, record, searcher)
    statuses = {number: tried.status for number, tried in searcher.tried.items()}
    assert statuses == {1: TrialStatus.RUNNING, 2: TrialStatus.RUNNING, 3: TrialStatus.DIVERGED}
    stage.train_anew([3])
    assert (searcher.tried[3].status, searcher.tried[3].score) == (TrialStatus.RUNNING, None)
