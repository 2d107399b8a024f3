"""A task of each family, from rows in the hub's schema to answers, metrics and an adapter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.trials.made_data import write_rows
from tests.trials.making import config
from tests.trials.tasks.test_paper_tasks import PAPER
from trials.backbones.loading import Backbone
from trials.data import prepare
from trials.engine import Engine, EngineSettings
from trials.export.adapters import load_adapter
from trials.tasks import get_task
from trials.tasks.base import Quirks
from trials.tasks.metrics import compute


def rows_like(name: str, n: int) -> list[dict[str, Any]]:
    """The task's row, n times, with labels and answers by turns."""
    task, row = get_task(name), PAPER[name].row
    column = task.target.column
    values = list(task.labels) or [0.0, 2.5, 4.9]
    return [
        row | ({column: values[i % len(values)]} if column in row and column != "answers" else {}) for i in range(n)
    ]


@pytest.mark.parametrize(
    ("name", "quirks"),
    [
        ("mnli", "as_published"),
        ("superglue-cb", "as_published"),
        ("superglue-wsc.fixed", "as_published"),
        ("superglue-multirc", "as_published"),
        ("superglue-record", "as_published"),
        ("stsb", "corrected"),
        ("newsqa", "as_published"),
        ("newsqa", "corrected"),
        ("squad", "corrected"),
        ("winogrande", "corrected"),
        ("scitail", "as_published"),
    ],
)
def test_a_task_of_each_family_is_trained_scored_and_answered(
    name: str, quirks: Quirks, tmp_path: Path, t5: Backbone
) -> None:
    task = replace(get_task(name).read(quirks), sizes=None, split="as_given", splits=None)
    for split in task.raw_splits:
        write_rows(tmp_path / str(task.folder) / f"{split}.parquet", rows_like(name, 6))
    data = prepare(
        task, t5.tokenizer, architecture=t5.facts.architecture, data_dir=tmp_path, cache_dir=tmp_path / "cache"
    )
    engine = Engine(t5, data, EngineSettings(deterministic=True))
    engine.start("a", config("pt", steps=2, eval_every=2, batch_size=4))
    report = engine.next_report("a")
    assert tuple(report.validation) == task.metrics and report.score == report.validation[task.selection_metric]
    engine.save("a", tmp_path)
    adapter = load_adapter(tmp_path / "adapter", t5)
    scored = engine.score(adapter.method, "test")
    assert len(scored.predictions) == data.sizes["test"]
    given = data.split("test")
    right = [target.split("\x1e")[-1] for target in given.targets]  # the last of several right answers is one, too
    perfect = compute(task.metrics, right, given.targets, task.answers, given.groups)
    assert all(value == pytest.approx(100.0) for value in perfect.values())
    assert adapter.columns == task.columns
