"""What a task asks for: one of a few labels, a text, or a number. Every target is learnt and answered as a text."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar, Literal

Kind = Literal["labels", "text", "number", "code"]
KINDS: tuple[Kind, ...] = ("labels", "text", "number")
"""What a task file can ask for; code is asked for by registered tasks alone, since it is run."""
MOST_NUMBERS = 1_001
"""Values that a number may take, at most: 0 to 100 in steps of 0.1."""

BETWEEN = "\x1e"
"""Between the right answers of one example, where there are several: Unicode's record separator, part of no answer."""


def alternatives(answers: Iterable[str]) -> str:
    """Several right answers as one target text, each once; those that are empty only where there is no other."""
    found = dict.fromkeys(answer.replace(BETWEEN, " ").strip() for answer in answers)
    return BETWEEN.join(filter(None, found))


def right_answers(target: str) -> list[str]:
    """The right answers of an example; the first is the one that is learnt."""
    return target.split(BETWEEN)


@dataclass(frozen=True)
class Labels:
    """One of a closed set of labels.

    Attributes:
        texts: value of the column -> target text that the backbone learns to write (a digit, in the paper). Values are
            compared as `label_key` writes them, so 1, 1.0 and "1" are one label.
        column: holds the label.
    """

    texts: Mapping[Any, str] = field(hash=False)
    column: str = "label"
    kind: ClassVar[Kind] = "labels"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy",)

    @property
    def answers(self) -> tuple[str, ...]:
        """All target texts, each once, in the order of the labels."""
        return tuple(dict.fromkeys(self.texts.values()))

    @property
    def rules(self) -> dict[str, Any]:
        """What decides the right answers, as JSON; of before there were other targets, so that it names no kind."""
        return {"labels": {label_key(value): text for value, text in self.texts.items()}, "label_column": self.column}

    def text_of(self, value: Any) -> str:
        """The target text of a value. Raises ValueError with what is allowed."""
        texts = {label_key(known): text for known, text in self.texts.items()}
        if label_key(value) not in texts:
            why = "; -1 is how the hub marks rows without a label, such as GLUE's test split" if value == -1 else ""
            raise ValueError(f"allows {', '.join(texts)}{why}")
        return texts[label_key(value)]


@dataclass(frozen=True)
class Text:
    """A text that the backbone writes by greedy decoding.

    Attributes:
        column: holds the text.
        max_length: tokens of an answer at most, its end included; longer targets are cut in training, and counted in
            the data report. 20 is what ADePT's released code generates (its `generation_max_length`).
        empty: whether an empty text is a right answer.

    A column may hold several right answers to one example (`alternatives`).
    """

    column: str = "target"
    max_length: int = 20
    empty: bool = False
    kind: ClassVar[Kind] = "text"
    metrics: ClassVar[tuple[str, ...]] = ("exact_match", "token_f1")
    answers: ClassVar[tuple[str, ...]] = ()

    @property
    def rules(self) -> dict[str, Any]:
        """What decides the right answers, as JSON."""
        more = {"empty": True} if self.empty else {}
        return {"target": {"type": self.kind, "column": self.column, "max_length": self.max_length, **more}}

    def text_of(self, value: Any) -> str:
        """The text itself. Raises ValueError where it is none, or empty and must not be."""
        if not isinstance(value, str) or not (value.strip() or self.empty):
            raise ValueError("needs a text that is not empty (where no answer is right, write what says so)")
        return value.strip()


@dataclass(frozen=True)
class Code(Text):
    """A program that continues the source, scored by running it (`trials.sandbox`).

    Its column holds the reference and what answers are scored by, as two `alternatives`: the first is learnt.

    Attributes:
        stops: texts that end an answer, and are no part of it.
    """

    column: str = "check"
    max_length: int = 256
    stops: tuple[str, ...] = ()
    kind: ClassVar[Kind] = "code"
    metrics: ClassVar[tuple[str, ...]] = ("pass_at_1",)

    @property
    def rules(self) -> dict[str, Any]:
        """What decides the right answers, as JSON."""
        return {"target": {**super().rules["target"], "stops": list(self.stops)}}

    def text_of(self, value: Any) -> str:
        """The text as it is: blanks at its beginning indent a program. Raises ValueError where it is none."""
        if not isinstance(value, str) or len(right_answers(value)) != 2:
            raise ValueError("needs a program and what it is scored by")
        return value


