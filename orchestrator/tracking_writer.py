"""One thread that does the tracking calls in their order, so that a slow or missing server never holds up a search."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger(__name__)

_TRIES = 3  # of one call, while the store answers everything else
_LONGEST_PAUSE = 15.0


@dataclass
class _Work:
    what: str
    call: Callable[[], object]
    tries: int = 0


class Writer:
    """A queue of calls and the thread that makes them.

    A call that raises is made again. What raises tells little of whether trying helps, so the store itself is asked:
    while it does not answer, everything waits for it, in order; where it does, the call is given up after three tries.
    So a call must be safe to make twice.

    Args:
        ask: a cheap call that raises while the store is away.
        shown: the store's name for people.
        interval: seconds that a first call waits for company: reports that gather meanwhile go in one batch.
    """

    def __init__(self, ask: Callable[[], object], shown: str, interval: float = 1.0) -> None:
        self._ask = ask
        self._shown = shown
        self._interval = interval
        self._queue: deque[_Work] = deque()
        self._lost: list[str] = []
        self._changed = threading.Condition()
        self._urgent = False
        self._away_since: float | None = None
        self._deadline: float | None = None
        self._thread: threading.Thread | None = None

    def put(self, what: str, call: Callable[[], object]) -> None:
        """Have ``call`` made after all earlier ones; ``what`` names it should it never succeed."""
        with self._changed:
            if self._deadline is not None:
                raise RuntimeError(f"the tracker is closed: {what} came too late")
            self._queue.append(_Work(what, call))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Make every call now; whether all were made within ``timeout`` seconds."""
        with self._changed:
            self._urgent = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._queue, timeout)

    def close(self, timeout: float) -> list[str]:
        """Make the remaining calls, for ``timeout`` seconds at most, and end the thread.

        Returns:
            What was never delivered, in words, oldest first; a second call returns the same.
        """
        with self._changed:
            if self._deadline is None:
                self._deadline = time.monotonic() + timeout
            self._urgent = True
            self._changed.notify_all()
        if self._thread is not None:
            # A thread that hangs in a request is left behind: it is a daemon, and the request has its own time limit.
            self._thread.join(timeout + 1.0)
        with self._changed:
            return [*self._lost, *(work.what for work in self._queue)]

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._deadline is not None)
                if not self._queue:
                    return
                self._changed.wait_for(lambda: self._urgent, self._interval)
            self._drain()
            if self._late():
                return

    def _drain(self) -> None:
        while not self._late():
            with self._changed:
                if not self._queue:
                    self._urgent = self._deadline is not None
                    return
                work = self._queue[0]
            if self._make(work):
                with self._changed:
                    self._queue.popleft()
                    self._changed.notify_all()

    def _late(self) -> bool:
        return self._deadline is not None and time.monotonic() > self._deadline

    def _make(self, work: _Work) -> bool:
        """Try once; whether the work is over, done or given up."""
        try:
            work.call()
        except Exception as error:
            if self._answers(error):
                work.tries += 1
                if work.tries < _TRIES:
                    return False
                self._lost.append(work.what)
                log.warning("MLflow at %s did not take %s: %s", self._shown, work.what, error)
                return True
            self._wait()
            return False
        self._answered()
        return True

    def _answers(self, error: Exception) -> bool:
        try:
            self._ask()
        except Exception:
            if self._away_since is None:
                self._away_since = time.monotonic()
                log.warning(
                    "MLflow at %s does not answer (%s); the search goes on, and its reports are kept until it does",
                    self._shown, str(error)[:200],
                )  # fmt: skip
            return False
        self._answered()
        return True

    def _answered(self) -> None:
        if self._away_since is not None:
            log.warning("MLflow at %s answers again after %.0f s", self._shown, time.monotonic() - self._away_since)
            self._away_since = None

    def _wait(self) -> None:
        away = time.monotonic() - (self._away_since or time.monotonic())
        pause = min(max(away, 1.0), _LONGEST_PAUSE)
        with self._changed:
            self._changed.wait_for(lambda: self._urgent, pause)
        if self._urgent:
            time.sleep(0.5)  # somebody waits for the queue: try again soon, but not in a tight loop
