"""The search as Ray Tune sees it: trials, resources, scheduler."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from ray import tune
from ray.tune import FailureConfig, RunConfig, TuneConfig, Tuner

from orchestrator.engines.actor import Build, Files
from orchestrator.engines.build import build_engine
from orchestrator.engines.kept import KeptEngines
from orchestrator.engines.nodes import own_node
from orchestrator.engines.pool import ACTOR_BYTES, EnginePool
from orchestrator.engines.training_loop import TrialLostError
from orchestrator.plan.plan import Plan
from orchestrator.plan.planned_trial import PlannedTrial
from orchestrator.plan.stopping import scheduler_of
from orchestrator.record.disk import cannot_write, no_room
from orchestrator.record.errors import LockError, StorageError
from orchestrator.record.record import SearchRecord, TrialRecord
from orchestrator.schedulers.decision import Action
from orchestrator.schedulers.journaled import JournaledScheduler
from orchestrator.store.checkpoints import attempts, damaged, next_attempt, remove_tree, to_go_on_from
from orchestrator.store.paths import Folder
from orchestrator.tune.callback import SearchCallback, Silent
from orchestrator.tune.private_ray import hand_no_keys_on
from orchestrator.tune.progress import Progress
from orchestrator.tune.scheduler import TuneScheduler
from orchestrator.tune.search_alg import TuneSearch
from orchestrator.tune.stages import SearchStage, SeedStage, Stage
from orchestrator.tune.take_up import ANEW
from orchestrator.tune.trainable import TrialActor
from orchestrator.tune.warm_start import make_searcher
from trials.errors import UserError

log = logging.getLogger(__name__)

RETRIES = 2  # of a trial that raises
WRITTEN = 1.0  # seconds between two writings of the record, at least: the journal has each report at once
YEAR = 365 * 24 * 3600


class Search:
    """One search's trials under Tune. Each start or resumption is a Tune run of its own ("attempt") over what is left.

    Args:
        storage: folder of the attempts. checkpoints: where the trials' checkpoints are, if not there.
        record: what earlier attempts have left; kept up to date while trials report.
        keep: writes the record down.
        build: what makes an engine. kept: engines that stay loaded between searches; None: there are none.
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
        progress: Progress,
        record: SearchRecord,
        keep: Callable[[], object],
        build: Build = build_engine,
        rerun: Collection[int] = (),
        reuse: Callable[[Sequence[PlannedTrial]], list[TrialRecord]] = lambda planned: [],
        checkpoints: Folder | None = None,
        kept: KeptEngines | None = None,
    ) -> None:
        self.plan = plan
        self.pool = EnginePool(plan, build, kept)
        self.progress = progress
        self.storage = storage
        self.checkpoints: Folder = checkpoints or storage
        self.record = record
        self.keep = keep
        self.reuse = reuse
        known = {trial.number for trial in record.trials}
        record.trials += reuse([trial for trial in plan.trials if trial.number not in known])
        self.stages = self._stages(rerun)
        self.callback = SearchCallback(
            plan.name,
            plan.training.steps,
            progress,
            publish=self._at_turn,
            release=self.pool.release,
            failing=self._failing,
        )
        self.callback.add(record.trials)
        self._next_save = 0.0
        self._journaled: JournaledScheduler | None = None
        self._stage: Stage | None = None
        self._scheduler: TuneScheduler | None = None

    @property
    def open(self) -> int:
        """Trials of the stage in progress that have neither ended nor failed."""
        return next((left for one in self.stages if (left := one.open)), 0)

    def fit(self) -> None:
        """Run what has not ended yet; returns after Ctrl-C as well.

        Raises:
            UserError: there are no engines to be had as they are asked for.
            JournalError: a decision could not be written down.
        """
        try:
            for one in self.stages:
                if isinstance(one, SeedStage):
                    if one.warning:
                        log.info(one.warning)
                    self.callback.add(self.reuse(one.unknown))
                    self._publish(now=True)
                if one.left:
                    self._train(one)
                if one.open:
                    return
        finally:
            for one in self.stages:
                one.journal.close()

    def _stages(self, rerun: Collection[int]) -> list[Stage]:
        plan = self.plan
        searcher, messages = make_searcher(plan, self.record, self.storage.parent) if plan.learns else (None, [])
        scheduler = scheduler_of(plan, self.record.sizes.get("validation", 0))
        stages: list[Stage] = [SearchStage(plan, scheduler, self.storage, self.record, searcher, self.checkpoints)]
        if SeedStage.has_any(plan, self.record, rerun):
            stages.append(SeedStage(plan, self.storage, self.record, self.checkpoints))
        for sentence in messages:
            log.info(sentence)
        if rerun:
            for one in stages:
                one.train_anew(rerun)
            self.keep()
        return stages

    def _train(self, one: Stage) -> None:
        left, described = one.left, bool(self.pool.names)
        try:
            self.pool.start(left)
        except KeyboardInterrupt:  # as Tune does from here on
            return
        if not described:
            log.info(self.pool.describe())
        attempt = next_attempt(self.storage, self.checkpoints)
        at_once = self.pool.at_once(left)
        # Else Tune starts one trial after the other, each when the one before has its actor: searchers may learn. More
        # than there are cores would start at the same time and all be late: the first has an engine train meanwhile.
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(min(left, psutil.cpu_count() or 1))
        # Tune's snapshots of all trials, each as long as the search is large, serve its own way to resume, not ours.
        os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = str(YEAR)
        hand_no_keys_on()
        self._journaled = journaled = one.journaled
        self.callback.waits = lambda number: journaled.action(number) is Action.PAUSE
        scheduler = TuneScheduler(journaled, self.callback.explain, at_once)
        self._stage, self._scheduler = one, scheduler
        configs = self._configs(one, attempt)
        try:
            Tuner(
                tune.with_resources(TrialActor, beside_driver()),
                tune_config=TuneConfig(
                    search_alg=TuneSearch(partial(self._next, configs), scheduler, one.observe),
                    scheduler=scheduler,
                    num_samples=-1,  # as long as there are configurations
                    reuse_actors=True,
                    trial_name_creator=name_of,
                    trial_dirname_creator=name_of,
                ),
                run_config=RunConfig(
                    name=attempt,
                    storage_path=str(self.storage),
                    callbacks=[self.callback, Silent()],
                    failure_config=FailureConfig(max_failures=RETRIES),
                    verbose=0,
                ),
            ).fit()
        finally:
            self._publish(now=True)
            if journaled.failure is not None:  # Tune wraps what its scheduler raises
                raise journaled.failure

    def test(self, adapter: Files) -> dict[str, Any]:
        """The winner's test scores, computed where the trials ran."""
        return self.pool.test(adapter)

    def _next(self, configs: Iterator[dict[str, Any]]) -> dict[str, Any] | None:
        try:
            return next(configs, None)
        except StorageError as error:
            self._end_with(error)  # Tune wraps what is raised here
            raise

    def _configs(self, one: Stage, attempt: str) -> Iterator[dict[str, Any]]:
        """The Tune configs of the trials that are left, each made when it is its turn."""
        left, waiting = one.left, sum(one.journaled.action(trial.number) is Action.PAUSE for trial in one.recorded)
        at_once = max(1, min(self.pool.at_once(left), left - waiting))
        shared = {"directory": self.pool.directory, "at_once": at_once}
        steps = {trial.number: trial.step for trial in one.recorded}
        for trial in one.trials():
            self._make_known(trial)
            recorded = steps.get(trial.number, 0)
            start = to_go_on_from(self.checkpoints, trial.number, recorded)
            for spoilt in damaged(self.checkpoints, trial.number):
                goes_on = f"from {start}" if start else "from its start"
                log.info(f"{spoilt} is damaged: trial {trial.number} goes on {goes_on}")
            place = {"number": trial.number, "checkpoint": start, "recorded": recorded}
            folder = self.checkpoints / attempt / f"trial-{trial.number}"
            yield {**shared, **place, "folder": folder, "trial": trial.config.as_dict()}

    def _make_known(self, trial: PlannedTrial) -> None:
        """Record a trial before it starts: one that a searcher has proposed is known nowhere else."""
        self.record.parameters[trial.number] = trial.parameters
        known = next((known for known in self.callback.records.values() if known.number == trial.number), None)
        if known is None:
            known = TrialRecord(f"planned-{trial.number}", *trial.identity)
            self.callback.records[known.trial_id] = known
            self._publish(now=self.plan.learns)
        elif known.trial_id.startswith(ANEW):
            for attempt in attempts(self.checkpoints):
                remove_tree(attempt / f"trial-{trial.number}")

    def _at_turn(self) -> None:
        """Tune's loop has gone round once: write the record down, and follow the hosts that come and go."""
        self._publish()
        if self._stage is None or self._scheduler is None or not self.pool.due:
            return
        left = self._stage.left
        try:
            self.pool.follow(left)
        except UserError as error:
            self._end_with(error)
        self._scheduler.at_once = self.pool.at_once(left)

    def _publish(self, now: bool = False) -> None:
        """Write the record down, unless it was a moment ago, or that would take more than a tenth of the time."""
        self.record.trials = list(self.callback.records.values())
        started = time.monotonic()
        if not now and started < self._next_save:
            return
        try:
            self.keep()
            self._end_with(no_room(self.storage))
        except LockError as error:
            self._end_with(error)
        except OSError as error:
            found = cannot_write(self.storage.parent, error)
            if found is None:
                raise
            self._end_with(found)
        self._next_save = started + max(WRITTEN, 10 * (time.monotonic() - started))

    def _failing(self, error: BaseException) -> None:
        """A trial has failed, or is about to be tried again: without disk or storage all others would follow it."""
        if isinstance(error, TrialLostError) and error.error is not None:
            error = error.error
        if isinstance(error, OSError):
            self._end_with(cannot_write(self.storage.parent, error))
        elif isinstance(error, StorageError):
            self._end_with(error)

    def _end_with(self, error: UserError | None) -> None:
        """End the stage in progress: its scheduler raises this at its next turn."""
        if error is not None and self._journaled is not None and self._journaled.failure is None:
            self._journaled.failure = error


def beside_driver() -> tune.PlacementGroupFactory:
    """What a trial's actor asks Ray for: its memory, and no core, since engines own the cores.

    Its place is beside the driver as long as there is memory: there it ends with nothing but the driver itself. A
    thousand of them do not fit on most hosts; those left over go where there is room (see `EnginePool.at_once`).
    """
    return tune.PlacementGroupFactory(
        [{"memory": ACTOR_BYTES}], strategy="STRICT_PACK", _soft_target_node_id=own_node()
    )


def name_of(trial: Any) -> str:
    """A Tune trial's name, which is its folder's, by its place in the grid."""
    return f"trial-{trial.config['number']}"
