"""Errors that a user can act on (`yaml_reader.errors`), where trials raise them."""

from __future__ import annotations

from yaml_reader.errors import UserError
from yaml_reader.hints import did_you_mean

__all__ = ["BackboneError", "DataError", "PrecisionError", "RowsError", "TaskError", "UserError", "did_you_mean"]


class DataError(UserError):
    """The rows of a task cannot be found, read or used."""


class TaskError(UserError):
    """A task's name or its file is wrong."""


class RowsError(TaskError):
    """A task's file is right, and its rows cannot be found, read or used.

    Attributes:
        task: the task's name.
    """

    def __init__(self, problems: list[str], task: str = "") -> None:
        super().__init__(problems)
        self.task = task


class BackboneError(UserError):
    """A backbone cannot be found, loaded or used with what was asked of it."""


class PrecisionError(BackboneError):
    """A backbone that is right in float32 is not in fewer bits."""
