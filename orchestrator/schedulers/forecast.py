"""How trials will end, from what all of them have reported: a Gaussian process over trials and the course of training.

The score of trial i at the share u of its budget is taken to be what all trials have in common at u, plus what sets the
trial apart, plus noise that shrinks with the learning rate. What sets it apart is a random walk in u^p: it grows as
training goes on, and early reports tell little of what is still to come. Trials whose configurations are near each
other share a part of it. Validation losses, where they are known, show the same difference in another unit and with
less noise. Freeze-thaw Bayesian optimization (Swersky, Snoek and Adams 2014, arXiv:1406.3896) has the idea; its kernel
of exponential decays is left out, since prompt methods bloom late.

How large each part is differs between tasks: a few sets of sizes (`PRIORS`) are tried on the reports at hand, and each
counts as much as it makes them likely; `python -m benchmarks.frontier` judges what follows from them. Nothing is drawn
but from a fixed seed: the same reports give the same forecast.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Report = tuple[float, float | None]
"""Score in points, and the validation loss in nats where it is known."""

SAMPLES = 1024
OBSERVATIONS = 600
"""Of scores and losses together, about so many are used: with more, old reports of a trial are left out."""

EXAMPLES = 500
"""Of a validation split whose size is not known: it sets the unit in which differences between scores are measured."""

COMMON = {"score": 8.0, "loss": 3.0}
"""Standard deviation of what all trials have in common, in units: so wide that the reports decide."""

LENGTH = 0.5
"""At this distance configurations are alike to e^-1/2, where each hyperparameter spans 0 to 1."""


@dataclass(frozen=True)
class Prior:
    """How large the parts are, as standard deviations in units: standard errors of a score, spreads of the losses.

    Attributes:
        score, loss: of what sets a trial apart at the end of its budget.
        growth: it grows like u to this power.
        shared: share of it that trials of equal configuration have in common.
        noise, noise_of_loss: of a report at the start of training; at the end it is ``last``, a tenth of the loss's.
        alike: correlation of what sets trials apart in the score and in the loss.
    """

    score: float
    loss: float = 1.0
    growth: float = 1.0
    shared: float = 0.6
    noise: float = 1.2
    noise_of_loss: float = 0.15
    last: float = 0.4
    alike: float = 0.95


PRIORS = (Prior(3.0, growth=0.7), Prior(3.0), Prior(5.0), Prior(5.0, growth=2.0))
"""Trials that go their own ways sooner or later, and end near each other or far apart."""


@dataclass(frozen=True)
class _Observations:
    """What was reported, centred and in units; arrays of one length.

    Attributes:
        trial: index of the trial. at: share of its budget, above 0 and at most 1. loss: whether it is of a loss.
    """

    trial: NDArray[np.int64]
    at: Array
    loss: NDArray[np.bool_]
    value: Array
    centre: float
    unit: float


class Forecaster:
    """Says how trials will end.

    Args:
        numbers: of all trials. steps: budget of a trial, in updates.
        configurations: by number, as far as they are known; a trial without one is taken to be like no other.
        examples: of the validation split; 0 where not known.
    """

    def __init__(
        self,
        numbers: Sequence[int],
        steps: int,
        configurations: Mapping[int, Mapping[str, Any]] | None = None,
        examples: int = 0,
        priors: Sequence[Prior] = PRIORS,
    ) -> None:
        self.index = {number: place for place, number in enumerate(sorted(numbers))}
        self.steps, self.examples, self.priors = steps, examples, tuple(priors)
        self._alike = likeness(self.index, configurations or {})
        half = np.random.default_rng(0).standard_normal((SAMPLES // 2, len(self.index)))
        self._normal = np.stack([half, -half], axis=1).reshape(SAMPLES, -1)

    def ends(self, reports: Mapping[int, Mapping[int, Report]]) -> Array:
        """Scores at the end of the budget, in points: ``SAMPLES`` draws x trials, in the order of their numbers.

        Args:
            reports: by trial and step, one at least. Scores are finite; a loss that is not is given as None.
        """
        seen = self._observed(reports)
        fits = [self._fit(seen, prior) for prior in self.priors]
        likely = np.array([fit[2] for fit in fits])
        weights = np.exp(likely - likely.max())
        edges = np.round(np.cumsum(weights / weights.sum()) * SAMPLES).astype(int)
        drawn = np.empty_like(self._normal)
        begin = 0
        for (mean, covariance, _), end in zip(fits, edges, strict=True):
            if end > begin:
                drawn[begin:end] = mean + self._normal[begin:end] @ _root(covariance).T
            begin = end
        return (drawn * seen.unit + seen.centre).astype(np.float64)

    def _observed(self, reports: Mapping[int, Mapping[int, Report]]) -> _Observations:
        kinds = 2 if any(loss is not None for own in reports.values() for _, loss in own.values()) else 1
        most = max(1, OBSERVATIONS // (kinds * max(1, len(reports))))
        rows = [
            (self.index[number], step / self.steps, *own[step])
            for number, own in sorted(reports.items())
            for step in thinned(sorted(own), most)
        ]
        trial = np.array([row[0] for row in rows])
        at = np.array([row[1] for row in rows])
        scores = np.array([row[2] for row in rows])
        centre, unit = float(scores.mean()), standard_error(float(scores.mean()), self.examples)
        value = (scores - centre) / unit
        with_loss = [place for place, row in enumerate(rows) if row[3] is not None]
        if with_loss:
            gains = standardised(-np.array([rows[place][3] for place in with_loss], float), at[with_loss])
            trial, at = np.concatenate([trial, trial[with_loss]]), np.concatenate([at, at[with_loss]])
            value = np.concatenate([value, gains])
        return _Observations(trial, at, np.arange(len(trial)) >= len(rows), value, centre, unit)

    def _fit(self, seen: _Observations, prior: Prior) -> tuple[Array, Array, float]:
        """Mean (trials) and covariance (trials x trials) of the scores at the end, in units, and the log likelihood."""
        trials = len(self.index)
        alike = prior.shared * self._alike + (1.0 - prior.shared) * np.eye(trials)
        size = np.where(seen.loss, prior.loss, prior.score)
        common = np.where(seen.loss, COMMON["loss"], COMMON["score"])
        same_kind = seen.loss[:, None] == seen.loss[None, :]
        grown, root = seen.at**prior.growth, np.sqrt(seen.at)
        apart = np.minimum.outer(grown, grown) ** 2
        apart *= alike[np.ix_(seen.trial, seen.trial)] * np.outer(size, size) * np.where(same_kind, 1.0, prior.alike)
        shared = np.outer(common, common) * (4.0 + np.minimum.outer(root, root) ** 2) * same_kind
        noise = np.where(seen.loss, prior.noise_of_loss, prior.noise) ** 2 * (1.0 - seen.at)
        noise += np.where(seen.loss, 0.1 * prior.noise_of_loss, prior.last) ** 2 + 1e-4
        factor = np.linalg.cholesky(apart + shared + np.diag(noise))
        white = np.linalg.solve(factor, seen.value)
        likely = float(-0.5 * white @ white - np.log(np.diag(factor)).sum())
        cross = alike[:, seen.trial] * grown**2 * prior.score * size * np.where(seen.loss, prior.alike, 1.0)
        cross += np.where(seen.loss, 0.0, common**2 * (4.0 + seen.at))
        pulled = np.linalg.solve(factor, cross.T)
        before = prior.score**2 * alike + COMMON["score"] ** 2 * 5.0 + prior.last**2 * np.eye(trials)
        covariance = np.asarray(before - pulled.T @ pulled, np.float64)
        return np.asarray(pulled.T @ white, np.float64), covariance, likely


def standard_error(score: float, examples: int) -> float:
    """Standard error of a share of right answers, in points; scores near 0 and 100 count as 5 and 95."""
    share = min(max(score / 100.0, 0.05), 0.95)
    return 100.0 * math.sqrt(share * (1.0 - share) / (examples or EXAMPLES))


def standardised(values: Array, at: Array) -> Array:
    """Centred, in units of their spread between trials at the same step; far outliers are pulled in to 8 of them."""
    groups = [values[at == step] for step in np.unique(at)]
    freedom = sum(len(group) - 1 for group in groups)
    spread = math.sqrt(sum(float(((group - group.mean()) ** 2).sum()) for group in groups) / max(1, freedom))
    return np.clip((values - np.median(values)) / (spread or 1.0), -8.0, 8.0)


def thinned(steps: Sequence[int], most: int) -> list[int]:
    """At most so many of the steps: the last of each stretch of equal length, so that the latest is always there."""
    stretch = math.ceil(len(steps) / most)
    return list(steps[::-1][::stretch])[::-1]


def likeness(numbers: Mapping[int, int], configurations: Mapping[int, Mapping[str, Any]]) -> Array:
    """How alike configurations are, from 0 to 1, as trials x trials: the mean over hyperparameters that differ.

    Numbers are compared on a logarithmic scale where they span a factor of four, anything else by being equal.
    """
    known = {place: configurations[number] for number, place in numbers.items() if number in configurations}
    alike = np.eye(len(numbers))
    names = sorted({name for configuration in known.values() for name in configuration})
    parts = [part for name in names if (part := _alike([c.get(name) for c in known.values()])) is not None]
    if parts:
        places = list(known)
        alike[np.ix_(places, places)] = np.mean(parts, axis=0)
    return alike


def _alike(values: Sequence[Any]) -> Array | None:
    if len(set(map(str, values))) < 2:
        return None
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        line = np.array(values, float)
        if line.min() > 0 and line.max() / line.min() >= 4:
            line = np.log(line)
        line = (line - line.min()) / (line.max() - line.min())
        return np.asarray(np.exp(-(np.subtract.outer(line, line) ** 2) / (2 * LENGTH**2)))
    texts = np.array(list(map(str, values)))
    return np.where(texts[:, None] == texts[None, :], 1.0, math.exp(-1 / (2 * LENGTH**2)))


def _root(covariance: Array) -> Array:
    return np.asarray(np.linalg.cholesky(covariance + 1e-6 * np.eye(len(covariance))), np.float64)
