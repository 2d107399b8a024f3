"""What a space may set: the hyperparameters of its methods, which they declare, and the settings below."""

import math
from collections.abc import Mapping

from search_spaces.problems import SpaceError, did_you_mean, listing, show
from trials.config import Value
from trials.errors import UserError
from trials.methods import Hyperparameter, Method, count, get_method, method_names

Configuration = dict[str, Value]

SETTINGS: Mapping[str, Hyperparameter] = {
    "steps": count("optimizer steps of a whole trial; the learning rate reaches 0 here", maximum=None),
    "eval_every": count("steps from one evaluation, report and checkpoint to the next", maximum=None),
    "batch_size": count("rows of one optimizer step", maximum=None),
    "warmup_steps": count("steps in which the learning rates rise from 0 to their maximum", minimum=0, maximum=None),
    "max_source_length": count("longest input in tokens; left out: the task's own", maximum=None, optional=True),
}
"""What a space's `settings` can be given, by name."""

BUDGET = count("rows of a soft prompt that from_budget may spend", maximum=5_000, default=100)
"""A space's parameter budget."""


def methods() -> list[str]:
    """The methods that a space may hold grids for."""
    return method_names()


def unknown_method(method: str) -> str:
    """The message for a method that does not exist."""
    return f"{method!r} is no method ({listing(methods())}){did_you_mean(method, methods())}"


def declared(method: str) -> Method:
    """A method's declaration.

    Raises:
        SpaceError: no such method, or one that cannot be used.
    """
    if method not in methods():
        raise SpaceError([unknown_method(method)])
    try:
        return get_method(method)
    except UserError as error:
        raise SpaceError(error.problems) from error


def hyperparameters(method: str) -> dict[str, Hyperparameter]:
    """What a method can be given, by name, in the order in which configurations show it.

    Raises:
        SpaceError: no such method, or one that cannot be used.
    """
    return dict(declared(method).hyperparameters)


def rule(hyperparameter: Hyperparameter) -> str:
    """What is allowed, in words: `a number above 0 and at most 100`."""
    if hyperparameter.type == "choice":
        return f"one of {listing(hyperparameter.choices)}"
    bounds = {
        "above": hyperparameter.above,
        "of at least": hyperparameter.minimum,
        "at most": hyperparameter.maximum,
    }
    limits = " and ".join(f"{words} {bound:,}" for words, bound in bounds.items() if bound is not None)
    noun = "a whole number" if hyperparameter.type == "int" else "a number"
    return f"{noun} {limits}".rstrip()


def read(hyperparameter: Hyperparameter, value: object) -> Value:
    """The value as its type has it (a rate written `1` becomes 1.0).

    Raises:
        ValueError: it breaks the rule; the message says how.
    """
    needed = f"needed is {rule(hyperparameter)}"
    if hyperparameter.type == "choice":
        if isinstance(value, str) and hyperparameter.allows(value):
            return value
        raise ValueError(
            f"{show(value)}; {needed}{did_you_mean(value, hyperparameter.choices) if isinstance(value, str) else ''}"
        )
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{show(value)}; {needed}{_number_hint(value)}")
    if not hyperparameter.has_type(value):
        hint = f"; did you mean {int(value)}?" if math.isfinite(value) and value == int(value) else ""
        raise ValueError(f"{value!r} is not a whole number; {needed}{hint}")
    if not hyperparameter.allows(value):
        raise ValueError(f"{value!r} is out of range; {needed}")
    return float(value) if hyperparameter.type == "float" else value


def _number_hint(value: object) -> str:
    """What someone who wrote a number as text, or two values as one, should have written."""
    if isinstance(value, list):
        return "; values that belong together need a joint axis"
    if isinstance(value, str):
        try:
            float(value.replace(",", "."))
        except ValueError:
            return ""
        return f"; write {value.replace(',', '.')} without quotes"
    return ""
