"""The axes of a search: how hyperparameters are laid out in charts, and which of them matter."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from orchestrator.record import formats
from orchestrator.summarizer.page.search_view import SearchView, TrialView, is_number
from orchestrator.summarizer.results.grid_edges import LEVELS, is_learning_rate
from orchestrator.summarizer.results.ranked_trials import split_configuration

_RATIO = 20.0  # a range of numbers that is narrower than this needs no logarithms
_FEWEST = 4  # trials that it takes to estimate a share of the variance
_FOREST = 300  # trials up to which fANOVA's random forest takes about a second


@dataclass(frozen=True)
class HyperparameterAxis:
    """One hyperparameter, or several that change together (a prompt length and the bottleneck that its budget leaves).

    Attributes:
        names: the hyperparameters' names.
        kind: ``levels`` for a few values at equal distances, else a scale for numbers.
        levels: the values, as tuples in the order of ``names``, from the lowest; all of them for any kind.
    """

    names: tuple[str, ...]
    kind: Literal["levels", "log", "linear"]
    levels: tuple[tuple[Any, ...], ...]

    @property
    def name(self) -> str:
        """All names on one line."""
        return formats.line(" · ".join(self.names))

    @property
    def is_rate(self) -> bool:
        """Whether this is a learning rate."""
        return len(self.names) == 1 and is_learning_rate(self.names[0])

    def value(self, view: TrialView) -> tuple[Any, ...]:
        """The trial's value here; None in the place of a hyperparameter that it has not."""
        return tuple(view.trial.configuration.get(name) for name in self.names)

    def place(self, view: TrialView) -> float:
        """The trial's place between 0 (lowest) and 1."""
        value = self.value(view)
        if self.kind == "levels":
            return self._level_places[_key(value)]
        return self._scaled(value[0])

    def ticks(self, most: int = LEVELS) -> list[tuple[float, str]]:
        """Places and labels of at most ``most`` ticks."""
        if self.kind == "levels":
            every = math.ceil(len(self.levels) / most)
            shown = self.levels[::every]
            return [(self._level_places[_key(value)], label(value)) for value in shown]
        low, high = self.levels[0][0], self.levels[-1][0]
        shares = [place / (most - 1) for place in range(most)]
        if self.kind == "log":
            return [(share, formats.number(float(f"{low * (high / low) ** share:.1e}"))) for share in shares]
        return [(share, formats.number(float(f"{low + (high - low) * share:.3g}"))) for share in shares]

    @cached_property
    def _level_places(self) -> dict[str, float]:
        last = max(len(self.levels) - 1, 1)
        return {_key(value): place / last if len(self.levels) > 1 else 0.5 for place, value in enumerate(self.levels)}

    def _scaled(self, value: float) -> float:
        low, high = self.levels[0][0], self.levels[-1][0]
        if self.kind == "log":
            return math.log(value / low) / math.log(high / low)
        return (value - low) / (high - low)


@dataclass(frozen=True)
class Importance:
    """Shares of the variance of the scores that each axis explains; they add up to 1.

    Attributes:
        evaluator: the method's name.
        step: where the scores are from.
        trials: how many scores there were.
        shares: the largest first.
    """

    evaluator: str
    step: int
    trials: int
    shares: tuple[tuple[HyperparameterAxis, float], ...]


def axes(search: SearchView) -> list[HyperparameterAxis]:
    """The hyperparameters that differ between trials, in the order of the configuration."""
    trials = search.record.trials
    names, _ = split_configuration(trials)
    if len({_key(trial.configuration) for trial in trials}) < 2:
        return []
    columns = {name: [trial.configuration.get(name) for trial in trials] for name in names}
    return [_axis(together, [columns[name] for name in together]) for together in _together(columns)]


