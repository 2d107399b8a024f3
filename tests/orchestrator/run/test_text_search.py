"""A real search of a task whose rows have several texts as right answers, to its table and to answers for new rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.record.record import SearchRecord
from orchestrator.store.predictions import PREDICTIONS, read_predictions
from tests.commands import adept

TASK = """
name: colours
files: {train: train.jsonl, validation: validation.jsonl, test: test.jsonl}
template: "thing: {thing}"
each: answers
target: {type: text, column: answers, max_length: 6}
metrics: [best_token_f1, exact_match]
"""
SPACE = """
about: two configurations of a few steps
settings: {steps: 4, eval_every: 2, batch_size: 4, warmup_steps: 1}
grids:
  adept: {prompt_lr: [0.1, 0.3], mlp_lr: 1e-2, prompt_length: 4, bottleneck: 2}
"""


@pytest.mark.slow
def test_a_text_is_searched_scored_by_groups_and_predicted(
    engines_kept: None, default_database: Path, tmp_path: Path
) -> None:
    for split in ("train", "validation", "test"):
        rows = [{"thing": f"{split} {n}", "answers": ["dark red", "red"][: 1 + n % 2]} for n in range(8)]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "colours.yaml").write_text(TASK)
    (tmp_path / "space.yaml").write_text(SPACE)
    search = ["--task", "colours.yaml", "--backbone", "t5-nano", "--space", "space.yaml", "--name", "colours"]
    shown = adept(tmp_path, "search", *search, "--devices", "1")
    assert "classes" not in shown and "12 rows" in shown
    folder = tmp_path / "runs" / "colours"
    record = SearchRecord.load(folder / "search.json")
    assert record.metric == "best_token_f1" and record.test is not None
    assert record.test.n == record.sizes["validation"] == 8  # questions, not their twelve answers
    (answers,) = read_predictions(folder / PREDICTIONS).values()
    assert answers.gold[:3] == ("dark red", "dark red", "red") and answers.groups[:3] == ("0", "1", "1")
    predicted = adept(tmp_path, "predict", str(folder / "best_adapter"), "test.jsonl", "--format", "jsonl")
    rows = [json.loads(line) for line in predicted.splitlines()]
    assert len(rows) == 8 and list(rows[0]) == ["thing", "answers", "prediction"]
