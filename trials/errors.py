"""Errors that a user can act on (`yaml_reader.errors`), where trials raise them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from yaml_reader.errors import UserError

__all__ = ["BackboneError", "DataError", "TaskError", "UserError", "did_you_mean"]


class DataError(UserError):
    """The rows of a task cannot be found, read or used."""


class TaskError(UserError):
    """A task's name or its file is wrong."""


class BackboneError(UserError):
    """A backbone cannot be found, loaded or used with what was asked of it."""


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """A hint such as `" (did you mean 'rte'?)"`, or `""` where no choice is near `word`."""
    by_lower = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(word.lower(), list(by_lower), n=1, cutoff=0.6)
    return f" (did you mean '{by_lower[near[0]]}'?)" if near else ""
