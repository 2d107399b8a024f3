"""The cells of a sweep: what it compares, from search to search and from run to run."""

from __future__ import annotations

from typing import NamedTuple


class CellKey(NamedTuple):
    """What is compared from night to night.

    Attributes:
        task, method, backbone: as in a search's record.
    """

    task: str
    method: str
    backbone: str

    def __str__(self) -> str:
        return f"{self.task}, {self.method} on {self.backbone}"
