"""What Ray Tune tells of its trials, kept in the search's record and shown on the display."""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray import cloudpickle
from ray.exceptions import RayActorError, RayTaskError
from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback

from orchestrator.record import formats
from orchestrator.record.record import TrialRecord, report_of
from orchestrator.record.status import TrialStatus

if TYPE_CHECKING:
    from orchestrator.tune.progress import Progress

log = logging.getLogger(__name__)

LOSSES = 20  # of a trial's actor, with its host or by itself, that do not count as retries
_ERROR_LENGTH = 300
_NAMED_ERROR = re.compile(r"[\w.]*(?:Error|Exception|Exit|Interrupt): \S")


class SearchCallback(Callback):
    """Follows the trials of one search, and frees slots whose trials do not train.

    A trial's Tune config holds its ``number`` and, as ``trial``, its `TrialConfig` as a dict (or ``configuration`` and
    ``seed`` themselves). Each start of a search is another run of Tune, in which a trial may have another id: it is
    known by number, configuration and seed.

    What goes wrong with the display is logged once and never reaches Tune, where it would end the search.

    Args:
        search: the search's name.
        budget: steps of a trial that is not stopped.
        progress: the display.
        publish: called whenever Tune's loop has gone round, to write the records down.
        release: frees the slot of the trial of a number. failing: given what a trial raised that failed or is tried
            again.
        raise_errors: let the display's errors out, for tests.

    Attributes:
        records: what is known of each trial, by Tune's id, in the order of their numbers.
        waits: whether the trial of a number waits at a rung.
    """

    def __init__(
        self,
        search: str,
        budget: int,
        progress: Progress,
        *,
        publish: Callable[[], object] = lambda: None,
        release: Callable[[int], object] = lambda number: None,
        failing: Callable[[BaseException], object] = lambda error: None,
        raise_errors: bool = False,
    ) -> None:
        self.search = search
        self.budget = budget
        self.records: dict[str, TrialRecord] = {}
        self.waits: Callable[[int], bool] = lambda number: False
        self._progress = progress
        self._publish = publish
        self._release = release
        self._failing = failing
        self._raise_errors = raise_errors
        self._reasons: dict[int, tuple[str, TrialStatus]] = {}
        self._complained = False
        self._losses: Counter[str] = Counter()  # of each trial's actor, by Tune's id
        self._faults: Counter[str] = Counter()  # of the trial itself
        self._seen = 0

    def __reduce__(self) -> tuple[type[Callback], tuple[()]]:
        # Tune pickles its callbacks with the run. That copy is never used: a resumed search makes its own.
        return Callback, ()

    def explain(self, number: int, reason: str, status: TrialStatus = TrialStatus.STOPPED_EARLY) -> None:
        """For a scheduler: why it is about to end the trial of that number, and what that makes of it."""
        self._reasons[number] = reason, status

    def add(self, records: Iterable[TrialRecord]) -> None:
        """Trials that were trained before, by an earlier start of the search or by another one."""
        for record in records:
            self.records[record.trial_id] = record
            if record.status is TrialStatus.RUNNING:
                record.status = TrialStatus.WAITING  # until Tune starts it again
            with self._guarded():
                self._show(record)

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Make a record for each new trial."""
        if len(trials) != self._seen:
            self._seen = len(trials)
            for trial in trials:
                self._record(trial)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Tune's loop has gone round once."""
        with self._guarded():
            self._progress.tick()
        self._publish()

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial got an actor: for the first time, or again after a pause, a failure or a resumed search."""
        record = self._record(trial)
        record.status, record.reason, record.error, record.ended = TrialStatus.RUNNING, "", "", None
        record.started = record.started or _now()
        with self._guarded():
            self._progress.trial_started(record.number, record.configuration, record.step)

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial raised or lost its host, and is tried again from its checkpoint; its slot is taken by nobody.

        What took the actor away, most likely its host, is no fault of the trial and uses up none of its retries.
        """
        error, record = error_of(trial), self._record(trial)
        log.info("trial %d is tried again after %s", record.number, error)
        lost = actor_was_lost(trial) and self._losses[trial.trial_id] < LOSSES
        (self._losses if lost else self._faults)[trial.trial_id] += 1
        trial.run_metadata.num_failures = self._faults[trial.trial_id]  # Tune counts some losses twice
        self._report_failure(trial)
        self._release(record.number)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """A trial reported, perhaps from another engine than before.

        The first report of a step stands, here as in the journal. It comes again where an actor handed it on and died,
        which the next one cannot know, and where a checkpoint was lost and the steps since the one before it are
        trained once more.
        """
        record, report = self._record(trial), report_of(result)
        if "step" in report and int(report["step"]) > record.step:
            report.setdefault("time", _now())
            record.reports.append(report)
            with self._guarded():
                self._progress.reported(record.number, report)
        if result.get("note"):
            with self._guarded():
                log.info(result["note"])
        if self.waits(record.number):  # perhaps for long, and its actor would keep the slot meanwhile
            self._release(record.number)
            with self._guarded():
                self._progress.waits(record.number)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial ended without an error: at its budget, or because it diverged, or because a scheduler stopped it.

        Its actor may have nothing else to do and keep its slot.
        """
        record = self._record(trial)
        reported = record.reports[-1].get("status") if record.reports else None
        if reported == TrialStatus.DIVERGED:
            self._end(record, TrialStatus.DIVERGED, f"at step {record.step:,} of {self.budget:,}")
        elif reported == TrialStatus.FINISHED or record.step >= self.budget:
            self._end(record, TrialStatus.FINISHED, "")
        else:
            unexplained = f"at step {record.step:,} of {self.budget:,}", TrialStatus.STOPPED_EARLY
            reason, status = self._reasons.get(record.number, unexplained)
            self._end(record, status, reason)
        self._release(record.number)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial raised, and its retries are used up."""
        record = self._record(trial)
        record.error = error_of(trial)
        self._end(record, TrialStatus.FAILED, record.error)
        self._report_failure(trial)
        self._release(record.number)

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Tune leaves its loop; trials that still run were interrupted."""
        for trial in trials:
            record = self._record(trial)
            if record.status is TrialStatus.RUNNING:
                self._end(record, TrialStatus.INTERRUPTED, f"at step {record.step:,} of {self.budget:,}")

    def _record(self, trial: Trial) -> TrialRecord:
        if trial.trial_id not in self.records:
            identity = identity_of(trial.config)
            same = (r for r in self.records.values() if (r.number, r.configuration, r.seed) == identity)
            record = next(same, None) or TrialRecord(trial.trial_id, *identity)
            self.records.pop(record.trial_id, None)
            record.trial_id = trial.trial_id
            self.records[trial.trial_id] = record
            self.records = dict(sorted(self.records.items(), key=lambda item: item[1].number))
        return self.records[trial.trial_id]

    def _report_failure(self, trial: Trial) -> None:
        error = _raised(trial)
        if error is not None:
            self._failing(_cause(error))

    def _end(self, record: TrialRecord, status: TrialStatus, reason: str) -> None:
        record.status, record.ended = status, _now()
        record.reason = reason if status is not TrialStatus.FAILED else ""  # it has a field for its error
        with self._guarded():
            self._progress.ended(record.number, status, reason)

    def _show(self, record: TrialRecord) -> None:
        """Show a trial as it was left."""
        if not record.reports and record.status is TrialStatus.WAITING:
            return
        best = next((r for r in record.reports if r.get("step") == record.best_step), None)
        if best is not None:  # from its own step on, so that no step counts as trained anew
            self._progress.trial_started(record.number, record.configuration, int(best["step"]))
            self._progress.reported(record.number, best)
        self._progress.trial_started(record.number, record.configuration, record.step)
        if record.status.has_ended:
            self._progress.ended(record.number, record.status, record.reason or record.error)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if self._raise_errors:
                raise
            if not self._complained:
                self._complained = True
                log.warning("search %s goes on without its display: %r", self.search, error)
                log.debug("first seen here", exc_info=True)


class Silent(TrialProgressCallback):
    """In the place of Tune's own, which tells even at verbosity 0 of a trial that is over without having started."""

    def _print(self, msg: str) -> None:
        """The display says it."""


