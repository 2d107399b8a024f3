"""A decoder-only model learns to write a program, which is run in the sandbox: from rows to a score."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.trials.code_models import save_code_model
from tests.trials.made_data import write_rows
from tests.trials.sandbox.kinds import any_usable
from trials.backbones.loading import load_backbone
from trials.config import TrialConfig
from trials.data import prepare
from trials.engine import Engine, EngineSettings
from trials.tasks import get_task


@pytest.mark.slow
def test_programs_are_learnt_written_and_run(tmp_path: Path) -> None:
    any_usable()
    tests = ["assert one(1) == 1", "assert one(2) == 1"]
    row = {"text": "Say one.", "code": "def one(x):\n return 1", "test_setup_code": "", "test_list": tests}
    write_rows(tmp_path / "mbpp" / "full.parquet", [{"task_id": n, **row} for n in range(20)])
    backbone = load_backbone(save_code_model(tmp_path / "coder"))
    task = replace(get_task("mbpp"), sizes=None)
    data = prepare(task, backbone.tokenizer, architecture="decoder-only", data_dir=tmp_path)
    assert data.majority() == {"validation": 0.0, "test": 0.0}
    engine = Engine(backbone, data, EngineSettings(deterministic=True))
    training = TrialConfig("full_finetuning", {"lr": 0.01}, steps=150, eval_every=150, batch_size=4, warmup_steps=10)
    engine.start("a", training)
    assert engine.next_report("a").score == 100.0
    scored = engine.score(engine.slots["a"].method, "test")
    assert set(scored.predictions) == {" \n return 1"} and scored.metrics == {"pass_at_1": 100.0}
