from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trials.made_data import (
    REPOSITORY,
    CountingTokenizer,
    decoder_tokenizer,
    made_task,
    nano_tokenizer,
    numbered,
    write_rows,
    write_splits,
)
from trials.data import PreparedTask, default_cache_dir, prepare
from trials.data.preparation import PARALLEL
from trials.errors import UserError
from trials.tasks.base import Task
from trials.tasks.targets import Labels


def prepared_in(folder: Path, tokenizer: Any = None, task: Task | None = None, **options: Any) -> PreparedTask:
    given: dict[str, Any] = {
        "architecture": "encoder-decoder",
        "data_dir": folder,
        "cache_dir": folder / "cache",
    } | options
    return prepare(task or made_task(), tokenizer or nano_tokenizer(), **given | options)


def test_the_second_time_nothing_is_tokenised(tmp_path: Path) -> None:
    tokenizer = CountingTokenizer(nano_tokenizer())
    first = prepared_in(write_splits(tmp_path), tokenizer)
    counted = tokenizer.texts
    assert counted >= 12
    second = prepared_in(tmp_path, tokenizer)
    assert tokenizer.texts == counted
    assert second == first
    assert second.split("test").batch([2])[2] == ["0"]


@pytest.mark.parametrize("before", ["false", None])
def test_rows_are_tokenised_on_all_cores_and_nothing_else_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    monkeypatch.setenv(PARALLEL, "to be put back after the test")
    if before is None:
        monkeypatch.delenv(PARALLEL)
    else:
        monkeypatch.setenv(PARALLEL, before)
    found: list[str | None] = []

    class Looking(CountingTokenizer):
        def __call__(self, *texts: Any, **options: Any) -> Any:
            found.append(os.environ.get(PARALLEL))
            return super().__call__(*texts, **options)

    prepared_in(write_splits(tmp_path), Looking(nano_tokenizer()))
    assert set(found) == {"true"}
    assert os.environ.get(PARALLEL) == before


@pytest.mark.parametrize(
    "change",
    [
        {"task": made_task(template="sentence: {text}")},
        {"task": made_task(target=Labels({0: "1", 1: "0"}))},
        {"task": made_task(split="small")},
        {"task": made_task(max_source_length=17)},
        {"max_source_length": 17},
        {"tokenizer": decoder_tokenizer()},
        {"architecture": "decoder-only"},
    ],
    ids=["template", "labels", "split", "task length", "length", "tokenizer", "architecture"],
)
def test_what_decides_the_ids_changes_the_fingerprint(tmp_path: Path, change: dict[str, Any]) -> None:
    write_splits(tmp_path)
    assert prepared_in(tmp_path, **change).fingerprint != prepared_in(tmp_path).fingerprint


def test_other_rows_change_the_fingerprint_and_another_place_does_not(tmp_path: Path) -> None:
    first = prepared_in(write_splits(tmp_path / "a"))
    assert prepared_in(write_splits(tmp_path / "b")).fingerprint == first.fingerprint
    write_splits(tmp_path / "a", test=numbered(4, 99))
    assert prepared_in(tmp_path / "a").fingerprint != first.fingerprint


def test_what_decides_no_id_keeps_the_fingerprint(tmp_path: Path) -> None:
    write_splits(tmp_path)
    other = made_task(title="Another title", metrics=("f1",), published_as="rte", aliases=("t",))
    assert prepared_in(tmp_path, task=other).fingerprint == prepared_in(tmp_path).fingerprint


def test_batches_come_from_the_memory_map(tmp_path: Path) -> None:
    prepared = prepared_in(write_splits(tmp_path, train=numbered(2_500)))
    train = prepared.split("train")
    assert len(train) == 2_500
    rows = [2_499, 0, 1_000, 999, 0]
    ids, targets, texts = train.batch(rows)
    wanted = nano_tokenizer()([f"text: row {row}" for row in rows])["input_ids"]
    assert [row.tolist() for row in ids] == wanted
    assert [row.tolist() for row in targets] == [prepared.label_token_ids[text] for text in texts]
    assert texts == [str(row % 2) for row in rows]
    assert all(row.dtype == np.int32 and not row.flags.owndata and not row.flags.writeable for row in ids)
    assert train.lengths[rows].tolist() == [len(row) for row in wanted]
    assert train.batch([]) == ([], [], [])


@pytest.mark.parametrize("rows", [[-1], [4], [0, 99]])
def test_a_row_outside_the_split_is_refused(tmp_path: Path, rows: list[int]) -> None:
    with pytest.raises(IndexError, match="0 to 3"):
        prepared_in(write_splits(tmp_path)).split("train").batch(rows)


def test_an_unknown_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="train, validation, test"):
        prepared_in(write_splits(tmp_path)).split("dev")  # type: ignore[arg-type]


def test_a_prepared_task_travels_between_processes(tmp_path: Path) -> None:
    prepared = prepared_in(write_splits(tmp_path))
    without_rows = len(pickle.dumps(prepared))
    prepared.split("train")
    sent = pickle.dumps(prepared)
    assert len(sent) == without_rows  # the receiver opens its own memory map
    received = pickle.loads(sent)
    assert received == prepared
    assert received.split("train").batch([3])[2] == ["1"]


def test_counts_and_the_majority_score(tmp_path: Path) -> None:
    validation = [{"text": "a", "label": int(i < 3)} for i in range(10)]
    prepared = prepared_in(write_splits(tmp_path, validation=validation))
    assert prepared.report.splits["validation"].classes == {"0": 7, "1": 3}
    assert prepared.majority() == {"validation": 70.0, "test": 50.0}
    by_f1 = prepared_in(tmp_path, task=made_task(metrics=("f1", "accuracy")))
    assert by_f1.majority()["validation"] == pytest.approx(100 * 2 * 3 / 13)  # always "1": TP 3, FP 7
    by_matthews = prepared_in(tmp_path, task=made_task(metrics=("matthews_correlation",)))
    assert by_matthews.majority() == {"validation": 0.0, "test": 0.0}


