"""A search space as distributions that Optuna can sample: the grid's values become the ends of ranges.

- a rate (any axis of numbers above 0 with a fraction): log-uniform between its least and greatest value;
- numbers with a fraction that begin at 0 or below, such as a dropout: uniform between them;
- a whole number: uniform between them, log-uniform where they are a decade or more apart;
- either as its method says, where that says (`trials.methods.Hyperparameter.log`);
- a prompt length whose partner follows from the budget: uniform, and the partner is what the budget leaves;
- names, and rows of values that belong together: one of them.

A configuration never trains more parameters than the space's budget, or than the greatest of the grid where that is
more: a size that would is cut to the largest that does not. What the method refuses to train on the backbone is not
drawn (`trials.methods.Method.refuses`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from search_spaces import Axis, BudgetRule, Configuration, Space
from trials.methods import Method, Sizes, Values, get_method

DIGITS = 3  # of a drawn number: more mean nothing, and make tables unreadable


@dataclass(frozen=True)
class Distributions:
    """How to draw from a space, for one backbone.

    Args:
        space: with its grid.
        width: d of the backbone's embeddings.
        max_source_length: tokens, for sizes that depend on it.
        backbone: all that is known of the backbone's sizes, for what a method refuses; None: width and length alone.

    Attributes:
        all: by the names of Optuna's parameters. Axes of a single value have none.
        ceiling: trained parameters that a configuration may have.
    """

    space: Space
    width: int
    max_source_length: int
    backbone: Sizes | None = None
    all: dict[str, BaseDistribution] = field(init=False)
    ceiling: int = field(init=False)

    def __post_init__(self) -> None:
        found = {",".join(axis.names): self._of(axis) for axis in self.space.axes if len(set(axis.rows)) > 1}
        object.__setattr__(self, "all", found)
        # Where nothing is ever cut nothing need be counted: no other size is drawn above the grid's greatest.
        counted = self.space.configurations if self._method.sized else ()
        grid = [self._method.parameter_count(configuration, self._sizes) for configuration in counted]
        object.__setattr__(self, "ceiling", max([self.space.budget * self.width, *grid]))

    def different(self) -> Iterator[Configuration]:
        """Every configuration that a draw can give, each once, made as it is asked for.

        Rates change fastest: sizes that are cut to the same one would be passed over for long.
        """
        axes = sorted(self.all.items(), key=lambda axis: isinstance(axis[1], FloatDistribution))
        seen: set[tuple[Any, ...]] = set()
        for values in itertools.product(*(_values(distribution) for _, distribution in axes)):
            found = self.configuration({name: value for (name, _), value in zip(axes, values, strict=True)})
            key = tuple(self.effective(found).items())
            if key not in seen and not self.refused(found):
                seen.add(key)
                yield found

    def effective(self, configuration: Configuration) -> Values:
        """What of a configuration is trained (`trials.methods.Method.effective`): where it is equal, so are trials."""
        return self._method.effective(configuration, self._sizes)

    def refused(self, configuration: Configuration) -> str:
        """Why the method cannot train a configuration on this backbone; empty where it can."""
        return self._method.refuses(configuration, self._sizes)

    def count(self, most: int) -> int:
        """How many different configurations there are, counted up to ``most``."""
        return sum(1 for _ in itertools.islice(self.different(), most))

    def describe(self) -> dict[str, str]:
        """What is drawn from, in words, by the names of each axis: ``0.001 to 0.3, log-uniform``."""
        found = {}
        for axis in self.space.axes:
            distribution = self.all.get(",".join(axis.names))
            if isinstance(distribution, FloatDistribution | IntDistribution):
                text = f"{distribution.low:g} to {distribution.high:g}, {'log-' * distribution.log}uniform"
                text += f"; {axis.names[1]} is what the budget leaves" if self._by_budget(axis) else ""
            else:
                text = "; ".join(", ".join(map(str, row)) for row in dict.fromkeys(axis.rows))
            found[", ".join(axis.names)] = text
        return found

    def configuration(self, drawn: Mapping[str, Any]) -> Configuration:
        """The configuration that a draw from `all` stands for."""
        values: dict[str, Any] = {}
        left = None  # the size that is what the budget leaves beside the others
        for axis in self.space.axes:
            key = ",".join(axis.names)
            distribution = self.all.get(key)
            if distribution is None:
                values |= zip(axis.names, axis.rows[0], strict=True)
            elif isinstance(distribution, CategoricalDistribution):
                values |= zip(axis.names, axis.rows[drawn[key]], strict=True)
            elif isinstance(distribution, FloatDistribution):
                values[axis.names[0]] = _rounded(drawn[key], distribution)
            else:
                values[axis.names[0]] = int(drawn[key])
                left = axis.names[1] if self._by_budget(axis) else left
        if left is not None:
            values[left] = BudgetRule(self._method, self._sizes, self.space.budget).size(values)
        order = [name for name in self._method.hyperparameters if name in values]
        return self._cut({name: values[name] for name in order})

    def parameters(self, configuration: Mapping[str, Any]) -> dict[str, Any] | None:
        """The draw that gives this configuration; None where the space does not hold it."""
        drawn: dict[str, Any] = {}
        held = dict(configuration)  # with numbers as they are rounded here
        for axis in self.space.axes:
            key = ",".join(axis.names)
            distribution = self.all.get(key)
            row = tuple(configuration.get(name) for name in axis.names)
            if isinstance(distribution, CategoricalDistribution):
                if row not in axis.rows:
                    return None
                drawn[key] = axis.rows.index(row)
            elif isinstance(distribution, IntDistribution | FloatDistribution):
                value = row[0]
                kinds = int if isinstance(distribution, IntDistribution) else int | float
                if not isinstance(value, kinds) or not distribution.low <= value <= distribution.high:
                    return None
                drawn[key] = value
                if isinstance(distribution, FloatDistribution):
                    held[axis.names[0]] = _rounded(value, distribution)
        same = self.configuration(drawn)
        return drawn if all(_close(same[name], held.get(name)) for name in same) else None

    def _of(self, axis: Axis) -> BaseDistribution:
        values = [row[0] for row in axis.rows]
        numbers = [value for value in values if isinstance(value, int | float)]
        if (len(axis.names) > 1 and not self._by_budget(axis)) or len(numbers) < len(values):
            return CategoricalDistribution(range(len(axis.rows)))
        low, high = min(numbers), max(numbers)
        log = self._method.hyperparameters[axis.names[0]].log
        if all(isinstance(value, int) for value in numbers):
            return IntDistribution(int(low), int(high), log=low > 0 and (high >= 10 * low if log is None else log))
        return FloatDistribution(low, high, log=low > 0 and log is not False)

    def _by_budget(self, axis: Axis) -> bool:
        return axis.names == ("prompt_length", self.space.sized)

    @property
    def _method(self) -> Method:
        return get_method(self.space.method)

    @property
    def _sizes(self) -> Sizes:
        return self.backbone or Sizes(self.width, self.max_source_length)

    def _cut(self, configuration: Configuration) -> Configuration:
        method, sizes = self._method, self._sizes
        if method.sized is None or method.parameter_count(configuration, sizes) <= self.ceiling:
            return configuration
        return {**configuration, method.sized: max(1, method.largest_size(configuration, sizes, self.ceiling))}


def _rounded(number: float, distribution: FloatDistribution) -> float:
    """A number that was drawn, with `DIGITS` digits; from 0 or below to as many places as its larger end then has.

    Near 0 each has three digits of its own, and an even draw would hold values without end.
    """
    low, high = distribution.low, distribution.high
    found = float(f"{number:.{DIGITS}g}") if low > 0 else round(number, _places(distribution)) + 0.0  # no -0.0
    return min(max(found, low), high)


def _places(distribution: FloatDistribution) -> int:
    """Decimal places with which the end that is farther from 0 has `DIGITS` digits; below 0 for ends of 1,000 on."""
    return DIGITS - 1 - math.floor(math.log10(max(abs(distribution.low), abs(distribution.high))))


def _values(distribution: BaseDistribution) -> list[Any]:
    """What a distribution can give, numbers as `Distributions.configuration` rounds them."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    if isinstance(distribution, IntDistribution):
        return list(range(distribution.low, distribution.high + 1))
    assert isinstance(distribution, FloatDistribution)
    low, high = distribution.low, distribution.high
    found = {low, high}
    if low > 0:
        first, last = (math.floor(math.log10(end)) for end in (low, high))
        for decade in range(first, last + 1):
            found |= {float(f"{digits}e{decade - DIGITS + 1}") for digits in range(10 ** (DIGITS - 1), 10**DIGITS)}
    else:
        places = _places(distribution)
        found |= {float(f"{steps}e{-places}") for steps in range(1 - 10**DIGITS, 10**DIGITS)}
    return sorted(value for value in found if low <= value <= high)


def _close(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=10.0 ** (1 - DIGITS) / 2)
    return one == other
