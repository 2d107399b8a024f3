"""What users named is printed as it is, and on every output."""

from __future__ import annotations

import ast
import codecs
import io
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table

from orchestrator.console import PlainConsole, spelled
from orchestrator.record.record import TestResult
from orchestrator.record.status import TrialStatus
from orchestrator.tune.progress import Progress
from tests.orchestrator.made_records import make_record, make_trial

ROOT = Path(__file__).parents[2]
BARE = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
TASK = """
title: "Topics [/INST] [red] :key: ± über"
name: topics
files: {train: train.csv, validation: validation.csv, test: test.csv}
template: "text: {text}"
"""


def test_texts_from_outside_are_no_commands() -> None:
    text = "runs/r[/a] [bold]x[/INST] :key: [link=x]"
    console = PlainConsole(file=io.StringIO(), width=200)
    table = Table("column [/x]", title=text, caption=text)
    table.add_row(text)
    console.print(table)
    console.print(text)
    with Progress(1, 10, text, console) as shown:
        shown.trial_started(1, {"a": text})
        shown.reported(1, {"step": 10, "score": 1.0})
        shown.ended(1, TrialStatus.FAILED, text)
        logging.getLogger("orchestrator.tests").info(text)
    assert console.file.getvalue().count(text) >= 7  # type: ignore[attr-defined]


def test_every_console_is_such_a_one() -> None:
    for file in (ROOT / "orchestrator").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            made = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Console"
            assert not made, f"{file}:{getattr(node, 'lineno', 0)}: markup is on in what users named"


@pytest.mark.parametrize(
    ("encoding", "right"), [("ascii", "9.1 +/- 2.0 - uber ? ?"), ("latin-1", "9.1 \xb1 2.0 - \xfcber ? ?")]
)
def test_what_an_output_cannot_write_is_spelled(encoding: str, right: str) -> None:
    codecs.register_error("test.spelled", spelled)
    assert "9.1 ± 2.0 — über 中 \udcff".encode(encoding, errors="test.spelled") == right.encode(encoding)


@pytest.mark.parametrize("how", ["report", "compare", "plan"])
def test_an_output_without_our_signs_ends_no_command(tmp_path: Path, how: str) -> None:
    for seed in (42, 43):
        trials = [make_trial(number, [50.0, 60.0 + number]) for number in (1, 2)]
        record = make_record(*trials, provenance={"started": "2026-01-31T12:00:00+00:00"})
        for trial in record.trials:
            trial.seed = 42 if how == "compare" else seed  # of two seeds there is a mean, of one a comparison
        record.name, record.test = f"s{seed}", TestResult(2, seed / 1.0, {"accuracy": seed / 1.0}, 139, 100 / 139, 2000)
        record.save(tmp_path / "r[/a]" / f"s{seed}" / "search.json")
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.csv").write_text("text,label\n" + "".join(f"{split} {i},{i % 2}\n" for i in range(8)))
    (tmp_path / "topics.yaml").write_text(TASK, encoding="utf-8")
    arguments = {
        "report": ["report", "--runs", "r[/a]", "--out", "out[/b]"],
        "compare": ["compare", "r[/a]/s42", "r[/a]/s43"],
        "plan": ["plan", "--task", "topics.yaml", "--backbone", "t5-nano", "--steps", "20", "--output", "r[/a]"],
    }[how]
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", *arguments],
        cwd=tmp_path,
        env={**os.environ, **BARE, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        timeout=120,
        check=False,
    )
    printed = done.stdout.decode("ascii")
    assert done.returncode == 0, done.stderr.decode()
    assert {"report": "+/-", "compare": "r[/a]/s42", "plan": "Topics [/INST] [red] :key: +/- uber"}[how] in printed
