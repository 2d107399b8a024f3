"""The Ray Tune trial: a thin hull around an engine of `trials`, which lives on in the process from trial to trial."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray import tune

from orchestrator.planning import EngineSpec

if TYPE_CHECKING:
    from trials.engine import Engine

SLOT = "trial"
_engines: dict[EngineSpec, Engine] = {}


def engine_for(spec: EngineSpec) -> Engine:
    """This process's engine, made at the first call: only a process's first trial pays for it."""
    if spec not in _engines:
        import torch
        from transformers.utils import logging as transformers_logging

        from trials.backbones import load_backbone
        from trials.data import prepare
        from trials.engine import Engine
        from trials.tasks import get_task

        if not os.environ.get("ADEPT_VERBOSE"):
            transformers_logging.set_verbosity_error()
            transformers_logging.disable_progress_bar()
            logging.getLogger("datasets").setLevel(logging.ERROR)
        backbone = load_backbone(spec.backbone, "cuda" if torch.cuda.is_available() else "cpu")
        data = prepare(
            get_task(spec.task),
            backbone.tokenizer,
            architecture=backbone.facts.architecture,
            data_dir=Path(spec.data_dir) if spec.data_dir else None,
            max_source_length=spec.max_source_length,
            cache_dir=Path(spec.cache_dir) if spec.cache_dir else None,
        )
        _engines.clear()  # one backbone a process
        _engines[spec] = Engine(backbone, data)
    return _engines[spec]


class TrialActor(tune.Trainable):
    """One trial at a time, in the only slot of its process's engine.

    Its config: ``spec`` (`EngineSpec`), ``trial`` (`TrialConfig` as a dict), ``number``, and ``checkpoint``, where a
    trial of an interrupted search goes on.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Start the trial, fresh or where an interrupted search left it."""
        checkpoint = config.get("checkpoint")
        self._start(Path(checkpoint) if checkpoint else None)

    def _start(self, checkpoint: Path | None) -> None:
        from trials.config import TrialConfig

        self.engine = engine_for(self.config["spec"])
        if SLOT in self.engine.slots:
            self.engine.stop(SLOT)
        self.engine.start(SLOT, TrialConfig(**self.config["trial"]), checkpoint)

    def step(self) -> dict[str, Any]:
        """Train up to the next report."""
        report = self.engine.next_report(SLOT).as_dict()
        return {**report, tune.result.DONE: report["status"] != "running"}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Tune keeps it with the search, wherever its storage is."""
        self.engine.save(SLOT, Path(checkpoint_dir))

    def load_checkpoint(self, checkpoint_dir: Any) -> None:
        """After a failure Tune brings the trial back, perhaps in another process."""
        self._start(Path(checkpoint_dir) if checkpoint_dir else None)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take over the process for the next trial: the engine with backbone and data stays."""
        self.config = new_config
        self.setup(new_config)
        return True


def test_winner(spec: EngineSpec, adapter_files: dict[str, bytes]) -> dict[str, Any]:
    """Score an adapter on the test split, in a process that may own an accelerator.

    Args:
        adapter_files: contents of the adapter's files by their names.

    Returns:
        ``metrics`` (percent), ``n`` and ``one_example`` (points that one example is worth).
    """
    from trials.adapters import load_adapter
    from trials.stack import score
    from trials.tasks.metrics import value_of_one_example

    engine = engine_for(spec)
    with tempfile.TemporaryDirectory() as folder:
        for name, content in adapter_files.items():
            (Path(folder) / name).write_bytes(content)
        adapter = load_adapter(folder, engine.backbone)
    metrics = engine.data.task.metrics
    scored = score(engine.backbone, adapter.method, engine.data.split("test"), metrics, engine.data.max_target_length)
    return {
        "metrics": scored.metrics,
        "n": len(scored.targets),
        "one_example": value_of_one_example(metrics[0], scored.predictions, scored.targets),
    }


test_winner.__test__ = False  # type: ignore[attr-defined]
