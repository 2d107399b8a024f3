"""What Ray Tune tells of its trials, handed on to MLflow, to the display and to the summarizer's records."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray import cloudpickle
from ray.exceptions import RayTaskError
from ray.tune import Callback
from ray.tune.experiment import Trial

from orchestrator.record import formats
from orchestrator.record.record import TrialRecord, report_of
from orchestrator.record.status import TrialStatus
from orchestrator.tracking.tracker import Tracker

if TYPE_CHECKING:
    from orchestrator.tune.progress import Progress

log = logging.getLogger(__name__)

ADAPTER = "adapter"  # the folder of a checkpoint that holds the adapter's files
_ERROR_LENGTH = 300
_NAMED_ERROR = re.compile(r"[\w.]*(?:Error|Exception|Exit|Interrupt): \S")

_live: dict[str, TrackingCallback] = {}


class TrackingCallback(Callback):
    """Follows the trials of one search.

    A trial's Tune config holds its ``number`` and, as ``trial``, its `TrialConfig` as a dict (or ``configuration`` and
    ``seed`` themselves).

    A search can be resumed in two ways. A new Tune run is given the records of the old one (``take_up``); its trials
    may have new ids, since a trial is known by number, configuration and seed. ``Tuner.restore`` brings the records
    back itself, as the state that Tune keeps for its callbacks, but it also unpickles the callback, and neither files
    nor threads survive that. So a pickled callback is only the search's name, and unpickling gives the callback that
    this process made for that name: make it before calling ``Tuner.restore``.

    What goes wrong here is logged once and never reaches Tune, where it would end the search.

    Args:
        search: the search's name.
        budget: steps of a trial that is not stopped.
        tracker: where runs are written; the search has been started on it.
        progress: the display.
        recipe: name of the training recipe, one of the parameters of each run.
        raise_errors: let errors out, for tests.

    Attributes:
        records: what is known of each trial, by Tune's id, in the order of their numbers.
        find_adapter: the folder of a trial's adapter by its number; where there is none, Tune's checkpoint counts.
    """

    def __init__(
        self,
        search: str,
        budget: int,
        tracker: Tracker,
        progress: Progress,
        recipe: str = "",
        raise_errors: bool = False,
    ) -> None:
        self.search = search
        self.budget = budget
        self.records: dict[str, TrialRecord] = {}
        self._tracker = tracker
        self._progress = progress
        self._recipe = recipe
        self._reasons: dict[int, tuple[str, TrialStatus]] = {}
        self._raise_errors = raise_errors
        self._complained: set[str] = set()
        self.find_adapter: Callable[[int], Path | None] = lambda number: None
        self._to_replay = False
        self._seen = 0
        _live[search] = self

    def __reduce__(self) -> tuple[Callable[[str], Callback], tuple[str]]:
        return _revive, (self.search,)

    def explain(self, number: int, reason: str, status: TrialStatus = TrialStatus.STOPPED_EARLY) -> None:
        """For a scheduler: why it is about to end the trial of that number, and what that makes of it."""
        self._reasons[number] = reason, status

    def get_state(self) -> dict[str, Any]:
        """The records, which Tune saves beside the state of its trials."""
        return {"records": [asdict(record) for record in self.records.values()]}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take up the records of the search that is resumed."""
        self.records = {record["trial_id"]: TrialRecord(**record) for record in state["records"]}
        self._to_replay = True  # when Tune shows its trials, whose checkpoints hold adapters that may be missing

    def take_up(self, records: Iterable[TrialRecord]) -> None:
        """Go on from the records of the search that is resumed; before Tune starts, and where nothing is left to do."""
        self.records = {record.trial_id: record for record in records}
        for record in self.records.values():
            self._replay(record, None)

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Make a record for each new trial; in a resumed search, tell first what happened before."""
        if self._to_replay:
            self._to_replay = False
            by_id = {trial.trial_id: trial for trial in trials}
            for record in self.records.values():
                self._replay(record, by_id.get(record.trial_id))
        if len(trials) != self._seen:
            self._seen = len(trials)
            for trial in trials:
                self._record(trial)

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial got an actor: for the first time, or again after a pause, a failure or a resumed search."""
        record = self._record(trial)
        record.status, record.reason, record.error = TrialStatus.RUNNING, "", ""
        with self._guarded("the display"):
            self._progress.trial_started(record.number, record.configuration, record.step)
        with self._guarded("MLflow"):
            self._start_run(record)

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial raised or lost its host, and is tried again from its checkpoint."""
        with self._guarded("the display"):
            self._progress.note(f"trial {self._record(trial).number} is tried again after {error_of(trial)}")

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """A trial reported.

        The first report of a step stands, here as in the journal and in MLflow. It comes again where an actor handed it
        on and died, which the next one cannot know, and where a checkpoint was lost and the steps since the one before
        it are trained once more.
        """
        record, report = self._record(trial), report_of(result)
        if "step" not in report or int(report["step"]) <= record.step:
            return
        record.reports.append(report)
        with self._guarded("the display"):
            self._progress.reported(record.number, report)
        with self._guarded("MLflow"):
            self._tracker.reported(record.trial_id, report)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial ended without an error: at its budget, or because it diverged, or because a scheduler stopped it."""
        record = self._record(trial)
        said = record.reports[-1].get("status") if record.reports else None
        if said == TrialStatus.DIVERGED:
            self._end(trial, TrialStatus.DIVERGED, f"at step {record.step:,} of {self.budget:,}")
        elif said == TrialStatus.FINISHED or record.step >= self.budget:
            self._end(trial, TrialStatus.FINISHED, "")
        else:
            unexplained: tuple[str, TrialStatus] = (
                f"at step {record.step:,} of {self.budget:,}",
                TrialStatus.STOPPED_EARLY,
            )
            reason, status = self._reasons.get(record.number, unexplained)
            self._end(trial, status, reason)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial raised, and its retries are used up."""
        record = self._record(trial)
        with self._guarded("the error of a trial"):
            record.error = error_of(trial)
        self._end(trial, TrialStatus.FAILED, record.error)

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Tune leaves its loop; trials that still run were interrupted."""
        for trial in trials:
            record = self._record(trial)
            if record.status is TrialStatus.RUNNING:
                self._end(trial, TrialStatus.INTERRUPTED, f"at step {record.step:,} of {self.budget:,}")

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

    def _start_run(self, record: TrialRecord) -> None:
        params = record.configuration | {"seed": record.seed}
        if self._recipe:
            params["recipe"] = self._recipe
        self._tracker.trial_started(record.trial_id, record.number, params)
        for report in record.reports:  # a crash may have come before they were delivered
            self._tracker.reported(record.trial_id, report)

    def _end(self, trial: Trial, status: TrialStatus, reason: str) -> None:
        record = self._record(trial)
        record.status, record.reason = (
            status,
            reason if status is not TrialStatus.FAILED else "",
        )  # it has a field for its error
        with self._guarded("the display"):
            self._progress.ended(record.number, status, reason)
        with self._guarded("MLflow"):
            self._end_run(record, trial)

    def _end_run(self, record: TrialRecord, trial: Trial | None) -> None:
        if record.trial_id not in self._tracker:
            if not record.reports:  # it was stopped before it ever started
                return
            self._start_run(record)  # by an earlier run of the search; in this one it waited, and was stopped
        with _adapter_of(trial) as tunes_own:
            adapter = self.find_adapter(record.number) or tunes_own
            self._tracker.trial_ended(record.trial_id, record.status, record.reason or record.error, adapter)

    def _replay(self, record: TrialRecord, trial: Trial | None) -> None:
        """Tell of a trial as the interrupted search left it; MLflow hears only what it had not yet been told."""
        if record.status is TrialStatus.RUNNING:
            record.status = TrialStatus.WAITING  # until Tune starts it again
        if not record.reports and record.status == TrialStatus.WAITING:
            return
        with self._guarded("the display"):
            best = next((r for r in record.reports if r.get("step") == record.best_step), None)
            if best is not None:  # from its own step on, so that no step counts as trained anew
                self._progress.trial_started(record.number, record.configuration, int(best["step"]))
                self._progress.reported(record.number, best)
            self._progress.trial_started(record.number, record.configuration, record.step)
            if record.status.has_ended:
                self._progress.ended(record.number, record.status, record.reason or record.error)
        with self._guarded("MLflow"):
            if not record.status.has_ended or self._tracker.is_settled(record.trial_id, record.status, record.step):
                return
            self._start_run(record)
            self._end_run(record, trial)

    @contextmanager
    def _guarded(self, who: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if self._raise_errors:
                raise
            if who not in self._complained:
                self._complained.add(who)
                log.warning("search %s goes on without %s being told everything: %r", self.search, who, error)
                log.debug("first seen here", exc_info=True)


def identity_of(config: Mapping[str, Any]) -> tuple[int, dict[str, Any], int]:
    """Number, configuration and seed of the trial with this Tune config."""
    trial = config.get("trial", config)
    configuration = trial["hyperparameters"] if "hyperparameters" in trial else trial["configuration"]
    return int(config["number"]), dict(configuration), int(trial["seed"])


def error_of(trial: Trial) -> str:
    """Why a trial failed, on one line: its exception, without Ray's layers around it."""
    error: BaseException | None = None
    if trial.pickled_error_file:
        error = cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
    if isinstance(error, RayTaskError) and isinstance(error.cause, BaseException):
        said = f"{type(error.cause).__name__}: {error.cause}".strip().splitlines()[0]
    else:
        text = str(error) if error else Path(trial.error_file).read_text(encoding="utf-8") if trial.error_file else ""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        # Where an actor could not even be made, the reason stands below Ray's account of the actor.
        named = [line for line in lines if _NAMED_ERROR.match(line)]
        said = named[-1] if named else lines[0] if lines else "no error was recorded"
    return formats.shortened(said, _ERROR_LENGTH)


@contextmanager
def _adapter_of(trial: Trial | None) -> Iterator[Path | None]:
    """The folder with the adapter of the trial's last checkpoint; None where it made none."""
    if trial is None or trial.checkpoint is None:
        yield None
        return
    with trial.checkpoint.as_directory() as folder:
        adapter = Path(folder) / ADAPTER
        yield adapter if adapter.is_dir() else None


def _revive(search: str) -> Callback:
    callback: Callback | None = _live.get(search)
    if callback is None:  # somebody reads a finished search's folder, which needs none
        log.info("search %s is read without its tracking", search)
    return callback or Callback()
