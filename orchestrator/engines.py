"""An engine of `trials` as a Ray actor: it trains on a thread of its own, while calls come and go."""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol, TypeVar

import ray

if TYPE_CHECKING:
    from orchestrator.planning import EngineSpec
    from trials.config import Report

T = TypeVar("T")
Files = dict[str, bytes]
LAST_FILE = "training.json"  # of a checkpoint: where it is, the rest is whole


class TrialLostError(Exception):
    """The engine does not hold the trial: it was stopped, or the engine's process is a new one."""


class Delivery(NamedTuple):
    """A trial's report with its checkpoint as of that report: the files' contents by their paths."""

    report: dict[str, Any]
    files: Files


class Room(NamedTuple):
    """How many trials an engine holds, and how many it can: none before it is loaded."""

    held: int
    slots: int


class Trainer(Protocol):
    """What is asked of an engine: the part of `trials.engine.Engine` that says what each does."""

    @property
    def slots_to_fill(self) -> int: ...  # noqa: D102
    @property
    def busy(self) -> bool: ...  # noqa: D102
    def start(self, trial_id: str, config: Any, checkpoint: Path | None = None) -> None: ...  # noqa: D102
    def stop(self, trial_id: str) -> None: ...  # noqa: D102
    def save(self, trial_id: str, folder: Path) -> None: ...  # noqa: D102
    def advance(self) -> list[str]: ...  # noqa: D102
    def take(self, trial_id: str) -> Report | None: ...  # noqa: D102


Build = Callable[["EngineSpec", str], Trainer]
"""Makes an engine on a device, ``cuda`` or ``cpu``."""


@dataclass(frozen=True)
class EngineFacts:
    """What an engine says of itself.

    Attributes:
        slots: trials that it holds at once.
        trials: that it holds now.
        memory: its process's peak in bytes; with an accelerator the peak there.
        throughput: updates of all trials a second since the first report; 0 before.
        node: id of the host in Ray.
    """

    slots: int
    trials: int
    memory: int
    throughput: float
    device: str
    pid: int
    node: str


def build_engine(spec: EngineSpec, device: str) -> Trainer:
    """Load backbone and data, and see how many trials fit."""
    import torch
    from transformers.utils import logging as transformers_logging

    from trials.backbones import load_backbone
    from trials.data import prepare
    from trials.engine import Engine, EngineSettings
    from trials.tasks import get_task

    if not os.environ.get("ADEPT_VERBOSE"):
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        logging.getLogger("datasets").setLevel(logging.ERROR)
    if device == "cpu":
        torch.set_num_threads(1)  # it owns one core; two threads beside another busy process are slower than one
    backbone = load_backbone(spec.backbone, device, spec.precision)
    data = prepare(
        get_task(spec.task),
        backbone.tokenizer,
        architecture=backbone.facts.architecture,
        data_dir=Path(spec.data_dir) if spec.data_dir else None,
        max_source_length=spec.max_source_length,
        cache_dir=Path(spec.cache_dir) if spec.cache_dir else None,
    )
    settings = EngineSettings(spec.precision, spec.memory_limit, spec.slots, spec.deterministic)
    return Engine(backbone, data, settings, spec.typical)


def test_scores(engine: Any, adapter_files: Files) -> dict[str, Any]:
    """Score an adapter on the test split.

    Returns:
        ``metrics`` (percent), ``n`` and ``one_example`` (points that one example is worth).
    """
    from trials.adapters import load_adapter
    from trials.tasks.metrics import value_of_one_example

    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), adapter_files)
        adapter = load_adapter(folder, engine.backbone)
    scored = engine.score(adapter.method, "test")
    return {
        "metrics": scored.metrics,
        "n": len(scored.targets),
        "one_example": value_of_one_example(engine.data.task.metrics[0], scored.predictions, scored.targets),
    }


test_scores.__test__ = False  # type: ignore[attr-defined]


