"""Brings a store to a state, change by change: what it holds is read, what it lacks follows, and is made."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from orchestrator.record.secrecy import without_secrets
from orchestrator.tracking.runs import Runs
from orchestrator.tracking.store import Store

log = logging.getLogger(__name__)

S = TypeVar("S")

TRIES = 3  # of one change, while the store answers everything else


@dataclass(frozen=True)
class Change:
    """One thing that MLflow lacks: its name for people, and what puts it there."""

    what: str
    make: Callable[[], None]


class Bringing(ABC, Generic[S]):
    """What is read from the store is read again after anything has gone wrong there.

    Attributes:
        refused: what the store did not take in three tries, though it answers; the next one of these tries it again.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._runs = Runs(store)
        self.refused: dict[str, None] = {}
        self._tries: Counter[str] = Counter()
        self._stale = True

    @abstractmethod
    def _read(self, state: S) -> None:
        """See what the store holds."""

    @abstractmethod
    def _changes(self, state: S) -> Iterator[Change]:
        """What is missing, one after the other: each is looked for when the one before it was made, or was not."""

    def read(self, state: S) -> None:
        """See what the store holds. Raises whatever MLflow's client raises."""
        self._read(state)
        self._stale = False

    def bring(self, state: S, stop: Callable[[], bool] = lambda: False) -> bool:
        """Make what is missing. Whether all is there then, but for what was refused; else call it again in a moment.

        Args:
            stop: asked before each change.

        Raises:
            Exception: the store does not answer.
        """
        if self._stale:
            self.read(state)
        for change in self._changes(state):
            if change.what in self.refused:
                continue
            if stop():
                return False
            try:
                change.make()
            except Exception as error:
                self._stale = True
                self._runs.ask()
                self._tries[change.what] += 1
                if self._tries[change.what] >= TRIES:
                    self.refused[change.what] = None
                    log.warning(
                        "MLflow at %s did not take %s: %s", self._store.shown, change.what, without_secrets(str(error))
                    )
                return False
        return True

    def left(self, state: S) -> list[str]:
        """What MLflow lacks as far as is known, in words."""
        missing = [change.what for change in self._changes(state) if change.what]
        return list(dict.fromkeys([*self.refused, *missing]))
