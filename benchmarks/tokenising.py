"""Time, memory and disk of tokenising data of QQP's and YelpPolarity's size, and what further readers of them cost.

    python -m benchmarks.tokenising [--rows 1.0] [--tokenizer FOLDER]

Rows are made up: 404,276 of QQP's schema (364k train, 40k validation), 550,000 of Yelp's (512k train, 38k test; all
of train is kept, the published cut at 100,000 left out). Words are those of the embedded task by Zipf's law, lengths
like the real sets': questions of 11 words on average, reviews log-normal of 133. Each step runs in a process of its
own: one that tokenises, one that opens what is there, and several readers at once, as many engines would be, which
touch every row and then count what their memory maps hold for themselves and share. Linux only (`/proc`). Writes
benchmarks/results/tokenising.json.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from orchestrator.record.provenance import collect
from trials import memory
from trials.tasks import get_task
from trials.tasks.base import Task

RESULTS = Path(__file__).with_name("results")
EMBEDDED = Path(__file__).parents[1] / "trials" / "embedded"
READERS = 3
ROWS = {"qqp": {"train": 363_846, "validation": 40_430}, "yelp_polarity": {"train": 512_000, "test": 38_000}}
_AT_ONCE = 20_000


class Words:
    """Draws texts of words that occur in the embedded task, the frequent ones often.

    Args:
        seed: of the draws.
    """

    def __init__(self, seed: int) -> None:
        texts = pyarrow.parquet.read_table(EMBEDDED / "debsec" / "train.parquet").column("text").to_pylist()
        counts = Counter(word for text in texts for word in text.split())
        self._words = np.array([word for word, _ in counts.most_common()], dtype=object)
        shares = 1.0 / np.arange(1, len(self._words) + 1)
        self._shares = shares / shares.sum()
        self.random = np.random.default_rng(seed)

    def texts(self, lengths: np.ndarray) -> list[str]:
        """A text of each length in words."""
        drawn = self._words[self.random.choice(len(self._words), int(lengths.sum()), p=self._shares)]
        return [" ".join(part) for part in np.split(drawn, np.cumsum(lengths)[:-1])]


def questions(words: Words, n: int) -> dict[str, Any]:
    """Rows of QQP."""
    both = [words.texts(4 + words.random.poisson(7, n)) for _ in range(2)]
    return {"question1": both[0], "question2": both[1], "label": words.random.integers(0, 2, n)}


def reviews(words: Words, n: int) -> dict[str, Any]:
    """Rows of YelpPolarity; a log-normal of mean 133 words and median 97."""
    lengths = np.clip(words.random.lognormal(np.log(97), 0.8, n), 1, 1_000).astype(int)
    return {"text": words.texts(lengths), "label": words.random.integers(0, 2, n)}


MAKERS: dict[str, Callable[[Words, int], dict[str, Any]]] = {"qqp": questions, "yelp_polarity": reviews}


def task_of(name: str) -> Task:
    """The task as it is tokenised here: of any number of rows, all of which are kept."""
    return replace(get_task(name).read("as_published", "any"), most_train=None)


def write(name: str, data_dir: Path, share: float) -> int:
    """Made-up files of a task, in the hub's layout; their bytes."""
    words = Words(seed=7)
    folder = data_dir / str(get_task(name).folder)
    folder.mkdir(parents=True)
    for split, count in ROWS[name].items():
        left, writer = max(1_100, round(count * share)), None
        while left:
            n = min(left, _AT_ONCE)
            table = pa.table(MAKERS[name](words, n))
            writer = writer or pyarrow.parquet.ParquetWriter(folder / f"{split}.parquet", table.schema)
            writer.write_table(table)
            left -= n
        assert writer is not None
        writer.close()
    return sum(file.stat().st_size for file in folder.iterdir())


