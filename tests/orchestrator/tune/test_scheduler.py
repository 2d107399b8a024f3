"""Every kind of early stopping under a real Ray Tune, with a trainable that trains nothing."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ray import cloudpickle, tune
from ray.tune.experiment import Trial
from ray.tune.result import DONE
from ray.tune.search import Searcher

from orchestrator.record.errors import JournalError
from orchestrator.record.journal import Journal
from orchestrator.schedulers.decision import Action
from orchestrator.schedulers.journaled import JournaledScheduler
from orchestrator.schedulers.make import make_scheduler
from orchestrator.searchers.distributions import Distributions
from orchestrator.searchers.optuna_search import ConfigurationSearch
from orchestrator.tune.scheduler import TuneScheduler
from orchestrator.tune.search_alg import TuneSearch
from search_spaces import load_space
from tests.orchestrator import curves_of
from tests.orchestrator.curves_of import BUDGET, Workers, curves

for module in (sys.modules[__name__], curves_of):
    cloudpickle.register_pickle_by_value(module)  # Ray's workers cannot import these files

TRIALS = 9
SCORES = curves(5, TRIALS)


class Curve(tune.Trainable):
    """Reports a curve of `curves_of`; remembers every report that it ever made in a file."""

    def setup(self, config: dict[str, Any]) -> None:
        self.index = config.get("index", 0)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        if new_config["number"] == new_config.get("dies") and not Path(new_config["log"]).exists():
            Path(new_config["log"]).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        config = self.config
        if (config["number"], self.index) == (config.get("breaks"), 1) and not Path(config["log"]).exists():
            Path(config["log"]).touch()
            raise RuntimeError("breaks once")
        report = curves_of.report_of(config["scores"], self.index)
        self.index += 1
        return {**report, DONE: report["status"] != "running"}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        (Path(checkpoint_dir) / "index.json").write_text(json.dumps(self.index))

    def load_checkpoint(self, checkpoint_dir: Any) -> None:
        self.index = json.loads((Path(checkpoint_dir) / "index.json").read_text())


class Attempt:
    """One start of a search: its trials from where the journaled knows them to be, and what came of them."""

    def __init__(self, folder: Path, name: str, deterministic: bool, **config: Any) -> None:
        self.folder, self.config = folder, {"log": str(folder / "broke"), **config}
        scheduler = make_scheduler(
            name, SCORES, BUDGET, grace_period=100, reduction_factor=3, deterministic=deterministic
        )
        self.journaled = JournaledScheduler(scheduler, Journal(folder / "decisions.jsonl"))
        self.settled = list(self.journaled.scheduler.over)
        self.said: dict[int, tuple[str, str]] = {}
        self.at = {n: max((s for m, s in self.journaled.reports if m == n), default=0) for n in SCORES}

    def fit(self, scores: dict[int, list[float]] = SCORES, **search: Any) -> tune.ResultGrid:
        left = iter([n for n in SCORES if n not in self.settled])
        scheduler = TuneScheduler(self.journaled, lambda n, why, status: self.said.update({n: (why, status)}), 2)

        def next_config() -> dict[str, Any] | None:
            number = next(left, None)
            if number is None:
                return None
            return {**self.config, "number": number, "scores": scores[number], "index": self.at[number] // 100}

        results = tune.Tuner(
            tune.with_resources(Curve, {"cpu": 1}),
            tune_config=tune.TuneConfig(
                scheduler=scheduler,
                search_alg=TuneSearch(search.pop("next_config", next_config), scheduler, **search),
                num_samples=-1,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: f"trial-{trial.config['number']}",
            ),
            run_config=tune.RunConfig(
                name=f"attempt-{len(list(self.folder.glob('attempt-*')))}",
                storage_path=str(self.folder),
                failure_config=tune.FailureConfig(max_failures=1),
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1, num_to_keep=1),
                verbose=0,
            ),
        ).fit()
        self.journaled.journal.close()  # type: ignore[union-attr]
        self.trained = {
            r.config["number"]: r.metrics["step"]
            for r in map(results.__getitem__, range(len(results)))
            if r.config and r.metrics
        }
        return results


def expected(name: str) -> Workers:
    """What the same scheduler decides without Tune, where the order does not matter."""
    scheduler = make_scheduler(name, SCORES, BUDGET, grace_period=100, reduction_factor=3, deterministic=True)
    workers = Workers(JournaledScheduler(scheduler), SCORES, random.Random(0))
    workers.run()
    return workers


@pytest.mark.usefixtures("ray_local")
@pytest.mark.parametrize(
    "name",
    [
        "asha",
        "promotion",
        pytest.param("freeze-thaw", marks=pytest.mark.slow),
        *(pytest.param(name, marks=pytest.mark.cluster) for name in ("median", "none")),  # as the others, under Tune
    ],
)
def test_tune_does_what_the_judge_decides(tmp_path: Path, name: str) -> None:
    attempt = Attempt(tmp_path, name, deterministic=False, breaks=2)
    results = attempt.fit()
    assert not results.errors
    assert set(attempt.journaled.scheduler.over) == set(SCORES)
    stops = attempt.journaled.stops
    assert attempt.said == {n: (d.sentence, "stopped early") for n, d in stops.items()}
    for number in SCORES:
        assert attempt.trained[number] == (stops[number].step if number in stops else BUDGET)
    assert bool(stops) == (name != "none")


@pytest.mark.usefixtures("ray_local")
def test_an_actor_that_is_killed_while_it_takes_a_trial_over_costs_nothing(tmp_path: Path) -> None:
    """Tune alone would fail the trial at once, or wait for it for ever."""
    attempt = Attempt(tmp_path, "none", deterministic=False, dies=7)
    results = attempt.fit()
    assert (tmp_path / "broke").exists()
    assert not results.errors
    assert (
        set(attempt.journaled.scheduler.over.values()) == {"finished"}
        and len(attempt.journaled.scheduler.over) == TRIALS
    )


@pytest.mark.usefixtures("ray_local")
@pytest.mark.parametrize(
    "name",
    [
        "promotion",
        pytest.param("freeze-thaw", marks=pytest.mark.slow),
        pytest.param("median", marks=pytest.mark.cluster),  # as the others, under Tune
    ],
)
def test_a_deterministic_search_that_is_killed_at_a_full_disk_and_resumed_ends_as_if_it_had_not_been(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = expected(name)
    first = Attempt(tmp_path, name, deterministic=True)
    append, left = first.journaled.journal.append, iter(range(7))  # type: ignore[union-attr]

    def append_until_the_disk_is_full(entries: list[dict[str, Any]]) -> None:
        if next(left, None) is None:
            raise JournalError("the disk is full")
        append(entries)

    monkeypatch.setattr(first.journaled.journal, "append", append_until_the_disk_is_full)
    with pytest.raises(Exception, match="the disk is full"):
        first.fit()
    assert isinstance(first.journaled.failure, JournalError)
    first.journaled.journal.close()  # type: ignore[union-attr]

    second = Attempt(tmp_path, name, deterministic=True)
    assert any(second.journaled.action(n) is Action.PAUSE for n in SCORES)  # or the next assertion shows little
    second.fit()
    assert second.journaled.stops == undisturbed.journaled.stops
    at = {n: max(s for m, s in second.journaled.reports if m == n) for n in SCORES}
    assert at == {n: 100 * reports for n, reports in undisturbed.at.items()}
    assert len(second.journaled.reports) == undisturbed.trained


@pytest.mark.usefixtures("ray_local")
def test_what_is_not_a_number_ends_a_trial_under_tune(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, "promotion", deterministic=True)
    attempt.fit({**SCORES, 4: [12.5, float("nan"), 50.0]} | {4: [float("nan")] * 9})
    assert attempt.said[4] == ("at step 100: its score is not a number; it never had a finite one", "diverged")
    assert attempt.trained[4] == 100
    assert len(attempt.journaled.scheduler.rungs[100].standings) == TRIALS - 1


@pytest.mark.usefixtures("ray_local")
def test_a_trial_that_was_stopped_before_its_record_knew_is_not_trained_again(tmp_path: Path) -> None:
    first = Attempt(tmp_path, "asha", deterministic=False)
    for number, score in ((1, 90.0), (2, 10.0)):
        first.journaled.report(number, {"step": 100, "score": score})
    first.journaled.journal.close()  # type: ignore[union-attr]
    second = Attempt(tmp_path, "asha", deterministic=False)
    second.settled = []  # as if nobody had looked into the journal
    second.fit()
    assert second.said[2] == ("at step 100: best so far 10.0 < cutoff 90.0, rank 2 of 2", "stopped early")
    assert max(step for number, step in second.journaled.reports if number == 2) == 100


@pytest.mark.slow
@pytest.mark.usefixtures("ray_local")
def test_a_searcher_is_asked_when_a_worker_is_free_and_hears_how_trials_end(tmp_path: Path) -> None:
    space = load_space("small", method="adept", d_model=256)
    search = ConfigurationSearch(Distributions(space, 256, 256), "tpe", seed=1, samples=TRIALS)
    attempt = Attempt(tmp_path, "promotion", deterministic=False)
    known: list[int] = []

    def next_config() -> dict[str, Any] | None:
        found = search.ask()
        if found is None:
            return None
        known.append(sum(tried.score is not None for tried in search.tried.values()))
        return {"number": found[0], "scores": SCORES[found[0]], "configuration": found[1]}

    attempt.fit(next_config=next_config, observe=search.hear)
    assert known == sorted(known) and known[:2] == [0, 0] and len(known) == TRIALS
    assert all(reported >= place - 1 for place, reported in enumerate(known))  # asked for when another has reported
    stops = attempt.journaled.stops
    for number, tried in search.tried.items():
        assert tried.status == ("stopped early" if number in stops else "finished")
        assert tried.score == max(SCORES[number][: attempt.trained[number] // 100])


def test_a_search_ends_though_nothing_has_room_for_more_when_its_last_trial_is_over(tmp_path: Path) -> None:
    """With nothing left to train no engine counts as free; Tune asks for a trial until it is told of the end."""
    journaled = Attempt(tmp_path, "none", deterministic=False).journaled
    scheduler = TuneScheduler(journaled, lambda number, why, status: None, at_once=1)
    search = TuneSearch(partial(next, iter([{"number": 1}]), None), scheduler)
    assert search.suggest("first") == {"number": 1}
    trial = SimpleNamespace(status=Trial.RUNNING)
    scheduler._trials[1] = cast(Trial, trial)
    assert search.suggest("second") is None
    trial.status, scheduler.at_once = Trial.TERMINATED, 0
    assert search.suggest("second") == Searcher.FINISHED
