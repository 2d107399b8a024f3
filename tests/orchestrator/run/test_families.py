"""A search of one task of each family to its table: labels, numbers, texts, groups, programs.

The rows are a part of each task's, as somebody has who tries things out. One sweep searches all, on engines that stay.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator.record.record import RECORD, SearchRecord
from orchestrator.store.predictions import PREDICTIONS, read_predictions
from tests.commands import adept
from tests.trials.code_models import save_code_model
from tests.trials.made_data import write_rows
from tests.trials.sandbox.kinds import any_usable, why_not
from trials.sandbox.find import KINDS
from trials.tasks import get_task
from trials.tasks.metrics import compute

NUMBERS = ("one", "two", "three", "four")
TESTS = ["assert one(1) == 1", "assert one(2) == 1"]


def entailment(n: int) -> dict[str, Any]:
    return {"sentence1": f"There are {NUMBERS[n % 4]}.", "sentence2": f"There is {n % 2}.", "label": n % 2}


def similarity(n: int) -> dict[str, Any]:
    return {"sentence1": f"{n % 6} of them", "sentence2": "five of them", "label": n % 26 / 5}


def span(n: int) -> dict[str, Any]:
    word = NUMBERS[n % 4]
    answers = {"text": [word, f"{word} cats"], "answer_start": [4, 4]}
    return {"question": "How many?", "context": f"The {word} cats of row {n} sat.", "answers": answers}


def reading(n: int) -> dict[str, Any]:
    index = {"paragraph": n // 8, "question": n // 2, "answer": n}
    asked = {"paragraph": f"<b>Sent 1: </b>It is {NUMBERS[n // 2 % 4]}.<br>", "question": "What is it?"}
    return {**asked, "answer": NUMBERS[n % 4], "idx": index, "label": n % 2}


def program(n: int) -> dict[str, Any]:
    code = "def one(x):\n return 1"
    return {"task_id": n, "text": "Say one.", "code": code, "test_setup_code": "", "test_list": TESTS}


@dataclass(frozen=True)
class Family:
    """A task, and what its search must end with.

    Attributes:
        row: makes a row of its data set.
        rows: of each published split.
        sizes: validation and test, as its score counts them.
        answers: targets of the test that must be among those scored.
    """

    task: str
    row: Callable[[int], dict[str, Any]]
    rows: dict[str, int]
    metrics: tuple[str, ...]
    sizes: tuple[int, int]
    answers: tuple[str, ...]


FAMILIES = {
    "classification": Family("rte", entailment, {"train": 16, "validation": 17}, ("accuracy",), (8, 9), ("0", "1")),
    "regression": Family(
        "stsb", similarity, {"train": 16, "validation": 40}, ("pearson", "spearman"), (20, 20), ("0.4", "4.8")
    ),
    "span": Family(
        "squad", span, {"train": 1_008, "validation": 8}, ("exact_match", "token_f1"), (1_000, 8),
        ("one\x1eone cats", "four\x1efour cats"),
    ),
    "groups": Family(
        "superglue-multirc", reading, {"train": 16, "validation": 32}, ("f1", "group_accuracy"), (16, 16), ("0", "1")
    ),
    "code": Family("mbpp", program, {"full": 20}, ("pass_at_1",), (2, 10), ()),
}  # fmt: skip
SWEEP = {
    "methods": ["pt"],
    "backbones": ["t5-nano", "coder"],
    "options": {
        "space": "space.yaml",
        "precision": "float32",
        "data_sizes": "any",
        "data_quirks": "corrected",
        "data_dir": "data",
        "devices": 1,
    },
}
SPACE = """
about: one configuration of a few steps
settings: {steps: 2, eval_every: 2, batch_size: 4, warmup_steps: 1}
grids:
  pt: {prompt_lr: 0.3, prompt_length: 4}
"""


@pytest.fixture(scope="module")
def searched(ray_local: None, fresh_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a sweep's run over a task of each family: programs only where there is a sandbox for them."""
    folder = tmp_path_factory.mktemp("families")
    shutil.copy(fresh_database, folder / "mlflow.db")
    (folder / "space.yaml").write_text(SPACE)
    save_code_model(folder / "coder", positions=640)
    for family in FAMILIES.values():
        for split, count in family.rows.items():
            rows = [family.row(n) for n in range(count)]
            write_rows(folder / "data" / str(get_task(family.task).folder) / f"{split}.parquet", rows)
    texts = [family.task for name, family in FAMILIES.items() if name != "code"]
    without = [{"task": texts, "backbone": "coder"}, {"task": "mbpp", "backbone": "t5-nano"}]
    tasks = [*texts, "mbpp"]
    if all(why_not(kind) for kind in KINDS):
        tasks, without = texts, without[:1]
    (folder / "families.yaml").write_text(json.dumps({"tasks": tasks, "without": without, **SWEEP}))
    adept(folder, "sweep", "families.yaml", "--run", "one")
    yield folder / "runs" / "families" / "one"


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_a_task_of_each_family_is_searched_to_its_table(name: str, searched: Path) -> None:
    family = FAMILIES[name]
    if name == "code":
        any_usable()
    (file,) = [path for path in searched.glob(f"*/{RECORD}") if SearchRecord.load(path).task == family.task]
    record = SearchRecord.load(file)
    assert [trial.status for trial in record.trials] == ["finished"]
    assert (record.sizes["validation"], record.test and record.test.n) == family.sizes
    (answers,) = read_predictions(file.parent / PREDICTIONS).values()
    assert set(family.answers) <= set(answers.gold)
    task = get_task(family.task).read("corrected", "any")
    scores = compute(family.metrics, answers.given, answers.gold, task.answers, answers.groups or None)
    assert record.test is not None and record.test.metrics == pytest.approx(scores)
    assert bool(answers.passed) == (name == "code")
    if answers.passed:
        assert 100.0 * sum(answers.passed) / len(answers.passed) == pytest.approx(record.test.score)
    assert record.metric == family.metrics[0] and record.published == []
    table = (file.parent / "summary.md").read_text()
    assert "rows as they were given" in table and "Paper: is not quoted" in table
    assert f"Test: {record.metric} {scores[record.metric]:.1f}, read once" in table
    with (searched / "report" / "scores.csv").open(newline="") as stream:
        (row,) = [row for row in csv.DictReader(stream) if row["task"] == family.task]
    assert (row["metric"], float(row["score"])) == (record.metric, pytest.approx(scores[record.metric]))
