"""Three weeks of a nightly sweep with planted changes: what happened in each night, and what the gate said of it.

    python -m benchmarks.three_weeks

Works on a clone of this repository, so that a planted change is a commit as any other: it changes the code's
fingerprint, and messages name the range of commits. Every night is the command that a clock would give (``adept-search
nightly``), with its date set by hand; tasks are rows of the two embedded ones, with short budgets. Each night's code
draws other random numbers than the night's before, as a harmless change may: so the scores' noise from night to night
is the training's own, and the gate has to measure it.

Prints a table and writes ``benchmarks/results/three_weeks.json``.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet
from rich.console import Console
from rich.table import Table

from benchmarks.half_speed import half_speed
from benchmarks.planted_nights import NIGHTS, Edit, Night, other_numbers
from orchestrator.nights.history import History
from orchestrator.nights.verdict import Finding, Outcome
from orchestrator.record.provenance import collect

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
EMBEDDED = ROOT / "trials" / "embedded"
FIRST = date(2026, 6, 1)
ROWS = {"train": 2_000, "validation": 150, "test": 500}
TASKS = {"sections": ("debsec", ("text",), "{text}"), "matches": ("debmatch", ("sentence1", "sentence2"), "")}
COUNTED = (Outcome.FINE, Outcome.NOT_COMPARED)
TIMEOUT = 1_800  # seconds that one command of a night may take

SWEEP = """\
about: three simulated weeks
tasks: [sections.yaml, matches.yaml]
methods: [adept, pt]
backbones: [t5-nano]
without: [{{task: matches, method: adept}}]
options: {{steps: {steps}, eval_every: {steps}, batch_size: 16, precision: float32, space: space.yaml, seeds: {seeds}}}
overrides:
- where: {{task: matches}}
  options: {{steps: 40, eval_every: 40}}
history: {history}
notify: {{when: always, file: {notes}}}
"""
SPACE = """\
about: one configuration a method
settings: {steps: 120, eval_every: 60, batch_size: 16, warmup_steps: 6}
grids:
  adept: {prompt_lr: [3e-1], mlp_lr: [3e-3], prompt_length: [20], bottleneck: [39]}
  pt: {prompt_lr: [3e-1], prompt_length: [40]}
"""


@dataclass
class NightResult:
    """What became of a night."""

    night: int
    date: str
    planted: str
    expected: Sequence[int]
    exit_code: int
    statuses: dict[str, str]
    scores: dict[str, float | None]
    sentences: list[str]
    seconds: float
    entries: int


class Weeks:
    """A clone of the code, the tasks, and the nights that were run there."""

    def __init__(self, folder: Path, steps: int, seeds: int) -> None:
        self.folder, self.code, self.history = folder, folder / "code", folder / "history"
        self.sweep = folder / "weeks.yaml"
        subprocess.run(["git", "clone", "--quiet", "--local", str(ROOT), str(self.code)], check=True)
        for name in TASKS:
            write_task(folder, name)
        shutil.copytree(folder / "data", folder / "whole")
        (folder / "space.yaml").write_text(SPACE)
        more = {"history": self.history, "notes": folder / "notes.jsonl"}
        self.sweep.write_text(SWEEP.format(steps=steps, seeds=seeds, **more))
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(self.code),
            "HF_HUB_OFFLINE": "1",
            "RAY_ADDRESS": "local",
            "RAY_AUTH_MODE": "disabled",
        }
        found = subprocess.run(
            [sys.executable, "-c", "import trials; print(trials.__file__)"],
            env=self.environment, cwd=folder, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        if not found.startswith(str(self.code)):  # engines would not have what is planted
            sys.exit(
                f"error: {sys.executable} imports {found.strip()} before PYTHONPATH; use the clone's own environment"
            )

    def run(self, number: int, night: Night, numbers: int) -> NightResult:
        """One night.

        Args:
            numbers: which stream of random numbers the code draws.
        """
        self._commit([*night.edits, other_numbers(numbers)], f"Night {number}: {night.planted}")
        shutil.copytree(self.folder / "whole", self.folder / "data", dirs_exist_ok=True)
        for task in night.broken:
            path = self.folder / "data" / f"{task}-train.csv"
            path.write_bytes(path.read_bytes()[:-40] + b'"')
        day = (FIRST + timedelta(days=number - 1)).isoformat()
        command = [sys.executable, str(self.code / "orchestrator" / "command.py"), "nightly", str(self.sweep)]
        command += ["--date", day, "--output", str(self.folder / "runs"), "--quiet"]
        command += ["--tracking-uri", f"sqlite:///{self.folder / 'mlflow.db'}"]
        started = time.monotonic()
        with (self.folder / f"{day}.log").open("w") as log:
            for _ in range(night.kills):
                self._killed(command, log, day)
            code = self._ended(command, log, half_speed if night.slow else lambda pid: nullcontext())
        found = {one.night.date: one for one in History(self.history).kept(self.sweep.stem)}
        entry = found.get(day)
        cells = entry.night.cells if entry else ()
        findings = entry.verdict.findings if entry and entry.verdict else ()
        return NightResult(
            night=number,
            date=day,
            planted=night.planted,
            expected=night.expected,
            exit_code=code,
            statuses={" ".join(cell.key[:2]): str(cell.status) for cell in cells},
            scores={" ".join(cell.key[:2]): cell.score for cell in cells},
            sentences=[one.replace(f"{self.folder}/", "") for one in sentences(findings)],
            seconds=time.monotonic() - started,
            entries=len(found),
        )

    def _commit(self, edits: Sequence[Edit], subject: str) -> None:
        git = ["git", "-C", str(self.code), "-c", "user.name=weeks", "-c", "user.email=weeks@localhost"]
        subprocess.run([*git, "checkout", "--quiet", "origin/HEAD", "--", "."], check=True)
        for edit in edits:
            edit.apply(self.code)
        subprocess.run([*git, "commit", "--quiet", "--all", "--allow-empty", "--message", subject], check=True)

    def _ended(self, command: list[str], log: Any, around: Callable[[int], AbstractContextManager[object]]) -> int:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=self.environment, cwd=self.folder)
        with around(process.pid):
            return process.wait(timeout=TIMEOUT)

    def _killed(self, command: list[str], log: Any, day: str) -> None:
        """Start the night and kill it once another search of it has ended."""
        state = self.folder / "runs" / self.sweep.stem / day / "sweep.json"
        before = ended(state)
        process = subprocess.Popen(command, stdout=log, stderr=log, env=self.environment, cwd=self.folder)
        until = time.monotonic() + TIMEOUT
        while process.poll() is None and ended(state) <= before and time.monotonic() < until:
            time.sleep(0.2)
        time.sleep(3)
        process.kill()
        process.wait()


def sentences(findings: Sequence[Finding]) -> list[str]:
    """What the gate found, in full; of what is fine and what was not compared, how much that is."""
    counted = {outcome: [one for one in findings if one.outcome is outcome] for outcome in COUNTED}
    numbers = [f"{len(ones)} comparisons: {outcome}" for outcome, ones in counted.items() if ones]
    return [*(one.sentence for one in findings if one.outcome not in COUNTED), "; ".join(numbers)]


def ended(state: Path) -> int:
    """Searches of a night that are over, by its file."""
    try:
        return sum(one["status"] == "finished" for one in json.loads(state.read_text())["searches"])
    except (OSError, ValueError, KeyError):
        return 0


def write_task(folder: Path, name: str) -> None:
    """Rows of an embedded task as files of a user's own."""
    source, columns, template = TASKS[name]
    data = folder / "data"
    data.mkdir(exist_ok=True)
    for split, count in ROWS.items():
        rows = pyarrow.parquet.read_table(EMBEDDED / source / f"{split}.parquet").slice(0, count).to_pylist()
        with (data / f"{name}-{split}.csv").open("w", newline="") as stream:
            label = "label_name" if "label_name" in rows[0] else "label"
            csv.writer(stream).writerows(
                [[*columns, "kind"], *([*(row[c] for c in columns), row[label]] for row in rows)]
            )
    files = {split: f"data/{name}-{split}.csv" for split in ROWS}
    shown = template or " ".join(f"{column}: {{{column}}}" for column in columns)
    task = {"name": name, "template": shown, "label_column": "kind", "files": files, "max_source_length": 64}
    (folder / f"{name}.yaml").write_text(json.dumps(task))