@dataclass(frozen=True)
class Number:
    """A number in a range, written as a text such as "3.8".

    Attributes:
        low, high: bounds, both allowed.
        step: numbers are rounded to a multiple of it, halves to the even one (as NumPy rounds).
        column: holds the number.
    """

    low: float
    high: float
    step: float
    column: str = "target"
    kind: ClassVar[Kind] = "number"
    metrics: ClassVar[tuple[str, ...]] = ("pearson", "spearman")

    @property
    def answers(self) -> tuple[str, ...]:
        """The texts of all numbers, ascending."""
        first, last = (self._steps(bound) for bound in (self.low, self.high))
        return tuple(dict.fromkeys(self._text(number * self.step) for number in range(first, last + 1)))

    @property
    def problem(self) -> str:
        """Why such a range is none; empty where it is one."""
        if not all(map(math.isfinite, (self.low, self.high, self.step))) or self.step <= 0 or self.low >= self.high:
            return f"needs low < high and a step above 0, found {self.low:g}, {self.high:g} and {self.step:g}"
        if (count := (self.high - self.low) / self.step) >= MOST_NUMBERS:
            return (
                f"has {count:,.0f} steps between {self.low:g} and {self.high:g}, at most {MOST_NUMBERS - 1:,} are read"
            )
        if self._steps(self.low) == self._steps(self.high):
            return f"rounds all numbers from {self.low:g} to {self.high:g} to one: needs a step below {self.step:g}"
        return ""

    @property
    def rules(self) -> dict[str, Any]:
        """What decides the right answers, as JSON."""
        numbers = {"low": self.low, "high": self.high, "step": self.step}
        return {"target": {"type": self.kind, "column": self.column, **numbers}}

    def text_of(self, value: Any) -> str:
        """The text of a number. Raises ValueError where it is none, or out of range."""
        number = math.nan if isinstance(value, bool) else as_number(str(value))
        if not self.low <= number <= self.high:
            raise ValueError(f"allows numbers from {self.low:g} to {self.high:g}")
        return self._text(number)

    def _text(self, number: float) -> str:
        decimals = max(0, -int(Decimal(str(self.step)).normalize().as_tuple().exponent))
        return f"{self._steps(number) / (1 / self.step) + 0.0:.{decimals}f}"

    def _steps(self, number: float) -> int:
        """How many steps a number is, rounded."""
        return round(number * (1 / self.step))  # 10 for a step of 0.1: number * 10 is exact where number / 0.1 is not


Target = Labels | Text | Number


def as_number(text: str) -> float:
    """The finite number that a text spells; NaN for any other."""
    try:
        number = math.nan if "_" in text else float(text)  # Python's own `1_000` is no spelling of a number elsewhere
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


_WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]*))\.0+")  # how a column of floats spells whole numbers
_TRUTH = {"true": "1", "false": "0"}


def label_key(value: Any) -> str:
    """One spelling for a label of any file format: 1, 1.0, "1" and "1.0" are "1"; true and "True" are "true"."""
    text = str(value)
    if whole := _WHOLE.fullmatch(text):
        text = whole.group(1)
        return "0" if text == "-0" else text
    if isinstance(value, float) and value.is_integer():  # 1e+16
        return str(int(value))
    return text.lower() if text.lower() in ("true", "false") else text


def near_key(key: str) -> str:
    """Equal for labels that a reader would take for one: but for case, what is not seen, or a number's spelling."""
    seen = "".join(c for c in unicodedata.normalize("NFKC", key) if unicodedata.category(c) != "Cf")
    folded = " ".join(seen.casefold().split())
    folded = _TRUTH.get(folded, folded)
    try:
        return str(Decimal(folded).normalize() + 0)
    except ArithmeticError:  # no number
        return folded


def is_no_label(key: str) -> bool:
    """Whether a label is none that anybody could have meant: empty, or "not a number"."""
    return near_key(key).casefold() in ("", "nan")
