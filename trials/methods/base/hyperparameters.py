"""What a method can be given: type, bounds, default and meaning of each value, as data. Needs no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from trials.config import Value


@dataclass(frozen=True, kw_only=True)
class Hyperparameter:
    """The rule for one value; `rate`, `count` and `choice` write the usual ones.

    Attributes:
        meaning: one line, for messages: what it is, in the field's terms, with its letter in the paper.
        above: a bound from below that is itself not allowed. minimum, maximum: bounds that are.
        choices: the texts that a ``choice`` may be.
        default: the value where a configuration leaves it out; None: it must be given, unless it is `optional`.
        optional: it may be left out though it has no default; `meaning` says what decides then.
        log: whether a searcher draws it log-uniformly; None: rates it does, whole numbers where they span a decade.
    """

    meaning: str
    type: Literal["float", "int", "choice"]
    above: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    default: Value | None = None
    optional: bool = False
    log: bool | None = None

    @property
    def required(self) -> bool:
        """Whether a configuration must say it."""
        return self.default is None and not self.optional

    def has_type(self, value: object) -> bool:
        """Whether it is a text, a whole number, or any number, as the type has it."""
        if self.type == "choice":
            return isinstance(value, str)
        allowed = int if self.type == "int" else (int, float)
        return isinstance(value, allowed) and not isinstance(value, bool)

    def allows(self, value: Any) -> bool:
        """Whether a value of this type is one of the choices, or within the bounds."""
        if self.type == "choice":
            return value in self.choices
        return (
            math.isfinite(value)
            and (self.above is None or value > self.above)
            and (self.minimum is None or value >= self.minimum)
            and (self.maximum is None or value <= self.maximum)
        )

    def problems(self) -> list[str]:
        """What is wrong with the rule itself, as its author should read it; empty where nothing is."""
        found = []
        if self.type not in ("float", "int", "choice"):
            return [f"type {self.type!r} is not one of float, int, choice"]
        lowest = max((bound for bound in (self.above, self.minimum) if bound is not None), default=-math.inf)
        if self.maximum is not None and (lowest > self.maximum or self.above == self.maximum):
            found.append(f"its bounds allow nothing: from {lowest:g} to {self.maximum:g}")
        if (self.type == "choice") != bool(self.choices):
            found.append("choices belong to the type choice, and a choice needs some")
        if self.default is not None and not (self.has_type(self.default) and self.allows(self.default)):
            found.append(f"its default {self.default!r} is not allowed by its own type and bounds")
        if self.log and not lowest >= 0:
            found.append("log needs a lower bound of 0 or more: there is no logarithm below it")
        return found


def rate(meaning: str, **more: Any) -> Hyperparameter:
    """A learning rate: above 0 and, to catch slips, at most 100."""
    return Hyperparameter(meaning=meaning, **{"type": "float", "above": 0, "maximum": 100, **more})


def count(meaning: str, **more: Any) -> Hyperparameter:
    """A size: a whole number from 1 on and, to catch slips, at most 100,000."""
    return Hyperparameter(meaning=meaning, **{"type": "int", "minimum": 1, "maximum": 100_000, **more})


def choice(meaning: str, *choices: str, **more: Any) -> Hyperparameter:
    """One of some texts."""
    return Hyperparameter(meaning=meaning, **{"type": "choice", "choices": choices, **more})


TOP_VOCABULARY = 5_000
"""Prompt rows are sampled from this many first rows of the vocabulary (ATTEMPT, ``init_prefix_weights``)."""

PROMPT_LR = rate("largest learning rate of the soft prompt (alpha 1)")
PROMPT_LENGTH = count("rows m of the soft prompt; 0: offsets alone", minimum=0, maximum=TOP_VOCABULARY)
PROMPT_INIT = choice(
    "where the prompt starts: the embeddings of a text, or sampled vocabulary rows; left out: the recipe decides",
    "text",
    "vocabulary",
    optional=True,
)
