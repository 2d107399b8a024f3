"""What a search itself needs to hear from Tune: to write its record down, to follow the hosts, and to free slots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ray import cloudpickle
from ray.exceptions import RayActorError
from ray.tune.progress_reporter import TrialProgressCallback

from orchestrator.record.record import TrialRecord
from orchestrator.tune.callback import TrackingCallback, error_of

LOSSES = 20  # of a trial's actor, with its host or by itself, that do not count as retries


class RecordingCallback(TrackingCallback):
    """Also hands the records on after every event, to be written down, and frees slots whose trials do not train."""

    publish: Callable[[], None]
    release: Callable[[int], None]
    waits: Callable[[int], bool]
    failing: Callable[[str], None]

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._losses: Counter[str] = Counter()  # of each trial's actor, by Tune's id
        self._faults: Counter[str] = Counter()  # of the trial itself

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
            self._progress.waits(trial.config["number"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial ended; its actor may have nothing else to do and keep its slot."""
        super().on_trial_complete(iteration, trials, trial, **info)
        self.release(trial.config["number"])

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial is tried again; the actor that had its slot is gone.

        What took the actor away, most likely its host, is no fault of the trial and uses up none of its retries.
        """
        super().on_trial_recover(iteration, trials, trial, **info)
        lost = actor_was_lost(trial) and self._losses[trial.trial_id] < LOSSES
        (self._losses if lost else self._faults)[trial.trial_id] += 1
        trial.run_metadata.num_failures = self._faults[trial.trial_id]  # Tune counts some losses twice
        self.failing(error_of(trial))
        self.release(trial.config["number"])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial failed for good."""
        super().on_trial_error(iteration, trials, trial, **info)
        self.failing(error_of(trial))
        self.release(trial.config["number"])


class Silent(TrialProgressCallback):
    """In the place of Tune's own, which tells even at verbosity 0 of a trial that is over without having started."""

    def _print(self, msg: str) -> None:
        """The display says it."""


def actor_was_lost(trial: Any) -> bool:
    """Whether a trial failed since its actor's process ended, and not over something that the trial raised."""
    if not trial.pickled_error_file:
        return False
    error = cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
    return isinstance(error, RayActorError) and not error.actor_init_failed
