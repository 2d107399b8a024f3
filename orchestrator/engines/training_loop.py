"""The thread that trains: an engine of `trials`, and the orders that it takes between two updates. No Ray here."""

from __future__ import annotations

import queue
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol, TypeVar

from orchestrator.store.checkpoints import Files, read_files, write_files

if TYPE_CHECKING:
    from trials.config import Report

T = TypeVar("T")
SHARED_MEMORY = Path("/dev/shm")  # files that are only passed on need no disk, and the host's may be full


class TrialLostError(Exception):
    """The engine does not hold the trial: it was stopped, or the engine's process is a new one.

    Attributes:
        error: what the engine's host could not write, where that is why.
    """

    def __init__(self, why: str, error: OSError | None = None) -> None:
        super().__init__(why, error)
        self.error = error

    def __str__(self) -> str:
        return str(self.args[0])


class Delivery(NamedTuple):
    """A trial's report with its checkpoint as of that report: the files' contents by their paths.

    Without a report, the trial as it is between two: the engine is about to end, and it is to go on in another.
    """

    report: dict[str, Any] | None
    files: Files


class Room(NamedTuple):
    """How many trials an engine holds, and how many it can: none before it is loaded."""

    held: int
    slots: int


class Trainer(Protocol):
    """What a loop needs of an engine: a part of `trials.engine.Engine`, where each is described."""

    note: str

    @property
    def slots_to_fill(self) -> int: ...  # noqa: D102
    @property
    def busy(self) -> bool: ...  # noqa: D102
    def start(self, trial_id: str, config: Any, checkpoint: Path | None = None) -> None: ...  # noqa: D102
    def stop(self, trial_id: str) -> None: ...  # noqa: D102
    def save(self, trial_id: str, folder: Path) -> None: ...  # noqa: D102
    def advance(self) -> list[str]: ...  # noqa: D102
    def take(self, trial_id: str) -> Report | None: ...  # noqa: D102


class NoEngine:
    """What a loop has in the place of an engine that is not needed at the moment: nothing to train, and no slot."""

    note, slots_to_fill, busy = "", 0, False

    def start(self, trial_id: str, config: Any, checkpoint: Path | None = None) -> None:
        """No trial gets here: there is no slot."""
        raise TrialLostError("there is no engine")

    def stop(self, trial_id: str) -> None:
        """No trial is here."""

    def save(self, trial_id: str, folder: Path) -> None:
        """No trial is here."""

    def advance(self) -> list[str]:
        """No report is there."""
        return []

    def take(self, trial_id: str) -> Report | None:
        """No report is there."""
        return None


