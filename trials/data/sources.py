"""Where a task's rows are: with the project, in files of one's own, under `--data-dir`, or on the hub."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from trials.data.hub import load_repository
from trials.data.lines import lines_of
from trials.data.reading import is_quoted, read_table
from trials.errors import DataError, did_you_mean
from trials.tasks.base import Task
from yaml_reader.home import from_home

EMBEDDED = Path(__file__).resolve().parents[1] / "embedded"
_SHARD = re.compile(r"-(\d+)-of-(\d+)(?:-[0-9a-f]{16})?\.parquet$")  # older uploads to the hub end in 16 digits


@dataclass(frozen=True)
class Part:
    """Rows of one split that lie together: a file, or a table from the hub.

    Attributes:
        where: how a message names it.
        path: the file, or None.
        table: the columns of the task, or None where they are in the file.
    """

    where: str
    path: Path | None = None
    table: pa.Table | None = None

    def read(self, task: Task) -> pa.Table:
        """The columns of the task. Raises DataError."""
        if self.table is not None:
            return self.table
        assert self.path is not None
        return read_table(self.path, task.read_columns, task.text_columns, task.tsv_quoting)

    def lines(self, task: Task, rows: Sequence[int]) -> list[int] | None:
        """The lines on which some rows begin, from 1; None where rows are no lines."""
        return None if self.path is None else lines_of(self.path, rows, is_quoted(self.path, task.tsv_quoting))

    def digest(self) -> str:
        """SHA-256 of the file, or of the table's columns. Raises OSError where the file cannot be read."""
        if self.path is not None:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        assert self.table is not None
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self.table.schema.remove_metadata()) as writer:
            writer.write_table(self.table.replace_schema_metadata(None))
        return hashlib.sha256(sink.getvalue()).hexdigest()


@dataclass(frozen=True)
class Source:
    """Where all published splits of a task are.

    Attributes:
        origin: one line for people and run records.
        parts: published split -> its parts, in order.
    """

    origin: str
    parts: Mapping[str, tuple[Part, ...]]


def find_source(task: Task, data_dir: Path | None) -> Source:
    """Where the rows of a task are.

    `data_dir` is where benchmarks lie; tasks that ship with the project and own tasks bring their rows and do not look
    there. With a `data_dir`, the hub is not asked.

    Raises:
        DataError: a folder, file or shard is missing, or the hub cannot be reached; with the layout that is expected.
    """
    if task.embedded:
        return Source("embedded", _in_folder(task, EMBEDDED / task.name, "; install the project again"))
    if task.files is not None:
        paths = {split: task.files[split] for split in task.raw_splits}
        return Source("own files", {split: _parts(files) for split, files in paths.items()})
    if data_dir is not None:
        return _in_data_dir(task, from_home(data_dir))
    if task.hub is not None:
        return _on_hub(task, *task.hub)
    raise DataError(f"task '{task.name}' has no rows: it is neither embedded nor has it files, a folder or a hub name")


def layout(task: Task) -> str:
    """The files that `--data-dir DIR` must hold for a task, as a message names them."""
    files = " and ".join(f"DIR/{task.folder}/{split}.parquet" for split in task.raw_splits)
    return f"--data-dir DIR with {files} (or shards named as on the hub, e.g. train-00000-of-00001.parquet)"


def _in_data_dir(task: Task, data_dir: Path) -> Source:
    if task.folder is None:
        raise DataError(f"task '{task.name}' has no folder under --data-dir")
    if not data_dir.is_dir():
        what = "not a folder" if data_dir.exists() else "no such folder"
        near = ""
        if data_dir.parent.is_dir():
            near = did_you_mean(data_dir.name, (p.name for p in data_dir.parent.iterdir() if p.is_dir()))
        raise DataError(f"--data-dir {data_dir}: {what}{near}")
    candidates = [data_dir / task.folder, data_dir / Path(task.folder).name, data_dir]
    for folder in candidates:
        if _joined(task, folder) or any(_files(folder, split) for split in task.raw_splits):
            return Source(str(folder), _in_folder(task, folder, f"; expected is {layout(task)}"))
    looked = ", ".join(str(folder) for folder in candidates)
    raise DataError(
        f"task '{task.name}' has no rows under --data-dir {data_dir} (looked in {looked}): give {layout(task)}"
    )


def _in_folder(task: Task, folder: Path, fix: str) -> dict[str, tuple[Part, ...]]:
    found = {split: _files(folder, split) or _joined(task, folder) for split in task.raw_splits}
    problems = [
        f"{folder / split}.parquet: no such file, nor {split}-*.parquet beside it{fix}"
        for split, files in found.items()
        if not files
    ]
    for files in found.values():
        problems += _missing_shards(files)
    if problems:
        raise DataError(problems)
    return {split: _parts(files) for split, files in found.items()}


def _files(folder: Path, split: str) -> list[Path]:
    whole = folder / f"{split}.parquet"
    return [whole] if whole.exists() else sorted(folder.glob(f"{split}-*.parquet"))


def _joined(task: Task, folder: Path) -> list[Path]:
    """The files of the splits that are one, where all of them are there."""
    found = [_files(folder, split) for split in task.joined or ()]
    return [file for files in found for file in files] if all(found) else []


def _missing_shards(files: list[Path]) -> list[str]:
    """What is missing of shards named as on the hub, PREFIX-00000-of-00003.parquet."""
    matches = [match for match in (_SHARD.search(file.name) for file in files) if match]
    if not matches:
        return []
    total = max(int(match.group(2)) for match in matches)
    missing = sorted(set(range(total)) - {int(match.group(1)) for match in matches})
    if not missing:
        return []
    return [f"{files[0].parent}: {len(missing)} of {total} shards missing beside {files[0].name}: number {missing}"]


def _parts(files: Iterable[Path]) -> tuple[Part, ...]:
    return tuple(Part(str(file), path=file) for file in files)


def _on_hub(task: Task, repository: str, subset: str | None) -> Source:
    name = f"{repository}, subset {subset}" if subset else repository
    splits = load_repository(task, layout(task))
    columns = list(task.read_columns)
    problems: list[str] = []
    parts: dict[str, tuple[Part, ...]] = {}
    for split in task.joined or task.raw_splits:
        if split not in splits:
            problems.append(f"{name}: no split '{split}'{did_you_mean(split, splits)}; it has {', '.join(splits)}")
            continue
        present = splits[split].column_names
        absent = [column for column in columns if column not in present]
        problems += [
            f"{name}, split {split}: no column '{column}'{did_you_mean(column, present)}; "
            f"its columns are {', '.join(present)}"
            for column in absent
        ]
        if not absent:
            table = splits[split].data.table.select(columns)
            parts[split] = (Part(f"{name}, split {split}", table=table),)
    if problems:
        raise DataError(problems)
    if task.joined:
        parts = {task.raw_splits[0]: tuple(part for split in task.joined for part in parts[split])}
    return Source(f"hub {name}", parts)