class TrainingLoop:
    """An engine and the only thread that touches it. Between two updates the thread does what was asked for meanwhile.

    Where an update raises, all trials are told why, and ``broken`` is called.
    """

    def __init__(self, build: Callable[[], Trainer], broken: Callable[[], None]) -> None:
        self._build = build
        self._broken = broken
        self._orders: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        self._asked: dict[str, Future[Delivery]] = {}
        self._steps: dict[str, int] = {}  # of the trials held, as of their last reports
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
        return Room(len(self._steps), self.engine.slots_to_fill if self._loaded else 0)

    @property
    def throughput(self) -> float:
        """Updates of all trials a second, evaluation included, over the stretches that were reported."""
        return self._updates / self._seconds if self._seconds else 0.0

    def start(self, trial_id: str, config: Any, files: Files | None, limit: int) -> bool:
        """Put a trial in a slot; False where ``limit`` trials, or as many as there are slots, are held already."""
        self.stop(trial_id)
        if len(self._steps) >= min(limit, self.engine.slots_to_fill):
            return False
        if files is None:
            self.engine.start(trial_id, config)
            self._steps[trial_id] = 0
        else:
            with tempfile.TemporaryDirectory() as folder:
                write_files(Path(folder), files)
                self.engine.start(trial_id, config, Path(folder))
            self._steps[trial_id] = -1  # known with its first report
        return True

    def stop(self, trial_id: str) -> None:
        """Free a trial's slot, if it has one."""
        if self._steps.pop(trial_id, None) is not None:
            self.engine.stop(trial_id)
        waiting = self._asked.pop(trial_id, None)
        if waiting is not None:
            waiting.set_exception(TrialLostError(trial_id))

    def ask(self, trial_id: str, future: Future[Delivery]) -> None:
        """Deliver the trial's next report as soon as it is there."""
        if trial_id not in self._steps:
            raise TrialLostError(trial_id)
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
            except Exception as error:
                self._fail(error)
            self._seconds += time.perf_counter() - started
            for trial_id in reported:
                self._deliver(trial_id)

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
        with tempfile.TemporaryDirectory() as folder:
            self.engine.save(trial_id, Path(folder))
            files = read_files(Path(folder))
        before = self._steps[trial_id]
        self._updates += max(0, report.step - before) if before >= 0 else 0
        self._steps[trial_id] = report.step
        waiting = self._asked.pop(trial_id)
        if report.status != "running":
            self.stop(trial_id)  # its slot is free for another at once
        waiting.set_result(Delivery(report.as_dict(), files))

    def _fail(self, error: BaseException) -> NoReturn:
        """Answer everything with the error from now on."""
        self._loaded = False
        for waiting in self._asked.values():
            waiting.set_exception(error)
        self._broken()
        while True:
            self._orders.get()[1].set_exception(error)


class EngineActor:
    """The Ray actor around a `TrainingLoop`. Its calls wait without holding each other up.

    An engine whose update raised may have a broken device under it: it ends its process, and Ray starts a new one.

    Args:
        build: makes the engine, for the kind of device that Ray gave this actor and no other.
    """

    def __init__(self, spec: EngineSpec, build: Build = build_engine) -> None:
        self._device = "cuda" if ray.get_runtime_context().get_accelerator_ids().get("GPU") else "cpu"
        self._loop = TrainingLoop(lambda: build(spec, self._device), end_process_soon)
        self._arrived = 0
        self._met = asyncio.Event()

    async def start(
        self,
        trial_id: str,
        trial: dict[str, Any],
        files: Files | None = None,
        limit: int = sys.maxsize,
    ) -> bool:
        """Take a trial in, fresh or from its checkpoint's files; False where there is no room for it.

        Args:
            trial: a `TrialConfig` as a dict.
            limit: trials that the engine may hold with this one, if that is less than its slots.
        """
        from trials.config import TrialConfig

        config = TrialConfig(**trial)
        return await self._on_thread(lambda: self._loop.start(trial_id, config, files, limit))

    async def next_report(self, trial_id: str) -> Delivery:
        """The trial's next report, when it is there, with the checkpoint that belongs to it.

        Raises:
            TrialLostError: the trial is not, or no longer, in a slot here.
        """
        report: Future[Delivery] = Future()
        await self._on_thread(lambda: self._loop.ask(trial_id, report))
        return await asyncio.wrap_future(report)

    async def stop(self, trial_id: str) -> None:
        """Free a trial's slot; no matter if it has none."""
        await self._on_thread(lambda: self._loop.stop(trial_id))

    async def room(self) -> Room:
        """Trials held and slots; answered without waiting for the update in progress."""
        return self._loop.room

    async def meet(self, number: int) -> None:
        """Return when so many have called this."""
        self._arrived += 1
        if self._arrived >= number:
            self._met.set()
        await self._met.wait()

    async def facts(self) -> EngineFacts:
        """What the engine says of itself, as soon as it is loaded."""
        return await self._on_thread(self._facts)

    async def test(self, adapter_files: Files) -> dict[str, Any]:
        """`test_scores` of an adapter, between two updates."""
        return await self._on_thread(lambda: test_scores(self._loop.engine, adapter_files))

    def _facts(self) -> EngineFacts:
        return EngineFacts(
            slots=self._loop.room.slots,
            trials=self._loop.room.held,
            memory=peak_memory(self._device),
            throughput=self._loop.throughput,
            device=self._device,
            pid=os.getpid(),
            node=ray.get_runtime_context().get_node_id(),
        )

    async def _on_thread(self, what: Callable[[], T]) -> T:
        return await asyncio.wrap_future(self._loop.order(what))


def peak_memory(device: str) -> int:
    """Bytes that this process has used at most, of the accelerator where it has one."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_reserved()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def end_process_soon(seconds: float = 1.0) -> None:
    """End this process when the answers to the calls in progress have left it."""
    threading.Timer(seconds, os._exit, args=(1,)).start()


def read_files(folder: Path) -> Files:
    """The contents of all files below a folder by their paths in it."""
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def write_files(folder: Path, files: Files) -> None:
    """Write files below a folder, the one that says that a checkpoint is whole as the last."""
    for name in sorted(files, key=lambda name: name == LAST_FILE):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(files[name])
