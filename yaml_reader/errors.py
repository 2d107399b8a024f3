"""The root of all errors that a user can act on: every problem at once, each with the value, the rule and the fix."""

from __future__ import annotations

from collections.abc import Iterable


class UserError(Exception):
    """Something the user can put right.

    Attributes:
        problems: one sentence a problem; `str()` of the error shows them one a line, as a list where there are several.
        exit_code: of a command that ends with it.
    """

    exit_code = 2

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems: list[str] = [problems] if isinstance(problems, str) else list(problems)
        if not self.problems:
            raise ValueError("a UserError needs at least one problem")
        super().__init__(self.problems)

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return self.problems[0]
        return "\n".join(f"- {problem}" for problem in self.problems)
