"""How a bad space is reported: all problems at once, a line each, with the value, the rule and the likely fix."""

from collections.abc import Iterable

from yaml_reader.errors import UserError
from yaml_reader.hints import closest

__all__ = ["SpaceError", "closest", "did_you_mean", "listing", "show"]

_LONGEST_VALUE = 60
_KINDS = {bool: "a yes/no value", int: "a number", float: "a number", str: "text", list: "a list", dict: "a mapping"}


class SpaceError(UserError):
    """A space, or a request for one, that cannot be used."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'name'?`, or nothing where no known name is near."""
    name = closest(word, known)
    return f"; did you mean {name!r}?" if name is not None else ""


def show(value: object) -> str:
    """The value with its kind, for a message: `'abc' is text`, `true is a yes/no value`."""
    if value is None:
        return "nothing is given"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    if len(text) > _LONGEST_VALUE:
        text = text[: _LONGEST_VALUE - 3] + "..."
    return f"{text} is {_KINDS.get(type(value), 'of an unknown kind')}"


def listing(names: Iterable[object]) -> str:
    """Names as they stand in a message: `a, b, c`, or `none`."""
    return ", ".join(str(name) for name in names) or "none"