def child(step: str, name: str, data_dir: str, cache: str, tokenizer: str) -> dict[str, Any]:
    """What a process of its own measures: ``tokenise`` (or open, if it is there), or ``read`` every row and wait."""
    from transformers import AutoTokenizer

    from trials.data import prepare

    task, reader = task_of(name), AutoTokenizer.from_pretrained(tokenizer)
    memory.give_back()
    memory.forget_peak()
    before, started, cpu = memory.peak(), time.perf_counter(), time.process_time()
    data = prepare(task, reader, architecture="encoder-decoder", data_dir=Path(data_dir), cache_dir=Path(cache))
    found = {
        "seconds": round(time.perf_counter() - started, 2),
        "processor_seconds": round(time.process_time() - cpu, 2),
        "peak_mb": round((memory.peak() - before) / 1e6),
        "rows": data.sizes,
        "tokens": sum(split.tokens for split in data.report.splits.values()),
    }
    if step == "read":
        splits = [data.split("train"), data.split("validation"), data.split("test")]
        touched = 0
        for split in splits:
            for start in range(0, len(split), _AT_ONCE):
                ids, _, _ = split.batch(range(start, min(len(split), start + _AT_ONCE)))
                touched += sum(int(row[0]) >= 0 for row in ids)
        print("ready", flush=True)
        sys.stdin.readline()
        found |= {"touched": touched, **maps_of(Path(cache))}
        print("counted", flush=True)
        sys.stdin.readline()
    return found


def maps_of(folder: Path) -> dict[str, int]:
    """MB that this process's maps of files below a folder hold: in memory, for itself alone, and its share (Pss)."""
    sums, inside = Counter[str](), False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            inside = str(folder) in line
        elif inside and (match := re.match(r"(Rss|Pss|Private_Dirty|Anonymous):\s+(\d+) kB", line)):
            sums[match.group(1)] += int(match.group(2))
    return {f"map_{key.lower()}_mb": round(sums[key] * 1024 / 1e6) for key in ("Rss", "Pss", "Private_Dirty")}


def started(step: str, *arguments: str) -> subprocess.Popen[str]:
    """A process that takes one step."""
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.tokenising", "--child", step, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def result_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The last line that it prints. Raises RuntimeError where it fails."""
    output, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"a step ended with {process.returncode}")
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def readers(*arguments: str) -> list[dict[str, Any]]:
    """What several processes that read every row at once find, once all of them have."""
    processes = [started("read", *arguments) for _ in range(READERS)]
    for _ in ("ready", "counted"):
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
    return [result_of(process) for process in processes]


def measured(name: str, share: float, tokenizer: str) -> dict[str, Any]:
    """All steps for one task."""
    with tempfile.TemporaryDirectory(prefix="tokenising-") as folder:
        data_dir, cache = Path(folder) / "data", Path(folder) / "cache"
        size = write(name, data_dir, share)
        arguments = (name, str(data_dir), str(cache), tokenizer)
        first = result_of(started("tokenise", *arguments))
        again = result_of(started("tokenise", *arguments))
        disk = sum(file.stat().st_size for file in cache.rglob("*") if file.is_file())
        each = readers(*arguments)
    return {
        "parquet_mb": round(size / 1e6),
        "cache_mb": round(disk / 1e6),
        "tokenise": first,
        "open": {key: again[key] for key in ("seconds", "peak_mb")},
        "readers": [{key: value for key, value in one.items() if key.startswith("map_")} for one in each],
    }


def main() -> None:
    """Measure, show, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=float, default=1.0, help="share of the rows to make [1.0]")
    parser.add_argument("--tasks", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--tokenizer", default=str(EMBEDDED / "t5-nano"), help="its folder [that of t5-nano]")
    parser.add_argument("--out", type=Path, default=RESULTS / "tokenising.json")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        print(json.dumps(child(*args.child)))
        return
    found: dict[str, Any] = {"share_of_rows": args.rows, "tokenizer": Path(args.tokenizer).name}
    for name in args.tasks:
        found[name] = measured(name, args.rows, args.tokenizer)
        print(name, json.dumps(found[name], indent=1), flush=True)
    args.out.write_text(json.dumps(found | {"provenance": collect()}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
