"""One thread that brings a store to the newest state of a search, so that a slow or missing one never holds it up."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from orchestrator.record.secrecy import without_secrets

log = logging.getLogger(__name__)

S = TypeVar("S")

_BETWEEN_TRIES = 0.3  # seconds
_LONGEST_PAUSE = 15.0
_HURRIED_PAUSE = 0.5  # while somebody waits for the end: soon, but not in a tight loop


class Writer(Generic[S]):
    """Holds one state, the newest, until the store has it. While the store is away it is tried again and again.

    Args:
        bring: given a state, and what to ask whether to stop half-way: brings the store there and returns whether it
            is; raises while the store does not answer.
        shown: the store's name for people.
        interval: seconds that a first state waits for the next: reports that gather meanwhile go in one batch.
    """

    def __init__(
        self, bring: Callable[[S, Callable[[], bool]], bool], shown: str, interval: float = _BETWEEN_TRIES
    ) -> None:
        self._bring = bring
        self._shown = shown
        self._interval = interval
        self._newest: S | None = None
        self._changed = threading.Condition()
        self._urgent = False
        self._away_since: float | None = None
        self._deadline: float | None = None
        self._thread: threading.Thread | None = None

    def put(self, state: S) -> None:
        """Have the store brought to this state, instead of any earlier one.

        Raises:
            RuntimeError: the writer is closed.
        """
        with self._changed:
            if self._deadline is not None:
                raise RuntimeError("the tracker is closed: a state of the search came too late")
            self._newest = state
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Write now; whether the store had everything within ``timeout`` seconds."""
        with self._changed:
            self._urgent = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._newest is None, timeout)

    def close(self, timeout: float) -> bool:
        """Write the rest, for ``timeout`` seconds at most, and end the thread; whether the store has everything."""
        with self._changed:
            if self._deadline is None:
                self._deadline = time.monotonic() + timeout
            self._urgent = True
            self._changed.notify_all()
        if self._thread is not None:
            # A thread that hangs in a request is left behind: it is a daemon, and the request has its own time limit.
            self._thread.join(timeout + 1.0)
        return self._newest is None

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._newest is not None or self._deadline is not None)
                if self._newest is None:
                    return
                self._changed.wait_for(lambda: self._urgent, self._interval)
                state = self._newest
            written = self._try(state)
            with self._changed:
                if written and self._newest is state:
                    self._newest, self._urgent = None, self._deadline is not None
                    self._changed.notify_all()
            if self._late():
                return

    def _late(self) -> bool:
        return self._deadline is not None and time.monotonic() > self._deadline

    def _try(self, state: S) -> bool:
        try:
            written = self._bring(state, self._late)
        except Exception as error:
            if self._away_since is None:
                self._away_since = time.monotonic()
                log.warning(
                    "MLflow at %s does not answer (%s); the search goes on, and what MLflow lacks is written when it "
                    "does", self._shown, without_secrets(str(error))[:200],
                )  # fmt: skip
            self._wait(min(max(time.monotonic() - self._away_since, 1.0), _LONGEST_PAUSE))
            return False
        if self._away_since is not None:
            log.warning("MLflow at %s answers again after %.0f s", self._shown, time.monotonic() - self._away_since)
            self._away_since = None
        if not written and not self._late():
            time.sleep(_BETWEEN_TRIES)
        return written

    def _wait(self, pause: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._urgent, pause)
        if self._urgent:
            time.sleep(_HURRIED_PAUSE)