def identity_of(config: Mapping[str, Any]) -> tuple[int, dict[str, Any], int]:
    """Number, configuration and seed of the trial with this Tune config."""
    trial = config.get("trial", config)
    configuration = trial["hyperparameters"] if "hyperparameters" in trial else trial["configuration"]
    return int(config["number"]), dict(configuration), int(trial["seed"])


def actor_was_lost(trial: Trial) -> bool:
    """Whether a trial failed since its actor's process ended, and not over something that the trial raised."""
    error = _raised(trial)
    return isinstance(error, RayActorError) and not error.actor_init_failed


def error_of(trial: Trial) -> str:
    """Why a trial failed, on one line: its exception, without Ray's layers around it."""
    error = _raised(trial)
    if error is not None and (cause := _cause(error)) is not error:
        found = f"{type(cause).__name__}: {cause}".strip().splitlines()[0]
    else:
        text = str(error) if error else Path(trial.error_file).read_text(encoding="utf-8") if trial.error_file else ""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        # Where an actor could not even be made, the reason stands below Ray's account of the actor.
        named = [line for line in lines if _NAMED_ERROR.match(line)]
        found = named[-1] if named else lines[0] if lines else "no error was recorded"
    return formats.shortened(found, _ERROR_LENGTH)


def _raised(trial: Trial) -> BaseException | None:
    if not trial.pickled_error_file:
        return None
    error: BaseException = cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
    return error


def _cause(error: BaseException) -> BaseException:
    """What a trial's own code raised, where Ray has kept that; else the error itself."""
    return error.cause if isinstance(error, RayTaskError) and isinstance(error.cause, BaseException) else error


def _now() -> float:
    return round(time.time(), 3)
