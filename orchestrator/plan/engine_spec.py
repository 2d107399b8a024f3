"""What an engine is made from, in plain values that travel to its host."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.store.paths import StoragePath
from trials.config import Lane, Precision, TrialConfig
from trials.source_prompts import SourcePrompt
from trials.tasks.base import DataSizes, Quirks

GB = 10**9


@dataclass(frozen=True, kw_only=True)
class EngineSpec:
    """What an engine needs to exist: the backbone and one task's data. Plain values, so that it can travel.

    Attributes:
        task: a registered task's name or an own task's file.
        backbone: as for `trials.backbones.loading.load_backbone`.
        max_source_length: tokens.
        data_quirks, data_sizes: how the task's rows are read (`trials.tasks.base.Task.read`).
        precision: of the backbone's arithmetic (`trials.config.Precision`).
        memory_limit: bytes that an engine may use; None: what its device has.
        slots: trials that an engine holds at once; None: as many as pay, found by measuring.
        typical: a trial to measure the device with.
        lane: that the backbone is loaded in; None: the fastest there is.
        deterministic: compute each trial as if it were alone (`trials.engine.EngineSettings`).
        shipments: paths above that a host without them finds in the storage (`orchestrator.engines.shipping`).
        data: fingerprint that the rows must have; empty: any.
        revision: fingerprint that the backbone's folder must have; empty: any.
        sources: source prompts that trials start from.
    """

    task: str
    backbone: str
    data_dir: str | None
    max_source_length: int
    data_quirks: Quirks = "as_published"
    data_sizes: DataSizes = "published"
    cache_dir: str | None = None
    precision: Precision = "float32"
    memory_limit: int | None = None
    slots: int | None = None
    typical: TrialConfig | None = None
    lane: Lane | None = None
    deterministic: bool = False
    shipments: tuple[Shipment, ...] = ()
    data: str = ""
    revision: str = ""
    sources: tuple[SourcePrompt, ...] = ()


@dataclass(frozen=True)
class Shipment:
    """A file or folder of the driver's host in the storage.

    Attributes:
        source: its path on the driver's host, which the engines' spec names.
        opened: the name of that file or folder among the files. digest: SHA-256 over all their names and contents.
        place: the folder in the storage that holds them.
    """

    source: str
    opened: str
    digest: str
    place: StoragePath
