"""One thread that tells MLflow what is in the spool, so that a slow or missing server never holds up a search."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from orchestrator.record.secrecy import without_secrets
from orchestrator.tracking.spool import Operation, Spool

log = logging.getLogger(__name__)

_TRIES = 3  # of one operation, while the store answers everything else
_BETWEEN_TRIES = 0.3  # seconds
_LONGEST_PAUSE = 15.0

Deliver = Callable[[Sequence[Operation]], Sequence[Operation]]


class Writer:
    """A queue of operations and the thread that delivers them.

    What raises tells little of whether trying again helps, so the store itself is asked: while it does not answer,
    everything waits for it, in order; where it does, an operation is left aside after three tries, and with it what
    follows for a run that could not be made. What is left aside stays in the spool: the next process tries it again.

    Args:
        deliver: does the first of the operations that it is given, and as many of the others as go with it; returns
            which.
        ask: a cheap call that raises while the store is away.
        shown: the store's name for people.
        interval: seconds that a first operation waits for company: reports that gather meanwhile go in one batch.
    """

    def __init__(
        self, spool: Spool, deliver: Deliver, ask: Callable[[], object], shown: str, interval: float = 1.0
    ) -> None:
        self._spool = spool
        self._deliver = deliver
        self._ask = ask
        self._shown = shown
        self._interval = interval
        self._queue: deque[Operation] = deque()
        self._aside: list[Operation] = []
        self._tries = 0
        self._changed = threading.Condition()
        self._urgent = False
        self._away_since: float | None = None
        self._deadline: float | None = None
        self._thread: threading.Thread | None = None

    def put(self, operation: Operation) -> None:
        """Have it delivered after all earlier ones."""
        with self._changed:
            if self._deadline is not None:
                raise RuntimeError(f"the tracker is closed: {operation.what} came too late")
            self._queue.append(operation)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Deliver everything now; whether that was done within ``timeout`` seconds."""
        with self._changed:
            self._urgent = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._queue, timeout)

    def close(self, timeout: float) -> list[str]:
        """Deliver the rest, for ``timeout`` seconds at most, and end the thread.

        Returns:
            What was not delivered, in words, oldest first; a second call returns the same.
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
            left = sorted([*self._aside, *self._queue], key=lambda operation: operation.number)
            return list(dict.fromkeys(operation.what for operation in left))

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._deadline is not None)
                if not self._queue:
                    return
                self._changed.wait_for(lambda: self._urgent, self._interval)
            self._drain()
            self._spool.commit()
            if self._late():
                return

    def _drain(self) -> None:
        while not self._late():
            with self._changed:
                if not self._queue:
                    self._urgent = self._deadline is not None
                    return
                waiting = list(self._queue)
            self._spool.commit()
            over = {id(operation) for operation in self._try(waiting)}
            with self._changed:
                self._queue = deque(operation for operation in self._queue if id(operation) not in over)
                self._changed.notify_all()

    def _late(self) -> bool:
        return self._deadline is not None and time.monotonic() > self._deadline

    def _try(self, waiting: list[Operation]) -> Sequence[Operation]:
        """Try the first once; what of the queue is over with that, delivered or left aside."""
        first = waiting[0]
        try:
            done = self._deliver(waiting)
        except Exception as error:
            first.doubtful = True
            if not self._answers(error):
                self._wait()
                return ()
            self._tries += 1
            if self._tries < _TRIES:
                time.sleep(_BETWEEN_TRIES)
                return ()
            log.warning("MLflow at %s did not take %s: %s", self._shown, first.what, without_secrets(str(error)))
            unmade = first.kind == "start" and first.run not in self._spool.runs
            self._tries = 0
            aside = [first, *(o for o in waiting[1:] if unmade and o.run == first.run)]
            self._aside += aside
            return aside
        self._tries = 0
        self._answered()
        self._spool.delivered(done)
        return done

    def _answers(self, error: Exception) -> bool:
        try:
            self._ask()
        except Exception:
            if self._away_since is None:
                self._away_since = time.monotonic()
                log.warning(
                    "MLflow at %s does not answer (%s); the search goes on, and what it is to be told is kept in %s "
                    "until it does", self._shown, without_secrets(str(error))[:200], self._spool.folder,
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