class TrainingLoop:
    """An engine and the only thread that touches it. Between two updates the thread does what was asked for meanwhile.

    Where an update raises, all trials get its error, and ``broken`` is called.
    """

    def __init__(self, build: Callable[[], Trainer], broken: Callable[[], None]) -> None:
        self._build = build
        self._broken = broken
        self._orders: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        self._asked: dict[str, Future[Delivery]] = {}
        self._steps: dict[str, int] = {}  # of the trials held, as of their last reports
        self._handed_back: dict[str, Delivery] = {}  # to trials that were not waiting when the engine left
        self._leaving = False
        self._updates = 0
        self._seconds = 0.0
        self._loaded = False
        self.engine: Trainer
        threading.Thread(target=self._run, name="training", daemon=True).start()

    def order(self, what: Callable[[], T]) -> Future[T]:
        """Have something done on the thread, after all earlier orders and the update in progress."""
        future: Future[T] = Future()
        self._orders.put((what, future))
        return future

    @property
    def room(self) -> Room:
        """Trials held and slots."""
        return Room(len(self._steps), self.engine.slots_to_fill if self._loaded and not self._leaving else 0)

    @property
    def throughput(self) -> float:
        """Updates of all trials a second, evaluation included, over the stretches that were reported."""
        return self._updates / self._seconds if self._seconds else 0.0

    def start(self, trial_id: str, config: Any, files: Files | None, limit: int) -> bool:
        """Put a trial in a slot; False where ``limit`` trials, or as many as there are slots, are held already."""
        self.stop(trial_id)
        if self._leaving or len(self._steps) >= min(limit, self.engine.slots_to_fill):
            return False
        if files is None:
            self.engine.start(trial_id, config)
            self._steps[trial_id] = 0
        else:

            def from_files(folder: Path) -> None:
                write_files(folder, files)
                self.engine.start(trial_id, config, folder)

            in_scratch(from_files)
            self._steps[trial_id] = -1  # known with its first report
        return True

    def stop(self, trial_id: str) -> None:
        """Free a trial's slot, if it has one."""
        if self._steps.pop(trial_id, None) is not None:
            self.engine.stop(trial_id)
        waiting = self._asked.pop(trial_id, None)
        if waiting is not None:
            waiting.set_exception(TrialLostError("the trial was stopped there"))

    def renew(self, build: Callable[[], Trainer]) -> None:
        """Go on with another engine, in which nothing is left of the one before; its trials are stopped.

        Raises:
            Exception: what ``build`` raises. There is no engine then, until this is called again.
        """
        for trial_id in list(self._steps):
            self.stop(trial_id)
        self._handed_back.clear()
        self._updates, self._seconds = 0, 0.0
        self.engine = NoEngine()  # before the next one needs its memory
        self.engine = build()

    def leave(self) -> None:
        """Hand all trials back as they are at this update, and take none any more: the host is about to go."""
        self._leaving = True
        for trial_id in list(self._steps):
            report = self.engine.take(trial_id)
            delivery = Delivery(None if report is None else report.as_dict(), self._saved(trial_id))
            waiting = self._asked.pop(trial_id, None)
            self.stop(trial_id)
            if waiting is None:
                self._handed_back[trial_id] = delivery
            else:
                waiting.set_result(delivery)

    def ask(self, trial_id: str, future: Future[Delivery]) -> None:
        """Deliver the trial's next report as soon as it is there."""
        if trial_id in self._handed_back:
            future.set_result(self._handed_back.pop(trial_id))
            return
        if trial_id not in self._steps:
            raise TrialLostError("the trial is not there")
        self._asked[trial_id] = future
        self._deliver(trial_id)

    def _run(self) -> None:
        try:
            self.engine = self._build()
        except BaseException as error:
            self._fail(error)
        self._loaded = True
        while True:
            self._obey()
            started = time.perf_counter()
            try:
                reported = self.engine.advance()
                self._seconds += time.perf_counter() - started
                for trial_id in reported:
                    self._deliver(trial_id)
            except Exception as error:  # a thread that ends silently would keep all that ask waiting
                self._fail(error)

    def _obey(self) -> None:
        """Do what was asked for; with nothing to train, wait for an order first."""
        while not self.engine.busy or not self._orders.empty():
            what, future = self._orders.get()
            try:
                future.set_result(what())
            except Exception as error:
                future.set_exception(error)

    def _deliver(self, trial_id: str) -> None:
        if trial_id not in self._asked:
            return  # its report waits in the engine, and the trial with it
        report = self.engine.take(trial_id)
        if report is None:
            return
        files = self._saved(trial_id)
        before = self._steps[trial_id]
        self._updates += max(0, report.step - before) if before >= 0 else 0
        self._steps[trial_id] = report.step
        waiting = self._asked.pop(trial_id)
        if report.status != "running":
            self.stop(trial_id)  # its slot is free for another at once
        waiting.set_result(Delivery(report.as_dict(), files))

    def _saved(self, trial_id: str) -> Files:
        def to_files(folder: Path) -> Files:
            self.engine.save(trial_id, folder)
            return read_files(folder)

        try:
            return in_scratch(to_files)
        except OSError as error:  # there is room on other hosts
            raise TrialLostError(f"its host cannot pass a checkpoint on ({error})", error) from error

    def _fail(self, error: BaseException) -> NoReturn:
        """Answer everything with the error from now on."""
        self._loaded = False
        for waiting in self._asked.values():
            waiting.set_exception(error)
        self._broken()
        while True:
            self._orders.get()[1].set_exception(error)


def in_scratch(what: Callable[[Path], T]) -> T:
    """Do something with an empty folder: in memory or, where that has no room, on the disk.

    Raises:
        OSError: neither has room.
    """
    if SHARED_MEMORY.is_dir():
        with suppress(OSError), tempfile.TemporaryDirectory(dir=SHARED_MEMORY) as folder:
            return what(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        return what(Path(folder))
