"""Makes an engine of `trials` from its spec, in the process that is to train; and what is asked of it besides training.

A process keeps the backbone that it has loaded, and what it has measured with it: the next engine that is made in it,
for another search, takes both over where they are the same.
"""

from __future__ import annotations

import logging
import os
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.engines.shipping import unpacked
from orchestrator.engines.training_loop import Trainer
from orchestrator.store.checkpoints import Files, write_files
from orchestrator.uncollected import uncollected
from trials import memory

if TYPE_CHECKING:
    from orchestrator.plan.engine_spec import EngineSpec
    from trials.backbones.facts import Facts
    from trials.backbones.loading import Backbone
    from trials.data import PreparedTask
    from trials.stack.measuring import Measured


@dataclass
class Held:
    """A backbone that this process has loaded.

    Attributes:
        key: what it was loaded from and how; another key is another backbone.
        facts: as they were when it was loaded.
        measured: what measuring passes has found, by what that depends on beside the backbone.
    """

    key: tuple[Any, ...]
    backbone: Backbone
    facts: Facts
    measured: dict[tuple[Any, ...], Measured] = field(default_factory=dict)


_held: list[Held] = []
"""One at most: a device has no memory for two."""


def build_engine(spec: EngineSpec, device: str) -> Trainer:
    """Load backbone and data, and see how many trials fit.

    Raises:
        UserError: the device has no units for the precision; a user's file or limit is wrong.
    """
    with uncollected():
        import torch
        from transformers.utils import logging as transformers_logging

        from trials.backbones.revisions import same_revision, why_not_same
        from trials.data import prepare
        from trials.engine import Engine, EngineSettings
        from trials.errors import UserError
        from trials.stack.devices import refuse_slow, same_bits
        from trials.tasks import get_task

    asked, spec = spec, unpacked(spec)
    if not os.environ.get("ADEPT_VERBOSE"):
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        logging.getLogger("datasets").setLevel(logging.ERROR)
    if device == "cpu":
        torch.set_num_threads(1)  # it owns one core; two threads beside another busy process are slower than one
    same_bits(spec.deterministic, torch.device(device))
    refuse_slow(spec.precision, torch.device(device))
    held = _with_backbone(spec, device)
    backbone = held.backbone
    if spec.revision and not same_revision(spec.revision, backbone.facts.revision, backbone.facts.location):
        raise UserError(
            [
                f"the weights in {spec.backbone} on this host are not those that the search goes on with: "
                f"{why_not_same(spec.revision, backbone.facts.revision)}. They were changed meanwhile, or differ "
                "between hosts: put those of then back, and give the same command again"
            ]
        )
    if spec.backbone != asked.backbone:  # adapters name their backbone as the user knows it
        backbone.facts = replace(backbone.facts, copy_of=asked.backbone)
    data = prepare(
        get_task(spec.task).read(spec.data_quirks, spec.data_sizes),
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
    alike = _measured_by(spec, data)
    sources = {source.name: source.tensor().to(device) for source in spec.sources}
    adapters = {source.name: source.adapter(device) for source in spec.sources if source.method}
    # A deterministic engine cuts passes as one in a fresh process would, whatever this one has measured before.
    measured = None if spec.deterministic else held.measured.get(alike)
    engine = Engine(backbone, data, settings, spec.typical, measured, sources, adapters)
    if engine.measured is not None:
        held.measured[alike] = engine.measured
    return engine


def _with_backbone(spec: EngineSpec, device: str) -> Held:
    """The backbone of a spec: the one that this process holds, or else loaded in its place."""
    from trials.backbones.describe import describe
    from trials.backbones.loading import load_backbone

    # Described anew each time: a folder's fingerprint says whether its files are still those that were loaded.
    key = describe(spec.backbone), spec.precision, spec.lane, device
    if _held and _held[0].key != key:
        _held.clear()
    _begin_anew(device)
    if not _held:
        backbone = load_backbone(spec.backbone, device, spec.precision, lane=spec.lane)
        _held.append(Held(key, backbone, backbone.facts))
    held = _held[0]
    held.backbone.facts = held.facts
    return held


def _begin_anew(device: str) -> None:
    """Let what the process has used so far count no longer: its memory goes back, and its peak begins here."""
    memory.give_back()
    memory.forget_peak()
    if device == "cuda":
        import torch

        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _measured_by(spec: EngineSpec, data: PreparedTask) -> tuple[Any, ...]:
    """What the measuring of passes depends on beside the backbone: the rows, the limit, and the typical trial's shape.

    A trial that changes weights inside the backbone has them made in each pass: its whole configuration counts.
    """
    typical = spec.typical
    if typical is None:
        return ()
    shape = (typical.prompt_length, typical.batch_size, repr(typical.as_dict()) if typical.inner else "")
    return (data.fingerprint, data.max_source_length, spec.memory_limit, *shape)


def peak_memory(device: str) -> int:
    """Bytes that this process has used at most for its engine, of the accelerator where it has one."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_reserved()
    return memory.peak()


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
    # What comes of running programs is kept: who compares searches needs no sandbox then.
    runs = task.target.kind == "code"
    passed = {"passed": METRICS[task.selection_metric].scores(*answered)} if runs else {}
    return {
        "rows": {
            "ids": row_ids(sources),
            "gold": scored.targets,
            "given": scored.predictions,
            **({"group": groups} if groups else {}),
            **passed,
        },
        "metrics": scored.metrics,
        "n": METRICS[task.selection_metric].units(groups, len(scored.targets)),
        "one_example": value_of_one_example(task.selection_metric, *answered, task.answers, groups),
    }


test_scores.__test__ = False  # type: ignore[attr-defined]