def table_of(outcomes: Sequence[NightResult]) -> Table:
    """A row a night."""
    table = Table(title="Three weeks of nights")
    for column in ("night", "what happened", "exit code", "expected", "what the gate said", "seconds"):
        table.add_column(column)
    for one in outcomes:
        expected = " or ".join(map(str, one.expected))
        right = "" if one.exit_code in one.expected else "  !"
        said = "\n".join(one.sentences)
        table.add_row(f"{one.night}", one.planted, f"{one.exit_code}{right}", expected, said, f"{one.seconds:.0f}")
    return table


def write(outcomes: Sequence[NightResult], **settings: int) -> None:
    """Write the nights up to now: the whole takes long, and may be cut off."""
    document = {"nights": [vars(one) for one in outcomes], **settings, "provenance": collect()}
    (RESULTS / "three_weeks.json").write_text(json.dumps(document, indent=1) + "\n")


def main() -> None:
    """Run the nights."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.three_weeks", description=__doc__.split("\n\n")[0])
    parser.add_argument("--nights", type=int, default=len(NIGHTS), help="the first so many [all]")
    parser.add_argument("--steps", type=int, default=120, help="updates of a training [120]")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each task and method [1]")
    parser.add_argument("--folder", type=Path, help="work there, and keep it [a temporary folder]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weeks-", dir="/var/tmp") as temporary:
        folder = options.folder.resolve() if options.folder else Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        weeks = Weeks(folder, options.steps, options.seeds)
        outcomes, numbers = [], 0
        for number, night in enumerate(NIGHTS[: options.nights], start=1):
            numbers += night.new_numbers
            outcomes.append(weeks.run(number, night, numbers))
            one = outcomes[-1]
            print(f"{one.date}  {one.planted}: exit code {one.exit_code}, {one.seconds:.0f} s", flush=True)
            for sentence in one.sentences:
                print(f"    {sentence}", flush=True)
            write(outcomes, steps=options.steps, seeds=options.seeds)
    Console(width=160).print(table_of(outcomes))
    wrong = [one for one in outcomes if one.exit_code not in one.expected]
    print(f"{len(outcomes) - len(wrong)} of {len(outcomes)} nights ended as they should")


if __name__ == "__main__":
    main()
