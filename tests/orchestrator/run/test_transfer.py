"""A few-shot transfer from its sources to its table, and on from what it kept, without the sources."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator.record.record import SearchRecord
from tests.commands import adept
from tests.faults.small_search import make_task
from tests.orchestrator.tracking.test_sources import adapter
from trials.export.adapters import load_adapter

SPACE = """
about: one configuration
settings: {steps: 4, eval_every: 2, batch_size: 4, warmup_steps: 1}
grids:
  attempt: {prompt_lr: 1e-1, attention_lr: 1e-2, prompt_length: 20, bottleneck: 4}
"""


@pytest.mark.slow
def test_a_transfer_is_searched_and_verified_without_its_sources(
    engines_kept: None, default_database: Path, tmp_path: Path
) -> None:
    make_task(tmp_path)
    (tmp_path / "space.yaml").write_text(SPACE)
    for name, value in (("one", 0.1), ("two", -0.2)):
        adapter(tmp_path / "runs" / name / "best_adapter", value, rows=20)
    asked = ["search", "--task", "task.yaml", "--backbone", "t5-nano", "--space", "space.yaml", "--method", "attempt"]
    asked += ["--sources", "one,two", "--name", "mine", "--deterministic", "--devices", "1", "--shots", "16"]
    assert "Winner" in adept(tmp_path, *asked)
    assert SearchRecord.load(tmp_path / "runs" / "mine" / "search.json").settings["shots"] == 16
    for name in ("one", "two"):
        shutil.rmtree(tmp_path / "runs" / name)
    assert "search mine is finished" in adept(tmp_path, *asked)
    assert "every number the same to the last bit" in adept(tmp_path, "verify", "mine/1")
    loaded = load_adapter(tmp_path / "runs" / "mine" / "best_adapter")
    assert loaded.method.get_buffer("source_prompts").shape == (2, 20, 256)
    assert len(loaded.predict(["arcade game", "mail server"])) == 2
