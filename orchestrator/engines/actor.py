"""An engine of `trials` as a Ray actor: it trains on a thread of its own, while calls come and go."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import ray

from orchestrator.engines.build import build_engine, peak_memory, test_scores
from orchestrator.engines.training_loop import Delivery, NoEngine, Room, Trainer, TrainingLoop
from orchestrator.store.checkpoints import Files

if TYPE_CHECKING:
    from orchestrator.plan.engine_spec import EngineSpec

T = TypeVar("T")
GRACE = 10.0  # seconds in which trials fetch what an engine hands back before its process ends
Build = Callable[["EngineSpec", str], Trainer]
"""Makes an engine on a device, ``cuda`` or ``cpu``."""


@dataclass(frozen=True)
class EngineFacts:
    """An engine as its driver sees it.

    Attributes:
        slots: trials that it holds at once.
        trials: that it holds now.
        memory: its process's peak in bytes since the engine was begun; with an accelerator the peak there.
        throughput: updates of all trials a second since the first report; 0 before.
        node: id of the host in Ray.
        note: a remark on the device for the user; often empty.
    """

    slots: int
    trials: int
    memory: int
    throughput: float
    device: str
    pid: int
    node: str
    note: str


class EngineActor:
    """The Ray actor around a `TrainingLoop`. Its calls wait without holding each other up.

    An engine whose update raised may have a broken device under it: it ends its process, and Ray starts a new one. One
    that gets SIGTERM, as all processes of a machine do that is taken back, hands its trials back first.

    Args:
        build: makes the engine, for the kind of device that Ray gave this actor and no other.
        specs: name of the actor that knows which spec this engine has by now (`orchestrator.engines.kept.Specs`): Ray
            starts this actor again with the arguments that it had first. Empty: always ``spec``.
    """

    _loop: TrainingLoop

    def __new__(cls, *arguments: Any, **more: Any) -> EngineActor:
        """Also see to SIGTERM: of all that Ray calls here, this alone is on the thread that may."""
        engine = super().__new__(cls)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, engine._terminated)
        return engine

    def __init__(self, spec: EngineSpec, build: Build = build_engine, specs: str = "") -> None:
        self._device = "cuda" if ray.get_runtime_context().get_accelerator_ids().get("GPU") else "cpu"
        self._build = build
        self._loop = TrainingLoop(lambda: self._made(current_spec(specs) if specs else spec), end_process_soon)

    async def take(self, spec: EngineSpec | None) -> EngineFacts:
        """Be the engine of another spec from now on, or of none; the trials that are held are stopped.

        Raises:
            Exception: what building it raises; there is no engine then, until the next call.
        """
        await self._on_thread(lambda: self._loop.renew(lambda: self._made(spec)))
        return await self.facts()

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

    async def leave(self) -> None:
        """Hand all trials back as they are; returns when that is done. Nothing is trained here any more."""
        await self._on_thread(lambda: self._loop.leave())

    async def room(self) -> Room:
        """Trials held and slots; answered without waiting for the update in progress."""
        return self._loop.room

    async def facts(self) -> EngineFacts:
        """The engine as its driver sees it, as soon as it is loaded."""
        return await self._on_thread(self._facts)

    async def test(self, adapter_files: Files) -> dict[str, Any]:
        """`test_scores` of an adapter, between two updates."""
        return await self._on_thread(lambda: test_scores(self._loop.engine, adapter_files))

    def _made(self, spec: EngineSpec | None) -> Trainer:
        return NoEngine() if spec is None else self._build(spec, self._device)

    def _facts(self) -> EngineFacts:
        return EngineFacts(
            slots=self._loop.room.slots,
            trials=self._loop.room.held,
            memory=peak_memory(self._device),
            throughput=self._loop.throughput,
            device=self._device,
            pid=os.getpid(),
            node=ray.get_runtime_context().get_node_id(),
            note=self._loop.engine.note,
        )

    def _terminated(self, *signal_and_frame: Any) -> None:
        if hasattr(self, "_loop"):
            self._loop.order(self._loop.leave)
        end_process_soon(GRACE)

    async def _on_thread(self, what: Callable[[], T]) -> T:
        return await asyncio.wrap_future(self._loop.order(what))


def current_spec(specs: str) -> EngineSpec | None:
    """What this actor's engine is made from by now; None: it is not needed at the moment."""
    asked: Any = ray.get_actor(specs).of.remote(ray.get_runtime_context().get_actor_name())
    found: EngineSpec | None = ray.get(asked)
    return found


def end_process_soon(seconds: float = 1.0) -> None:
    """End this process when the answers to the calls in progress have left it."""
    threading.Timer(seconds, os._exit, args=(1,)).start()
