"""Small tasks, files and tokenizers for the tests of tasks and data."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trials.tasks.base import Task
from trials.tasks.targets import Labels

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / "shared"
REAL_DATA = SHARED / "data"
NANO = REPOSITORY / "trials" / "embedded" / "t5-nano"

needs_real_data = pytest.mark.skipif(not REAL_DATA.is_dir(), reason=f"no real benchmark data in {REAL_DATA}")


@functools.cache
def nano_tokenizer() -> Any:
    """The tokenizer of the embedded backbone: no beginning token, "</s>" at the end."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(NANO))


def decoder_tokenizer(*, begin: bool = True, end: bool = True) -> Any:
    """A word-level tokenizer as decoders have them: a beginning token if asked for, no end at encoding."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["<unk>", "<s>", "</s>", "answer", ":", "0", "1", "row", *(f"w{i}" for i in range(50))]
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.decoder = decoders.Fuse()
    if begin:
        made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    names = {"unk_token": "<unk>"} | ({"bos_token": "<s>"} if begin else {}) | ({"eos_token": "</s>"} if end else {})
    return PreTrainedTokenizerFast(tokenizer_object=made, **names)


class CountingTokenizer:
    """A tokenizer that counts the texts it is given."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.texts = 0

    def __call__(self, texts: list[str], **options: Any) -> Any:
        self.texts += len(texts)
        return self.tokenizer(texts, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tokenizer, name)


def write_rows(path: Path, rows: list[dict[str, Any]] | pa.Table) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows), path)
    return path


def numbered(n: int, start: int = 0) -> list[dict[str, Any]]:
    """Rows whose text says which row it is; labels alternate."""
    return [{"text": f"row {i}", "label": i % 2} for i in range(start, start + n)]


def made_task(**changes: Any) -> Task:
    """A task of one text column whose rows lie under `--data-dir` in made/toy."""
    facts: dict[str, Any] = {
        "name": "toy",
        "title": "Toy",
        "template": "text: {text}",
        "target": Labels({0: "0", 1: "1"}),
        "max_source_length": 16,
        "folder": "made/toy",
    }
    return Task(**(facts | changes))


def write_splits(data_dir: Path, **rows: list[dict[str, Any]] | pa.Table) -> Path:
    """Parquet files of the toy task; missing splits are numbered rows."""
    folder = data_dir / "made" / "toy"
    for start, split in enumerate(("train", "validation", "test")):
        write_rows(folder / f"{split}.parquet", rows.get(split, numbered(4, 10 * start)))
    return data_dir