def importance(search: SearchView, found: Sequence[HyperparameterAxis]) -> Importance | str:
    """How much each axis matters for the score at the last step that all trials reached; or why that is not known.

    Optuna's fANOVA (Hutter et al. 2014); of many trials its PED-ANOVA (Watanabe et al. 2023), which is quicker and
    looks at the best tenth alone. Axes of one trial's hyperparameters that change together count once.
    """
    step = search.common_step
    scores = {view.rank: score for view in search.trials for at, score in view.curve if at == step}
    seen = [view for view in search.trials if view.rank in scores]
    if not found:
        return "No hyperparameter differs between trials."
    if len(seen) < _FEWEST:
        return f"It takes {_FEWEST} trials with a score at the same step; there are {len(seen)}."
    if len(set(scores.values())) == 1:
        return f"All {len(seen)} trials score the same at step {step:,}."
    shares = _shares(seen, [scores[view.rank] for view in seen], found)
    if not all(map(math.isfinite, shares)) or not sum(shares):
        return "The scores cannot be traced to any hyperparameter."
    ordered = sorted(zip(found, shares, strict=True), key=lambda pair: -pair[1])
    return Importance("fANOVA" if len(seen) <= _FOREST else "PED-ANOVA", step, len(seen), tuple(ordered))


def label(value: tuple[Any, ...], columns: int = 16) -> str:
    """A value of an axis in few characters: ``0.3``, ``20 · 39``."""
    return formats.shortened(" · ".join(formats.value(part) for part in value), columns)


def _shares(seen: Sequence[TrialView], scores: Sequence[float], found: Sequence[HyperparameterAxis]) -> list[float]:
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
    from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    keys = [f"axis {place}" for place in range(len(found))]
    space: dict[str, BaseDistribution] = {
        # Levels that are numbers keep their order: a forest splits them by it.
        key: CategoricalDistribution([_key(value) for value in axis.levels])
        if axis.kind == "levels" and not _ordered(axis)
        else FloatDistribution(0.0, 1.0)
        for key, axis in zip(keys, found, strict=True)
    }
    study = optuna.create_study(direction="maximize")
    for view, score in zip(seen, scores, strict=True):
        params = {
            key: _key(axis.value(view)) if isinstance(space[key], CategoricalDistribution) else axis.place(view)
            for key, axis in zip(keys, found, strict=True)
        }
        study.add_trial(optuna.create_trial(params=params, distributions=space, value=score))
    few = len(seen) <= _FOREST
    evaluator = FanovaImportanceEvaluator(seed=0) if few else PedAnovaImportanceEvaluator()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shares = get_param_importances(study, evaluator=evaluator)
    return [shares.get(key, 0.0) for key in keys]


def _ordered(axis: HyperparameterAxis) -> bool:
    return all(is_number(value[0]) for value in axis.levels)


def _together(columns: dict[str, list[Any]]) -> list[tuple[str, ...]]:
    """Names in groups whose values stand in one-to-one relation; where no value comes twice, that means nothing."""
    groups: list[list[str]] = []
    for name, values in columns.items():
        keys = [_key(value) for value in values]
        repeated = len(set(keys)) < len(keys)
        for group in groups:
            others = [_key(value) for value in columns[group[0]]]
            if repeated and len(set(others)) == len(set(keys)) == len(set(zip(keys, others, strict=True))):
                group.append(name)
                break
        else:
            groups.append([name])
    return [tuple(group) for group in groups]


def _axis(names: tuple[str, ...], columns: list[list[Any]]) -> HyperparameterAxis:
    distinct = list({_key(value): value for value in zip(*columns, strict=True)}.values())
    numeric = all(is_number(part) for value in distinct for part in value)
    levels = tuple(sorted(distinct, key=None if numeric else lambda value: [str(part) for part in value]))
    if len(levels) <= LEVELS or len(names) > 1 or not numeric:
        return HyperparameterAxis(names, "levels", levels)
    low, middle, high = levels[0][0], levels[len(levels) // 2][0], levels[-1][0]
    if low <= 0 or high / low < _RATIO:
        return HyperparameterAxis(names, "linear", levels)
    # The scale on which the median is nearer to the middle is the one on which the values were chosen.
    logarithmic, plain = math.log(middle / low) / math.log(high / low), (middle - low) / (high - low)
    return HyperparameterAxis(names, "log" if abs(logarithmic - 0.5) < abs(plain - 0.5) else "linear", levels)


def _key(value: Any) -> str:
    return json.dumps(value, default=str, sort_keys=True)
