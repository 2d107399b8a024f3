"""What the peer's run says: makespan, start-up, time a step and an evaluation, and what a whole grid would take."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class PeerTrial:
    """One trial's reports, as `benchmarks.peer` hands them to Tune. Times are seconds since the epoch.

    Attributes:
        reports: ``step``, ``score`` (0 to 100), ``train_seconds`` and ``evaluation_seconds`` (since the report before),
            ``started`` (the function was entered), ``training_started``, ``ended`` (the report was made).
        stopped: a scheduler ended it.
    """

    configuration: dict[str, Any]
    reports: list[dict[str, float]] = field(default_factory=list)
    stopped: bool = False


@dataclass
class PeerRun:
    """One run of `benchmarks.peer`.

    Attributes:
        grid: configurations of the whole grid; ``trials`` may be its first few.
        at_once: trials that ran side by side.
        began: the command's process started.
        loop_began: Tune began to start trials.
        ended: after the last trial, with Tune's own end.
    """

    grid: int
    at_once: int
    began: float
    loop_began: float
    ended: float
    trials: list[PeerTrial]


@dataclass(frozen=True)
class PeerFigures:
    """All in seconds; scores 0 to 100.

    Attributes:
        makespan: of the command as it ran, with as many trials and steps as it was given.
        fixed: of it, before the first trial and after the last one.
        startup: of a trial, until its steps run at their usual pace: a process, imports, the model, the first step's
            surplus. Where a trial waits for a place, its start-up begins when the place is free.
        step: one update. evaluation: one evaluation.
        best_score: the highest validation score of all trials.
        steps: updates of all trials.
    """

    makespan: float
    fixed: float
    startup: float
    step: float
    evaluation: float
    best_score: float
    steps: int
    trials: int
    at_once: int
    any_stopped: bool

    def grid_makespan(self, configurations: int, steps: int, eval_every: int) -> float:
        """What the whole grid would take at these figures, without early stopping.

        Trials are taken to fill their places evenly, so what the last ones would leave idle is not counted.
        """
        trial = self.startup + steps * self.step + steps // eval_every * self.evaluation
        return self.fixed + configurations / self.at_once * trial

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def figures(run: PeerRun) -> PeerFigures:
    """The figures of a run.

    The first stretch of steps and the first evaluation of a trial are slower than the rest (memory is mapped, kernels
    are chosen): where there are later ones, these give the pace and the first one's surplus counts as start-up.
    Otherwise a short run would make a long one look slower than it is.

    Raises:
        ValueError: there is no trial, or one without a report.
    """
    silent = [str(trial.configuration) for trial in run.trials if not trial.reports]
    if silent or not run.trials:
        raise ValueError(f"no report of {', '.join(silent) or 'any trial'}: nothing can be said of the run")
    stretches = [_stretches(trial) for trial in run.trials]
    # In a run of one stretch a trial, that stretch is all there is to know the pace from.
    later = [s for trial in stretches for s in trial[1:]] or [s for trial in stretches for s in trial]
    step = sum(s.train for s in later) / sum(s.steps for s in later)
    evaluation = statistics.mean(s.evaluation for s in later)
    surplus = [t[0].train + t[0].evaluation - t[0].steps * step - evaluation for t in stretches]
    startup = statistics.mean(a + b for a, b in zip(_startups(run), surplus, strict=True))
    last = max(trial.reports[-1]["ended"] for trial in run.trials)
    return PeerFigures(
        makespan=run.ended - run.began,
        fixed=(run.loop_began - run.began) + (run.ended - last),
        startup=startup,
        step=step,
        evaluation=evaluation,
        best_score=max(report["score"] for trial in run.trials for report in trial.reports),
        steps=int(sum(trial.reports[-1]["step"] for trial in run.trials)),
        trials=len(run.trials),
        at_once=run.at_once,
        any_stopped=any(trial.stopped for trial in run.trials),
    )


@dataclass(frozen=True)
class _Stretch:
    """Steps up to a report: how many, their seconds, and those of the evaluation after them."""

    steps: float
    train: float
    evaluation: float


def _stretches(trial: PeerTrial) -> list[_Stretch]:
    ends = [0.0, *(report["step"] for report in trial.reports)]
    return [
        _Stretch(report["step"] - before, report["train_seconds"], report["evaluation_seconds"])
        for before, report in zip(ends, trial.reports, strict=False)
    ]


def _startups(run: PeerRun) -> list[float]:
    """Of each trial, from the moment that its place was free to its first step."""
    order: Sequence[int] = sorted(range(len(run.trials)), key=lambda i: run.trials[i].reports[0]["started"])
    ends = sorted(trial.reports[-1]["ended"] for trial in run.trials)
    free = [run.loop_began] * min(run.at_once, len(order)) + ends
    found = [0.0] * len(order)
    for place, index in enumerate(order):
        found[index] = run.trials[index].reports[0]["training_started"] - free[place]
    return found
