"""Searches of a night as they lie on a disk and in MLflow: record, answers, adapter, run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from orchestrator.nights.night import Cell, CellKey, CellStatus, SeedScore
from orchestrator.store.layout import ADAPTER
from orchestrator.store.predictions import PREDICTIONS, write_predictions
from orchestrator.tracking.projection import UID
from orchestrator.tracking.store import open_store
from tests.orchestrator.made_results import searched

ROWS = 200
REVISION = "v2-0123456789abcdef"


class Winners:
    """Makes searches below a folder, with their runs in a store."""

    def __init__(self, folder: Path, uri: str) -> None:
        self.folder, self.uri = folder, uri
        self.made = 0

    def cell(
        self,
        wrong: Iterable[int],
        method: str = "adept",
        validation: float = 70.0,
        data: str = "rows-1",
        revision: str = REVISION,
        seeds: int = 1,
        tracked: bool = True,
        **fields: Any,
    ) -> Cell:
        """The cell of a new search whose winner has these of the test rows wrong, on all seeds."""
        self.made += 1
        name, wrong = f"rte-{method}-{self.made}", set(wrong)
        folder = self.folder / name
        score = 100.0 * (1 - len(wrong) / ROWS)
        found = searched(score, method=method, n=ROWS, name=name, backbone="t5-nano", uid=f"uid-{name}")
        record, gold = found.record, ["0", "1"] * (ROWS // 2)
        record.sizes["test"] = ROWS
        record.provenance |= {"rows fingerprint": data, "data fingerprint": f"{data} read", "git_commit": "a" * 40}
        record.provenance |= {"backbone revision": revision}
        given = [str(1 - int(text)) if place in wrong else text for place, text in enumerate(gold)]
        rows = {"ids": [str(place) for place in range(ROWS)], "gold": gold, "given": given}
        write_predictions(record, folder, [(record.trials[0], rows)])
        record.save(folder / "search.json")
        self._adapter(folder / ADAPTER, method, revision)
        if tracked:
            self.track(folder, record.uid)
        one = SeedScore(seed=42, score=score, n=ROWS, predictions=str(folder / PREDICTIONS), trial=1)
        given_fields: dict[str, Any] = {
            "status": CellStatus.MEASURED,
            "metric": "accuracy",
            "scores": (one,),
            "validation": validation,
            "configuration": {"prompt_lr": 0.3, "prompt_length": self.made},
            "folder": str(folder),
            "command": f"adept-search search --task rte --method {method} --name {name}",
        }
        return Cell(key=CellKey("rte", method, "t5-nano"), **{**given_fields, **fields})

    def track(self, folder: Path, uid: str) -> str:
        """The run that a search leaves in MLflow; its id."""
        store = open_store(self.uri, "rte")
        tags = {UID: uid, "kind": "search", "search": folder.name}
        run = store.client.create_run(store.experiment.experiment_id, run_name=folder.name, tags=tags).info.run_id
        for file in ("search.json", PREDICTIONS):
            store.client.log_artifact(run, str(folder / file))
        return str(run)

    @staticmethod
    def _adapter(folder: Path, method: str, revision: str) -> None:
        folder.mkdir()
        trial = {"method": method, "hyperparameters": {"prompt_length": 4}, "steps": 1, "eval_every": 1}
        description = {
            "base_model_name_or_path": "t5-nano",
            "backbone_revision": revision,
            "trial": trial,
            "template": "{text}",
            "labels": {"0": "0", "1": "1"},
            "max_source_length": 64,
            "max_target_length": 2,
        }
        (folder / "adapter_config.json").write_text(json.dumps(description))
        save_file({"prompt": np.zeros((4, 2), dtype=np.float32)}, folder / "adapter_model.safetensors")