def damage_content(folder: Path) -> None:
    file = next((folder / "train").glob("*.arrow"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)


def damage_length(folder: Path) -> None:
    file = next((folder / "test").glob("*.arrow"))
    file.write_bytes(file.read_bytes()[:100])


def damage_missing(folder: Path) -> None:
    next((folder / "validation").glob("*.arrow")).unlink()


def damage_facts(folder: Path) -> None:
    (folder / "prepared.json").write_text('{"facts"')


def damage_no_facts(folder: Path) -> None:
    (folder / "prepared.json").unlink()


@pytest.mark.parametrize(
    "damage", [damage_content, damage_length, damage_missing, damage_facts, damage_no_facts], ids=lambda f: f.__name__
)
def test_a_damaged_folder_is_built_again(tmp_path: Path, damage: Any) -> None:
    tokenizer = CountingTokenizer(nano_tokenizer())
    first = prepared_in(write_splits(tmp_path), tokenizer)
    wanted = [ids.tolist() for ids in first.split("train").batch(range(4))[0]]
    damage(first.folder)
    counted = tokenizer.texts
    again = prepared_in(tmp_path, tokenizer)
    assert tokenizer.texts > counted
    assert [ids.tolist() for ids in again.split("train").batch(range(4))[0]] == wanted
    assert sorted(path.name for path in again.folder.iterdir()) == ["prepared.json", "test", "train", "validation"]
    counted = tokenizer.texts
    prepared_in(tmp_path, tokenizer)
    assert tokenizer.texts == counted


def test_a_process_that_died_leaves_nothing_behind(tmp_path: Path) -> None:
    first = prepared_in(write_splits(tmp_path))
    left = first.folder.parent / f"{first.folder.name}.building-1"
    first.folder.rename(left)
    again = prepared_in(tmp_path)
    assert again.folder.is_dir()
    assert not left.exists()


def test_an_error_while_building_leaves_no_folder(tmp_path: Path) -> None:
    rows = [{"text": None, "label": 0}, {"text": "a", "label": 0}]
    with pytest.raises(UserError):
        prepared_in(write_splits(tmp_path, train=rows))
    assert [path for path in (tmp_path / "cache").iterdir() if path.is_dir()] == []


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    write_splits(tmp_path)
    (tmp_path / "occupied").write_text("a file")
    with pytest.raises(UserError, match=r"occupied.* cannot be written .*ADEPT_CACHE"):
        prepared_in(tmp_path, cache_dir=tmp_path / "occupied" / "cache")


def test_the_place_of_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ADEPT_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert default_cache_dir() == tmp_path / ".cache" / "adept-search"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache_dir() == tmp_path / "xdg" / "adept-search"
    monkeypatch.setenv("ADEPT_CACHE", str(tmp_path / "own"))
    assert default_cache_dir() == tmp_path / "own"
    assert prepared_in(write_splits(tmp_path), cache_dir=None).folder.parent == tmp_path / "own"


def test_a_user_without_a_home_folder_is_asked_for_a_place_of_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HOME", "ADEPT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("posixpath.expanduser", str)  # as it is where the system does not know the user either
    with pytest.raises(UserError, match=r"~/\.cache: HOME is not set.*; set HOME, or set ADEPT_CACHE to a folder"):
        default_cache_dir()
    monkeypatch.setenv("ADEPT_CACHE", str(tmp_path))
    assert default_cache_dir() == tmp_path


AT_ONCE = """
import sys, time
from pathlib import Path
from tests.trials.made_data import CountingTokenizer, decoder_tokenizer, made_task
from trials.data import prepare

class Slow(CountingTokenizer):
    def __call__(self, texts, **options):
        time.sleep(0.05)
        return super().__call__(texts, **options)

folder, name = Path(sys.argv[1]), sys.argv[2]
tokenizer = Slow(decoder_tokenizer())
(folder / f"ready-{name}").touch()
while not (folder / "go").exists():
    time.sleep(0.01)
prepared = prepare(
    made_task(), tokenizer, architecture="decoder-only", data_dir=folder, cache_dir=folder / "cache"
)
print(tokenizer.texts, prepared.fingerprint, prepared.split("train").batch([1])[2])
"""


def test_processes_at_once_tokenise_once(tmp_path: Path) -> None:
    write_splits(tmp_path)
    paths = os.pathsep.join([str(REPOSITORY), str(Path(__file__).parents[1])])
    running = [
        subprocess.Popen(
            [sys.executable, "-c", AT_ONCE, str(tmp_path), name],
            env=os.environ | {"PYTHONPATH": paths, "PYTHONHASHSEED": name},
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("1", "2")
    ]
    until = time.monotonic() + 120
    while len(list(tmp_path.glob("ready-*"))) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    (tmp_path / "go").touch()
    said = [process.communicate(timeout=120)[0].split(maxsplit=1) for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert sorted(int(texts) > 0 for texts, _ in said) == [False, True]
    assert len({rest for _, rest in said}) == 1


def test_own_column_order_and_extra_columns_do_not_matter_to_the_ids(tmp_path: Path) -> None:
    first = prepared_in(write_splits(tmp_path))
    wanted = [ids.tolist() for ids in first.split("train").batch(range(4))[0]]
    turned = [{"extra": 1.5, "label": row["label"], "text": row["text"]} for row in numbered(4)]
    write_rows(tmp_path / "made" / "toy" / "train.parquet", turned)
    assert [ids.tolist() for ids in prepared_in(tmp_path).split("train").batch(range(4))[0]] == wanted
