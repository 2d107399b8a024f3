"""An engine of `trials` as a Ray actor: it trains on a thread of its own, while calls come and go."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import ray

from orchestrator.engines.shipping import unpacked
from orchestrator.engines.training_loop import Delivery, Room, Trainer, TrainingLoop
from orchestrator.store.checkpoints import Files, write_files

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
        memory: its process's peak in bytes; with an accelerator the peak there.
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


def build_engine(spec: EngineSpec, device: str) -> Trainer:
    """Load backbone and data, and see how many trials fit.

    Raises:
        UserError: the device has no units for the precision; a user's file or limit is wrong.
    """
    import torch
    from transformers.utils import logging as transformers_logging

    from trials.backbones.loading import load_backbone
    from trials.backbones.revisions import same_revision, why_not_same
    from trials.data import prepare
    from trials.engine import Engine, EngineSettings
    from trials.errors import UserError
    from trials.stack.devices import refuse_slow
    from trials.tasks import get_task

    asked, spec = spec, unpacked(spec)
    if not os.environ.get("ADEPT_VERBOSE"):
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        logging.getLogger("datasets").setLevel(logging.ERROR)
    if device == "cpu":
        torch.set_num_threads(1)  # it owns one core; two threads beside another busy process are slower than one
    refuse_slow(spec.precision, torch.device(device))
    backbone = load_backbone(spec.backbone, device, spec.precision, lane=spec.lane)
    if spec.revision and not same_revision(spec.revision, backbone.facts.revision, backbone.facts.location):
        raise UserError(
            [
                f"the weights in {spec.backbone} on this host are not those that the search goes on with: "
                f"{why_not_same(spec.revision, backbone.facts.revision)}. They were changed meanwhile, or differ "
                "between hosts: put those of then back, and give the same command again"
            ]
        )
    if spec.backbone != asked.backbone:  # adapters name their backbone as the user knows it
        backbone.facts = replace(backbone.facts, location=asked.backbone)
    data = prepare(
        get_task(spec.task),
        backbone.tokenizer,
        architecture=backbone.facts.architecture,
        data_dir=Path(spec.data_dir) if spec.data_dir else None,
        max_source_length=spec.max_source_length,
        cache_dir=Path(spec.cache_dir) if spec.cache_dir else None,
    )
    if spec.data not in ("", data.fingerprint):
        raise UserError(
            [
                f"the data of task {data.task.name} on this host are not those that the search goes on with "
                f"(fingerprint {data.fingerprint}, wanted {spec.data}): they were changed meanwhile, or differ between "
                "hosts. Put the data of then back, and give the same command again"
            ]
        )
    settings = EngineSettings(spec.memory_limit, spec.slots, spec.deterministic)
    return Engine(backbone, data, settings, spec.typical)


def test_scores(engine: Any, adapter_files: Files) -> dict[str, Any]:
    """Score an adapter on the test split.

    Returns:
        ``metrics`` (percent), ``n`` (examples, or groups where the metric that selects counts those), ``one_example``
        (points that one of them is worth), and ``rows``: what was answered on each (`orchestrator.store.predictions`).
    """
    from orchestrator.store.predictions import row_ids
    from trials.export.adapters import load_adapter
    from trials.tasks.metrics import METRICS, value_of_one_example

    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), adapter_files)
        adapter = load_adapter(folder, engine.backbone)
    scored, task = engine.score(adapter.method, "test"), engine.data.task
    rows = engine.data.split("test")
    sources, _, _ = rows.batch(range(len(rows)))
    answered, groups = (scored.predictions, scored.targets), rows.groups
    return {
        "rows": {
            "ids": row_ids(sources),
            "gold": scored.targets,
            "given": scored.predictions,
            **({"group": groups} if groups else {}),
        },
        "metrics": scored.metrics,
        "n": METRICS[task.selection_metric].units(groups, len(scored.targets)),
        "one_example": value_of_one_example(task.selection_metric, *answered, task.answers, groups),
    }


test_scores.__test__ = False  # type: ignore[attr-defined]


class EngineActor:
    """The Ray actor around a `TrainingLoop`. Its calls wait without holding each other up.

    An engine whose update raised may have a broken device under it: it ends its process, and Ray starts a new one. One
    that gets SIGTERM, as all processes of a machine do that is taken back, hands its trials back first.

    Args:
        build: makes the engine, for the kind of device that Ray gave this actor and no other.
    """

    _loop: TrainingLoop

    def __new__(cls, *arguments: Any, **more: Any) -> EngineActor:
        """Also see to SIGTERM: of all that Ray calls here, this alone is on the thread that may."""
        engine = super().__new__(cls)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, engine._terminated)
        return engine

    def __init__(self, spec: EngineSpec, build: Build = build_engine) -> None:
        self._device = "cuda" if ray.get_runtime_context().get_accelerator_ids().get("GPU") else "cpu"
        self._loop = TrainingLoop(lambda: build(spec, self._device), end_process_soon)

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
