from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import datasets
import pytest

from tests.trials.made_data import made_task, nano_tokenizer, numbered, write_rows, write_splits
from trials.data import prepare
from trials.data.sources import find_source
from trials.errors import DataError


def files_of(data_dir: Path, **changes: Any) -> dict[str, list[str]]:
    source = find_source(made_task(**changes), data_dir)
    return {split: [Path(part.where).name for part in parts] for split, parts in source.parts.items()}


def problems_of(data_dir: Path | None, **changes: Any) -> list[str]:
    with pytest.raises(DataError) as caught:
        find_source(made_task(**changes), data_dir)
    return caught.value.problems


@pytest.mark.parametrize("given", ["", "made", "made/toy"])
def test_the_folder_above_the_benchmark_or_the_tasks_own_may_be_given(tmp_path: Path, given: str) -> None:
    write_splits(tmp_path)
    assert files_of(tmp_path / given) == {
        "train": ["train.parquet"],
        "validation": ["validation.parquet"],
        "test": ["test.parquet"],
    }


def test_shards_as_on_the_hub_are_read_in_order(tmp_path: Path) -> None:
    folder = write_splits(tmp_path) / "made" / "toy"
    (folder / "train.parquet").unlink()
    for shard in (2, 0, 1):
        write_rows(folder / f"train-{shard:05}-of-00003.parquet", numbered(2, 2 * shard))
    prepared = prepare(
        made_task(),
        nano_tokenizer(),
        architecture="encoder-decoder",
        data_dir=tmp_path,
        cache_dir=tmp_path / "cache",
    )
    ids = prepared.split("train").batch(range(6))[0]
    wanted = nano_tokenizer()([f"text: row {i}" for i in range(6)])["input_ids"]
    assert [row.tolist() for row in ids] == wanted


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    folder = write_splits(tmp_path) / "made" / "toy"
    (folder / "train.parquet").unlink()
    write_rows(folder / "train-00001-of-00003.parquet", numbered(2))
    [problem] = problems_of(tmp_path)
    assert "2 of 3 shards missing" in problem
    assert "[0, 2]" in problem


def test_missing_splits_are_named_together_with_the_layout(tmp_path: Path) -> None:
    folder = write_splits(tmp_path) / "made" / "toy"
    (folder / "train.parquet").unlink()
    (folder / "test.parquet").unlink()
    problems = problems_of(tmp_path)
    assert len(problems) == 2
    assert f"{folder / 'train.parquet'}: no such file" in problems[0]
    assert f"{folder / 'test.parquet'}: no such file" in problems[1]
    assert all("DIR/made/toy/train.parquet" in problem for problem in problems)


def test_the_test_split_is_not_asked_for_where_the_rule_does_not_read_it(tmp_path: Path) -> None:
    (write_splits(tmp_path) / "made" / "toy" / "test.parquet").unlink()
    assert sorted(files_of(tmp_path, split="small")) == ["train", "validation"]


def test_an_empty_data_dir_says_where_it_looked(tmp_path: Path) -> None:
    [problem] = problems_of(tmp_path)
    assert str(tmp_path / "made" / "toy") in problem
    assert "give --data-dir DIR with DIR/made/toy/train.parquet" in problem


def test_a_misspelt_data_dir_gets_a_hint(tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    [problem] = problems_of(tmp_path / "datsets")
    assert "no such folder (did you mean 'datasets'?)" in problem


def test_a_missing_own_file_is_named(tmp_path: Path) -> None:
    write_splits(tmp_path)
    folder = tmp_path / "made" / "toy"
    files = {split: (folder / f"{split}.parquet",) for split in ("train", "validation")} | {
        "test": (tmp_path / "gone.parquet",)
    }
    with pytest.raises(DataError, match=r"gone.parquet: no such file"):
        prepare(made_task(files=files), nano_tokenizer(), architecture="encoder-decoder", cache_dir=tmp_path / "cache")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository in the hub's layout on this disk; `datasets` loads it as it loads one from the hub."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf"))
    repository = tmp_path / "repository"
    splits = {"train": 5, "validation": 4}
    for split, n in splits.items():
        write_rows(repository / "toy" / f"{split}-00000-of-00001.parquet", numbered(n))
    listed = "".join(f"  - split: {split}\n    path: toy/{split}-*\n" for split in splits)
    (repository / "README.md").write_text(f"---\nconfigs:\n- config_name: toy\n  data_files:\n{listed}---\n")
    return repository


def test_a_repository_of_the_hub_is_loaded(hub: Path, tmp_path: Path) -> None:
    def prepared(**changes: Any) -> Any:
        return prepare(
            made_task(split="small", hub=(str(hub), "toy"), **changes),
            nano_tokenizer(),
            architecture="encoder-decoder",
            cache_dir=tmp_path / "cache",
        )

    first = prepared()
    assert first.sizes == {"train": 5, "validation": 2, "test": 2}
    assert first.origin == f"hub {hub}, subset toy"
    ids = first.split("train").batch([4])[0]
    assert ids[0].tolist() == nano_tokenizer()("text: row 4")["input_ids"]
    assert prepared().fingerprint == first.fingerprint
    write_rows(hub / "toy" / "train-00000-of-00001.parquet", numbered(5, 50))
    shutil.rmtree(tmp_path / "hf")  # the local copy of the former revision
    assert prepared().fingerprint != first.fingerprint


def test_a_split_or_column_that_the_hub_does_not_have_is_named(hub: Path) -> None:
    [problem] = problems_of(None, split="as_given", hub=(str(hub), "toy"))
    assert "no split 'test'; it has train, validation" in problem
    problems = problems_of(None, split="small", template="{texts}", hub=(str(hub), "toy"))
    assert len(problems) == 2
    assert "split train: no column 'texts' (did you mean 'text'?)" in problems[0]


def test_a_hub_out_of_reach_leads_to_the_data_dir(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise ConnectionError("Couldn't reach 'owner/made' on the Hub")

    monkeypatch.setattr("trials.data.hub._ask", lambda *_: None)
    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    [problem] = problems_of(None, split="small", hub=("owner/made", "toy"))
    assert "owner/made, subset toy" in problem
    assert "Couldn't reach" in problem
    assert "--data-dir DIR with DIR/made/toy/train.parquet and DIR/made/toy/validation.parquet" in problem


def test_a_task_without_any_rows_is_named() -> None:
    [problem] = problems_of(None)
    assert "task 'toy' has no rows" in problem
