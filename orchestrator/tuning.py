"""The search as Ray Tune sees it: trials, resources, scheduler."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune import FailureConfig, RunConfig, TuneConfig, Tuner

from orchestrator.checkpoint_files import adapter_folder, attempts, damaged, to_go_on_from
from orchestrator.decisions import Verdict
from orchestrator.disk import DiskFullError, is_full, no_room, tells_of_full
from orchestrator.engine_pool import EnginePool
from orchestrator.engines import Build, Files, build_engine
from orchestrator.judge import Judge
from orchestrator.plans import Plan, PlannedTrial
from orchestrator.progress import Progress
from orchestrator.proposals import make_searcher
from orchestrator.records import SearchRecord, TrialRecord
from orchestrator.rounds import ANEW, FurtherSeedsRound, OwnSeedRound, Round
from orchestrator.schedulers import JudgedScheduler, make_policy
from orchestrator.tracking import Tracker
from orchestrator.tracking_callback import TrackingCallback, error_of
from orchestrator.trainable import TrialActor
from orchestrator.tune_search import TuneSearch

RETRIES = 2  # of a trial whose process dies
YEAR = 365 * 24 * 3600

LIGHT_ACTOR = tune.PlacementGroupFactory([{"memory": 64 << 20}])
"""What a trial's actor asks Ray for: next to nothing, and no core, since engines own the cores."""


class Search:
    """One search's trials under Tune. Each start or resumption is a Tune run of its own ("attempt") over what is left.

    Args:
        storage: folder of the attempts.
        record: what earlier attempts have left; kept up to date while trials report.
        keep: writes the record down.
        build: what makes an engine.
        rerun: numbers of trials to be trained from the start, whatever has become of them.
        reuse: the records of those of some planned trials that were trained before.

    Raises:
        JournalError: the search runs in another process, or its journal cannot be written.
        TrackingError: the store cannot be read for a warm start.
    """

    def __init__(
        self,
        plan: Plan,
        storage: Path,
        tracker: Tracker,
        progress: Progress,
        record: SearchRecord,
        keep: Callable[[], object],
        build: Build = build_engine,
        rerun: Collection[int] = (),
        reuse: Callable[[Sequence[PlannedTrial]], list[TrialRecord]] = lambda planned: [],
    ) -> None:
        self.plan = plan
        self.pool = EnginePool(plan, build)
        self.progress = progress
        self.storage = storage
        self.record = record
        self.keep = keep
        self.reuse = reuse
        known = {trial.number for trial in record.trials}
        record.trials += reuse([trial for trial in plan.trials if trial.number not in known])
        self.rounds = self._rounds(tracker, rerun)
        self.callback = RecordingCallback(
            plan.name, plan.training.steps, tracker, progress, recipe=plan.settings.recipe
        )
        self.callback.publish, self.callback.release = self._publish, self.pool.release
        self.callback.find_adapter = partial(adapter_folder, storage)
        self.callback.failing = self._failing
        self.callback.take_up(record.trials)
        self._next_save = 0.0
        self._judge: Judge | None = None

    @property
    def open(self) -> int:
        """Trials of the round in progress that have neither ended nor failed."""
        return next((left for one in self.rounds if (left := one.open)), 0)

    def fit(self) -> None:
        """Run what has not ended yet; returns after Ctrl-C as well.

        Raises:
            UserError: there are no engines to be had as they are asked for.
            JournalError: a decision could not be written down.
        """
        try:
            for one in self.rounds:
                if isinstance(one, FurtherSeedsRound):
                    if one.said_before:
                        self.progress.note(one.said_before)
                    self.callback.add(self.reuse(one.unknown))
                    self._publish(now=True)
                if one.left:
                    self._train(one)
                if one.open:
                    return
        finally:
            for one in self.rounds:
                one.journal.close()

    def _rounds(self, tracker: Tracker, rerun: Collection[int]) -> list[Round]:
        plan = self.plan
        searcher, said = make_searcher(plan, self.record, self.storage.parent) if plan.learns else (None, [])
        policy = make_policy(
            plan.settings.scheduler,
            plan.numbers,
            plan.training.steps,
            grace=plan.grace,
            eta=plan.settings.eta,
            deterministic=plan.settings.deterministic,
        )
        rounds: list[Round] = [OwnSeedRound(plan, policy, self.storage, self.record, searcher)]
        if plan.repeats:
            rounds.append(FurtherSeedsRound(plan, self.storage, self.record))
        for sentence in [*said, *(sentence for one in rounds for sentence in one.said)]:
            self.progress.note(sentence)
        if rerun:
            tracker.forget(rerun)
            for one in rounds:
                one.train_anew(rerun)
            self.keep()
        return rounds

    def _train(self, one: Round) -> None:
        left, told = one.left, bool(self.pool.names)
        try:
            self.pool.start(left)
        except KeyboardInterrupt:  # as Tune does from here on
            return
        if not told:
            self.progress.note(self.pool.describe())
        attempt = f"attempt-{len(attempts(self.storage)) + 1}"
        at_once = self.pool.at_once(left)
        # Else Tune starts one trial after the other, each when the one before has its actor: searchers may learn.
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(at_once)
        # Tune's snapshots of all trials, each as long as the search is large, serve its own way to resume, not ours.
        os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = str(YEAR)
        self._judge = judge = one.judge
        self.callback.waits = lambda number: judge.verdict(number) is Verdict.WAIT
        scheduler = JudgedScheduler(judge, self.callback.explain, at_once)
        configs = self._configs(one, attempt)
        try:
            Tuner(
                tune.with_resources(TrialActor, LIGHT_ACTOR),
                tune_config=TuneConfig(
                    search_alg=TuneSearch(lambda: next(configs, None), scheduler, one.heard),
                    scheduler=scheduler,
                    num_samples=-1,  # as long as there are configurations
                    reuse_actors=True,
                    trial_name_creator=name_of,
                    trial_dirname_creator=name_of,
                ),
                run_config=RunConfig(
                    name=attempt,
                    storage_path=str(self.storage),
                    callbacks=[self.callback],
                    failure_config=FailureConfig(max_failures=RETRIES),
                    verbose=0,
                ),
            ).fit()
        finally:
            self._publish(now=True)
            if judge.failure is not None:  # Tune wraps what its scheduler raises
                raise judge.failure

    def test(self, adapter: Files) -> dict[str, Any]:
        """The winner's test scores, computed where the trials ran."""
        return self.pool.test(adapter)

    def _configs(self, one: Round, attempt: str) -> Iterator[dict[str, Any]]:
        """The Tune configs of the trials that are left, each made when it is its turn."""
        left, waiting = one.left, sum(one.judge.verdict(trial.number) is Verdict.WAIT for trial in one.recorded)
        shared = {
            "engines": self.pool.names,
            "share": self.pool.share(left),
            "at_once": max(1, min(self.pool.at_once(left), left - waiting)),
        }
        steps = {trial.number: trial.step for trial in one.recorded}
        for trial in one.trials():
            self._make_known(trial)
            recorded = steps.get(trial.number, 0)
            start = to_go_on_from(self.storage, trial.number, recorded)
            for spoilt in damaged(self.storage, trial.number):
                goes_on = f"from {start}" if start else "from its start"
                self.progress.note(f"{spoilt} is damaged: trial {trial.number} goes on {goes_on}")
            place = {"number": trial.number, "checkpoint": str(start) if start else None, "recorded": recorded}
            folder = self.storage / attempt / f"trial-{trial.number}"
            yield {**shared, **place, "folder": str(folder), "trial": trial.config.as_dict()}

    def _make_known(self, trial: PlannedTrial) -> None:
        """Record a trial before it starts: one that a searcher has proposed is known nowhere else."""
        self.record.parameters[trial.number] = trial.parameters
        known = next((known for known in self.callback.records.values() if known.number == trial.number), None)
        if known is None:
            known = TrialRecord(f"planned-{trial.number}", *trial.identity)
            self.callback.records[known.trial_id] = known
            self._publish(now=self.plan.learns)
        elif known.trial_id.startswith(ANEW):
            for folder in self.storage.glob(f"attempt-*/trial-{trial.number}"):
                shutil.rmtree(folder)

    def _publish(self, now: bool = False) -> None:
        """Write the record down, unless that would take more than a tenth of the time."""
        self.record.trials = list(self.callback.records.values())
        started = time.monotonic()
        if not now and started < self._next_save:
            return
        try:
            self.keep()
            self._end_with(no_room(self.storage))
        except OSError as error:
            if not is_full(error):
                raise
            self._end_with(DiskFullError(self.storage, str(error)))
        self._next_save = started + 10 * (time.monotonic() - started)

    def _failing(self, why: str) -> None:
        """A trial has failed, or is about to be tried again: on a full disk all others would follow it."""
        if tells_of_full(why):
            self._end_with(DiskFullError(self.storage, why))

    def _end_with(self, error: DiskFullError | None) -> None:
        """End the round in progress: its scheduler raises this at its next turn."""
        if error is not None and self._judge is not None and self._judge.failure is None:
            self._judge.failure = error


