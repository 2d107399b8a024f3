"""Which trials go on: asynchronous successive halving with a memory that can be rebuilt, or no early stopping."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from orchestrator.halving import Rung, rungs

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial


class Asha(FIFOScheduler):
    """Asynchronous successive halving on the best score so far (Li et al. 2020), for Ray Tune.

    A trial is judged at the first report at or after each rung. The learning-rate schedule is not touched: its horizon
    is always the full budget. Ray's own forgets its rungs when a search is resumed and lets NaN pass them.

    Args:
        steps: budget of a trial. grace: first rung. eta: one in ``eta`` goes on.
        earlier: trial numbers with their recorded reports, in the order of the steps, from which a resumed search
            rebuilds its rungs.
        explain: told a trial's number and why it is about to be stopped.
    """

    def __init__(
        self,
        steps: int,
        grace: int,
        eta: int,
        earlier: Iterable[tuple[int, Sequence[Mapping[str, Any]]]],
        explain: Callable[[int, str], None],
    ) -> None:
        super().__init__()
        self.eta = eta
        self.explain = explain
        self.rungs = [Rung(step) for step in rungs(steps, grace, eta)]
        for number, reports in earlier:
            for report in reports:
                self.judge(number, report)

    def judge(self, number: int, report: Mapping[str, Any]) -> str | None:
        """Why the trial should stop at this report; None to go on."""
        reason = None
        for rung in self.rungs:
            if number not in rung.scores and report["step"] >= rung.step:
                reason = rung.verdict(number, float(report["best_score"]), self.eta)
        return reason

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """Tune asks here after every report."""
        if result["status"] != "running":
            return TrialScheduler.CONTINUE  # it ends by itself
        number = trial.config["number"]
        reason = self.judge(number, result)
        if reason is None:
            return TrialScheduler.CONTINUE
        self.explain(number, reason)
        return TrialScheduler.STOP

    def __reduce__(self) -> tuple[type[FIFOScheduler], tuple[()]]:
        # Tune pickles its scheduler with the run. That copy is never used: a resumed search makes its own.
        return FIFOScheduler, ()
