from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from tests.trials.made_data import REAL_DATA, made_task, nano_tokenizer, needs_real_data, numbered, write_splits
from trials.data import prepare
from trials.data.rows import Rows, load_rows
from trials.data.sources import find_source
from trials.tasks import get_task
from trials.tasks.base import SplitRule, Task

# torch.randperm(10) of a CPU generator seeded 42: the beginning of what the released code draws.
TEN = [2, 6, 1, 8, 4, 5, 0, 9, 3, 7]
TABLE_16 = {
    "rte": (2_490, 138, 139),
    "cola": (8_551, 521, 522),
    "sst2": (66_349, 1_000, 872),
    "superglue-boolq": (9_427, 1_635, 1_635),
}


def rows_of(task: Task, data_dir: Path | None = None) -> dict[str, Rows]:
    return load_rows(task, find_source(task, data_dir))


def numbers(rows: Rows) -> list[int]:
    return [int(source.removeprefix("text: row ")) for source in rows.sources]


def test_small_halves_the_permuted_validation(tmp_path: Path) -> None:
    write_splits(tmp_path, train=numbered(5), validation=numbered(10, 100))
    (tmp_path / "made" / "toy" / "test.parquet").write_bytes(b"never read")
    rows = rows_of(made_task(split="small"), tmp_path)
    assert numbers(rows["train"]) == [0, 1, 2, 3, 4]
    assert numbers(rows["validation"]) == [100 + i for i in TEN[:5]]
    assert numbers(rows["test"]) == [100 + i for i in TEN[5:]]


def test_small_gives_the_odd_row_to_test(tmp_path: Path) -> None:
    rows = rows_of(made_task(split="small"), write_splits(tmp_path, validation=numbered(11)))
    assert (len(rows["validation"]), len(rows["test"])) == (5, 6)


def test_large_takes_the_first_thousand_of_the_permuted_train(tmp_path: Path) -> None:
    write_splits(tmp_path, train=numbered(1_300), validation=numbered(7, 5_000))
    rows = rows_of(made_task(split="large"), tmp_path)
    generator = torch.Generator()
    generator.manual_seed(42)
    order = torch.randperm(1_300, generator=generator).tolist()
    assert numbers(rows["validation"]) == order[:1_000]
    assert numbers(rows["train"]) == order[1_000:]
    assert numbers(rows["test"]) == list(range(5_000, 5_007))


def test_large_holds_out_the_test_file_of_an_own_task(tmp_path: Path) -> None:
    folder = write_splits(tmp_path, train=numbered(1_001), test=numbered(3, 7_000)) / "made" / "toy"
    files = {split: (folder / f"{split}.parquet",) for split in ("train", "test")}
    rows = rows_of(made_task(split="large", files=files))
    assert numbers(rows["test"]) == [7_000, 7_001, 7_002]
    assert len(rows["train"]) == 1


def test_as_given_changes_nothing(tmp_path: Path) -> None:
    rows = rows_of(made_task(), write_splits(tmp_path))
    assert [numbers(rows[split]) for split in ("train", "validation", "test")] == [
        list(range(start, start + 4)) for start in (0, 10, 20)
    ]


@pytest.mark.parametrize("rule", ["small", "large", "as_given"])
def test_no_row_lies_in_two_splits_and_none_is_lost(tmp_path: Path, rule: SplitRule) -> None:
    write_splits(tmp_path, train=numbered(1_100), validation=numbered(51, 2_000), test=numbered(20, 3_000))
    task = made_task(split=rule)
    found = Counter(number for rows in rows_of(task, tmp_path).values() for number in numbers(rows))
    published = [*range(1_100), *range(2_000, 2_051)] + ([*range(3_000, 3_020)] if rule == "as_given" else [])
    assert found == Counter(published)


def test_the_seed_of_a_run_moves_no_row_and_the_split_moves_no_seed(tmp_path: Path) -> None:
    task = made_task(split="small")
    write_splits(tmp_path, validation=numbered(50))
    torch.manual_seed(1)
    first, drawn = rows_of(task, tmp_path), torch.rand(1)
    torch.manual_seed(2)
    assert rows_of(task, tmp_path) == first
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), drawn)


@needs_real_data
@pytest.mark.parametrize("name", TABLE_16)
def test_real_tasks_have_the_sizes_of_the_papers_table_16(name: str) -> None:
    rows = rows_of(get_task(name), REAL_DATA)
    assert tuple(len(rows[split]) for split in ("train", "validation", "test")) == TABLE_16[name]


@needs_real_data
def test_rte_against_an_independent_reading(tmp_path: Path) -> None:
    raw = pq.read_table(REAL_DATA / "glue" / "rte" / "validation.parquet").to_pylist()
    order = torch.randperm(277, generator=torch.Generator().manual_seed(42)).tolist()
    prepared = prepare(
        get_task("rte"),
        nano_tokenizer(),
        architecture="encoder-decoder",
        data_dir=REAL_DATA,
        cache_dir=tmp_path,
    )
    for split, places in (("validation", order[:138]), ("test", order[138:])):
        ids, _, targets = prepared.split(split).batch(range(len(places)))  # type: ignore[arg-type]
        assert targets == [str(raw[place]["label"]) for place in places]
        texts = [f"sentence1: {raw[i]['sentence1']} sentence2: {raw[i]['sentence2']}" for i in places]
        wanted = nano_tokenizer()(texts, truncation=True, max_length=256)["input_ids"]
        assert [row.tolist() for row in ids] == wanted


@needs_real_data
@pytest.mark.parametrize(("name", "published"), [("rte", "rte"), ("superglue-boolq", "superglue-boolq")])
def test_the_majority_score_is_the_plateau_of_published_runs(tmp_path: Path, name: str, published: str) -> None:
    """DePT's published runs start on constant answers; their first score pins the rows of the validation split."""
    with (REAL_DATA / "dept_learning_curves.csv").open(newline="") as file:
        first = next(row for row in csv.DictReader(file) if row["task"] == published and row["metric"] == "accuracy")
    targets = rows_of(get_task(name), REAL_DATA)["validation"].targets
    constant = 100 * max(Counter(targets).values()) / len(targets)
    assert constant == pytest.approx(float(first["value"]), abs=1e-4)


@pytest.mark.parametrize("name", ["debsec", "debmatch"])
def test_embedded_rows_are_whole_and_no_text_is_in_two_splits(name: str) -> None:
    task = get_task(name)
    rows = rows_of(task)
    assert tuple(len(rows[split]) for split in ("train", "validation", "test")) == task.sizes
    texts = {split: set(found.sources) for split, found in rows.items()}
    assert not texts["train"] & texts["test"]
    assert not texts["train"] & texts["validation"]
    assert not texts["validation"] & texts["test"]
    assert set(rows["test"].targets) == set(task.answers)
