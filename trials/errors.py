"""Errors that a user can act on: every problem at once, each with the value, the rule and the likely fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user can put right.

    Attributes:
        problems: one sentence a problem; `str()` of the error shows them one a line, as a list where there are several.
    """

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems: list[str] = [problems] if isinstance(problems, str) else list(problems)
        if not self.problems:
            raise ValueError("a UserError needs at least one problem")
        super().__init__(self.problems)

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return self.problems[0]
        return "\n".join(f"- {problem}" for problem in self.problems)


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