class RecordingCallback(TrackingCallback):
    """Also hands the records on after every event, to be written down, and frees slots whose trials do not train."""

    publish: Callable[[], None]
    release: Callable[[int], None]
    waits: Callable[[int], bool]
    failing: Callable[[str], None]

    def add(self, records: Iterable[TrialRecord]) -> None:
        """Trials that were trained elsewhere."""
        for record in records:
            self.records[record.trial_id] = record
            self._replay(record, None)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Tune's loop has gone round once."""
        self._progress.tick()
        self.publish()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """A trial reported; perhaps from another engine than before."""
        super().on_trial_result(iteration, trials, trial, result, **info)
        if result.get("note"):
            self._progress.note(result["note"])
        if self.waits(trial.config["number"]):  # perhaps for long, and its actor would keep the slot meanwhile
            self.release(trial.config["number"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial ended; its actor may have nothing else to do and keep its slot."""
        super().on_trial_complete(iteration, trials, trial, **info)
        self.release(trial.config["number"])

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial is tried again; the actor that had its slot is gone."""
        super().on_trial_recover(iteration, trials, trial, **info)
        self.failing(error_of(trial))
        self.release(trial.config["number"])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial failed for good."""
        super().on_trial_error(iteration, trials, trial, **info)
        self.failing(error_of(trial))
        self.release(trial.config["number"])


def name_of(trial: Any) -> str:
    """A Tune trial's name, which is its folder's, by its place in the grid."""
    return f"trial-{trial.config['number']}"
