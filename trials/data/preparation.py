"""From a task to its tokenised rows: found, checked, split, tokenised, saved; once for a backbone."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trials.data.cache import cached, default_cache_dir
from trials.data.identity import digests_of, identity_of, rules
from trials.data.prepared import ROWS, PreparedTask
from trials.data.report import DataReport, SplitCounts, make_report
from trials.data.rows import Rows, load_rows
from trials.data.sources import Source, find_source
from trials.data.tokens import (
    SEPARATOR,
    Architecture,
    SourceEncoder,
    check_architecture,
    encode_labels,
    encode_texts,
    tokenizer_fingerprint,
)
from trials.errors import DataError, UserError
from trials.tasks.base import Task
from trials.tasks.targets import Target, Text
from yaml_reader.home import from_home

# Raise it when the same inputs would give other ids: searches that go on are compared by it.
FORMAT = 2
# Raise it when the same ids lie otherwise in their files.
LAYOUT = 2
_TOKENISED_AT_ONCE = 1_000
PARALLEL = "TOKENIZERS_PARALLELISM"  # the tokenizers library looks at it with each batch


def prepare(
    task: Task,
    tokenizer: Any,
    *,
    architecture: Architecture,
    data_dir: Path | None = None,
    max_source_length: int | None = None,
    cache_dir: Path | None = None,
) -> PreparedTask:
    """The tokenised rows of a task. Many processes may call it at once: one tokenises, the others wait and read.

    Args:
        task: see `trials.tasks`.
        tokenizer: a transformers tokenizer.
        architecture: decides the layout of source and target (see `trials.data.tokens`).
        data_dir: where benchmarks lie in the hub's layout; None asks the hub. Embedded and own tasks bring their rows.
        max_source_length: tokens; None takes the task's.
        cache_dir: None takes $ADEPT_CACHE, else $XDG_CACHE_HOME/adept-search, else ~/.cache/adept-search.

    Raises:
        DataError: rows are missing, unreadable or wrong; all problems of all splits at once.
        UserError: the cache cannot be written, or the length leaves no room for text.
        BackboneError: the tokenizer has no end-of-sequence token.
    """
    check_architecture(architecture)
    length = task.max_source_length if max_source_length is None else max_source_length
    source = find_source(task, data_dir)
    digests = _digests(task, source)
    fingerprint = _fingerprint(task, digests, tokenizer, architecture, length)
    cache = from_home(cache_dir or default_cache_dir()).absolute()

    def build(folder: Path) -> dict[str, Any]:
        with _all_cores():
            return _build(folder, task, source, tokenizer, architecture, length)

    folder, facts = cached(cache, f"{task.name}-{fingerprint}-{LAYOUT}", build)
    return PreparedTask(
        task=task,
        architecture=architecture,
        max_source_length=length,
        fingerprint=fingerprint,
        folder=folder,
        origin=source.origin,
        sizes=facts["sizes"],
        max_target_length=max(
            map(len, facts["label_token_ids"].values()), default=getattr(task.target, "max_length", 0)
        ),
        label_token_ids=facts["label_token_ids"],
        report=DataReport.from_dict(facts["report"]),
        identity=identity_of(task, source, digests, fingerprint),
    )


def fingerprint_now(
    task: Task, tokenizer: Any, architecture: Architecture, data_dir: Path | None, max_source_length: int
) -> str:
    """What `PreparedTask.fingerprint` would be, without tokenising.

    Raises:
        DataError: rows are missing or cannot be read.
    """
    digests = _digests(task, find_source(task, data_dir))
    return _fingerprint(task, digests, tokenizer, architecture, max_source_length)


def _digests(task: Task, source: Source) -> dict[str, list[str]]:
    try:
        return digests_of(source)
    except OSError as error:
        load_rows(task, source)  # says which files, and what else is wrong
        raise DataError(f"task '{task.name}': its rows cannot be read ({error})") from error


def _fingerprint(
    task: Task, digests: dict[str, list[str]], tokenizer: Any, architecture: Architecture, length: int
) -> str:
    decides = {
        "format": FORMAT,
        "rows": digests,
        "template": task.template,
        **rules(task),
        "tokenizer": tokenizer_fingerprint(tokenizer),
        "architecture": [architecture, SEPARATOR if task.separator is None else task.separator],
        "max_source_length": length,
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def _all_cores() -> Iterator[None]:
    """Tokenise on every core: one process tokenises, and others wait for it. Everywhere else each has its own core."""
    before = os.environ.get(PARALLEL)
    os.environ[PARALLEL] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ[PARALLEL]
        else:
            os.environ[PARALLEL] = before


def _build(
    folder: Path, task: Task, source: Source, tokenizer: Any, architecture: Architecture, length: int
) -> dict[str, Any]:
    """Tokenises into `folder`, one Arrow file a split; returns what `prepare` needs beside the rows."""
    labels: dict[str, list[int]] = {}  # stays empty where answers are no closed set
    encoder: SourceEncoder | None = None
    rows: dict[str, Rows] = {}
    errors: list[UserError] = []
    try:
        encoder = SourceEncoder(tokenizer, architecture, length, task.template, task.separator)
        labels = encode_labels(task.answers, tokenizer, architecture)
    except UserError as error:
        errors.append(error)
    try:
        rows = load_rows(task, source)
    except UserError as error:
        errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors or encoder is None:
        raise DataError([problem for error in errors for problem in error.problems])
    found = {}
    for split, chosen in rows.items():
        try:
            found[split] = _save(folder / split, chosen, labels, encoder, task.target)
        except UserError as error:
            raise DataError([f"task '{task.name}', {split}: {problem}" for problem in error.problems]) from error
    report = make_report(task, found, rows, length)
    sizes = {split: len(chosen) for split, chosen in rows.items()}
    return {"sizes": sizes, "label_token_ids": labels, "report": report.as_dict()}


def _save(
    folder: Path, rows: Rows, labels: dict[str, list[int]], encoder: SourceEncoder, target: Target
) -> SplitCounts:
    """Tokenises a split and writes it, some rows at a time: neither its texts nor its ids are ever in memory whole."""
    import pyarrow as pa

    ids = pa.list_(pa.int32())
    kinds = {"input_ids": ids, "target_ids": ids, "target": pa.string()} | (
        {"group": pa.string()} if rows.groups else {}
    )
    counts = SplitCounts(getattr(encoder.tokenizer, "unk_token_id", None))
    folder.mkdir()
    with pa.OSFile(str(folder / ROWS), "wb") as file, pa.ipc.new_stream(file, pa.schema(kinds)) as writer:
        for start in range(0, len(rows), _TOKENISED_AT_ONCE):
            some = slice(start, start + _TOKENISED_AT_ONCE)
            texts, targets = rows.sources[some], rows.targets[some]
            encoded = encoder.encode(texts)
            counts.add(texts, encoded)
            if isinstance(target, Text):
                answers = encode_texts(targets, encoder.tokenizer, encoder.architecture, target.max_length)
                counts.cut_targets += sum(answers.cut)
                counts.lost_targets += sum(answers.lost)
                target_ids = answers.ids
            else:
                target_ids = [labels[text] for text in targets]
            columns = [encoded.ids, target_ids, targets, *([rows.groups[some]] if rows.groups else [])]
            arrays = [pa.array(values, kind) for values, kind in zip(columns, kinds.values(), strict=True)]
            writer.write_batch(pa.record_batch(arrays, names=list(kinds)))
    return counts
