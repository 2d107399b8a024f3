"""What a space may set, as typed rules read from `hyperparameters.yaml`."""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from search_spaces.documents import read_document
from search_spaces.problems import SpaceError, did_you_mean, listing, show

Value = float | int | str
Configuration = dict[str, Value]

_FILE = Path(__file__).with_name("hyperparameters.yaml")


@dataclass(frozen=True, kw_only=True)
class Hyperparameter:
    """The rule for one value: a method's hyperparameter, or a setting of the space."""

    name: str
    meaning: str
    type: Literal["float", "int", "choice"]
    above: float | None = None
    """A bound from below that is itself not allowed."""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    default: Value | None = None
    required: bool = True
    """Must be given. False where there is a default, or where `meaning` says what decides otherwise."""

    @property
    def rule(self) -> str:
        """What is allowed, in words: `a number above 0 and at most 100`."""
        if self.type == "choice":
            return f"one of {listing(self.choices)}"
        bounds = (("above", self.above), ("of at least", self.minimum), ("at most", self.maximum))
        limits = " and ".join(f"{word} {bound:,}" for word, bound in bounds if bound is not None)
        noun = "a whole number" if self.type == "int" else "a number"
        return f"{noun} {limits}".rstrip()

    def read(self, value: object) -> Value:
        """The value as its type has it (a rate written `1` becomes 1.0).

        Raises:
            ValueError: it breaks the rule; the message says how.
        """
        if self.type == "choice":
            if isinstance(value, str) and value in self.choices:
                return value
            hint = did_you_mean(value, self.choices) if isinstance(value, str) else ""
            raise ValueError(f"{show(value)}; needed is {self.rule}{hint}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{show(value)}; needed is {self.rule}{_number_hint(value)}")
        if self.type == "int" and isinstance(value, float):
            hint = f"; did you mean {int(value)}?" if math.isfinite(value) and value == int(value) else ""
            raise ValueError(f"{value!r} is not a whole number; needed is {self.rule}{hint}")
        inside = (
            math.isfinite(value)
            and (self.above is None or value > self.above)
            and (self.minimum is None or value >= self.minimum)
            and (self.maximum is None or value <= self.maximum)
        )
        if not inside:
            raise ValueError(f"{value!r} is out of range; needed is {self.rule}")
        return float(value) if self.type == "float" else value


def methods() -> list[str]:
    """The methods that a space may hold grids for."""
    return list(_tables().methods)


def hyperparameters(method: str) -> dict[str, Hyperparameter]:
    """What a method can be given, by name, in the order in which configurations show it.

    Raises:
        SpaceError: no such method.
    """
    table = _tables().methods
    if method not in table:
        raise SpaceError([unknown_method(method)])
    return dict(table[method])


def setting_rules() -> dict[str, Hyperparameter]:
    """What a space's `settings` can be given, by name."""
    return dict(_tables().settings)


def budget_rule() -> Hyperparameter:
    """The rule for a space's parameter budget, in rows of a soft prompt."""
    return _tables().budget


def unknown_method(method: str) -> str:
    """The message for a method that does not exist."""
    return f"{method!r} is no method ({listing(methods())}){did_you_mean(method, methods())}"


def _number_hint(value: object) -> str:
    """What someone who wrote a number as text, or two values as one, should have written."""
    if value == "from_budget":
        return "; from_budget stands alone: `bottleneck: from_budget` (adept) or `rank: from_budget` (dept)"
    if isinstance(value, list):
        return "; values that belong together need a joint axis"
    if isinstance(value, str):
        try:
            float(value.replace(",", "."))
        except ValueError:
            return ""
        return f"; write {value.replace(',', '.')} without quotes"
    return ""


class _Tables(NamedTuple):
    budget: Hyperparameter
    settings: dict[str, Hyperparameter]
    methods: dict[str, dict[str, Hyperparameter]]


@functools.cache
def _tables() -> _Tables:
    data = read_document(_FILE).data
    return _Tables(
        budget=_rules({"budget": data["budget"]})["budget"],
        settings=_rules(data["settings"]),
        methods={method: _rules(entries) for method, entries in data["methods"].items()},
    )


def _rules(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Hyperparameter]:
    rules = {}
    for name, entry in entries.items():
        given = {**entry, "choices": tuple(entry.get("choices", ()))}
        rules[name] = Hyperparameter(name=name, **{"required": "default" not in entry, **given})
    return rules
