"""Kill nights at any moment: ``python -m tests.faults.night_chaos --rounds 10 --seed 1``, from the top of the checkout.

Each round is a night of a small sweep (prompt tuning on two tasks of a few rows, on a Ray of its own and MLflow on
SQLite) whose command is killed with SIGKILL at random moments, up to three times, and given again until the night is
over. Then: one entry of the history with every cell measured once, each search whole (as `tests.faults.chaos` checks
it), searches that had ended untouched by later starts, one run in MLflow for the night and for each search, one
version of each champion, scores equal to those of the night that nobody disturbed, and a notification.

Prints a line for each round, and exits with 1 where anything was lost.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from orchestrator.nights.history import History
from orchestrator.nights.night import CellStatus, Night
from orchestrator.record.record import RECORD
from tests.faults.checks import all_problems
from tests.faults.small_search import ROOT, make_task

TASKS = ("one", "other")
SWEEP = """\
tasks: [one/task.yaml, other/task.yaml]
methods: [pt]
backbones: [t5-nano]
options: {steps: 12, eval_every: 4, batch_size: 4, samples: 3, deterministic: yes, devices: 1, max_concurrent: 3}
history: history
notify: {when: always, file: notes.jsonl}
"""
DAY, TIMEOUT = "2026-06-01", 1_800


class OneNight:
    """A night in a folder of its own.

    Attributes:
        seconds: that an undisturbed start takes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.place = folder, folder / "runs" / "small" / DAY
        self.uri, self.starts = f"sqlite:///{folder / 'mlflow.db'}", 0
        for name in TASKS:
            make_task(folder / name)
            task = folder / name / "task.yaml"
            task.write_text(json.dumps({**json.loads(task.read_text()), "name": name}))
        (folder / "small.yaml").write_text(SWEEP)

    def start(self) -> subprocess.Popen[bytes]:
        """The command, in a process group of its own."""
        self.starts += 1
        words = ["nightly", "small.yaml", "--date", DAY, "--output", "runs", "--tracking-uri", self.uri, "--quiet"]
        more = {"RAY_ADDRESS": "local", "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        with (self.folder / "night.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, str(ROOT / "orchestrator" / "command.py"), *words],
                cwd=self.folder, env={**os.environ, **more}, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def killed_after(self, seconds: float) -> bool:
        """Start it and kill it then; whether it was still running."""
        process = self.start()
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return True
        return False

    def finish(self) -> int:
        """Give the command until it ends by itself; its exit code."""
        return self.start().wait(timeout=TIMEOUT)

    @property
    def finished(self) -> dict[str, int]:
        """Searches that are over, and when their record was written."""
        try:
            searches = json.loads((self.place / "sweep.json").read_text())["searches"]
        except FileNotFoundError:
            return {}
        over = [Path(one["folder"]) for one in searches if one["status"] == "finished"]
        return {str(folder): (folder / RECORD).stat().st_mtime_ns for folder in over}

    @property
    def kept(self) -> list[Night]:
        """What the history has."""
        return [one.night for one in History(self.folder / "history").kept("small")]


def problems(night: OneNight, code: int, calm: OneNight | None) -> Iterator[str]:
    """What is wrong with a night that is over, a sentence each."""
    if code != 3:  # a first night has nothing to be compared with
        yield f"exit code {code}, not 3: {(night.folder / 'night.log').read_text(errors='replace')[-1500:]}"
        return
    if [one.date for one in night.kept] != [DAY]:
        yield f"the history has {[one.date for one in night.kept]}"
        return
    for cell in night.kept[0].cells:
        if cell.status is not CellStatus.MEASURED:
            yield f"{cell.key}: {cell.status}"
    if calm is not None and scores(night) != scores(calm):
        yield f"scores {scores(night)}, undisturbed {scores(calm)}"
    for folder in night.finished:
        yield from (f"{Path(folder).name}: {one}" for one in all_problems(Path(folder), night.uri, undisturbed=None))
    client = MlflowClient(night.uri, registry_uri=night.uri)
    runs = [run for one in client.search_experiments() for run in client.search_runs([one.experiment_id])]
    kinds = [run.data.tags.get("kind", "") for run in runs]
    for kind, wanted in (("sweep", 1), ("search", len(TASKS))):
        if kinds.count(kind) != wanted:
            yield f"MLflow has {kinds.count(kind)} runs of kind {kind}, not {wanted}"
    for task in TASKS:
        versions = client.search_model_versions(f"name='adept-{task}-t5-nano'")
        if len(versions) != 1:
            yield f"{task}: {len(versions)} versions of the champion"
    if not (night.folder / "notes.jsonl").exists():
        yield "nobody was notified"


def scores(night: OneNight) -> list[tuple[Any, ...]]:
    """Of each cell: every seed's score, the winner's configuration."""
    return [(cell.key, [one.score for one in cell.scores], cell.configuration) for cell in night.kept[0].cells]


def one_round(number: int, seed: int, folder: Path, calm: OneNight, seconds: float) -> list[str]:
    """Disturb a night and check what it has left."""
    draw, night, found = random.Random(f"{seed}/{number}"), OneNight(folder), list[str]()
    kills = 0
    for _ in range(draw.randint(1, 3)):
        over = night.finished
        kills += night.killed_after(draw.uniform(1.0, seconds))
        found += [f"{one}: trained again" for one, when in over.items() if night.finished.get(one) != when]
    over = night.finished
    code = night.finish()
    found += [f"{one}: trained again" for one, when in over.items() if night.finished.get(one) != when]
    found += problems(night, code, calm)
    print(f"round {number}: {kills} kills, {night.starts} starts: {'; '.join(found) or 'whole'}", flush=True)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the rounds; 0 where nothing was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.night_chaos", description=__doc__.split("\n\n")[1])
    parser.add_argument("--rounds", type=int, default=10, help="nights to disturb [10]")
    parser.add_argument("--seed", type=int, default=1, help="decides when a night is killed [1]")
    parser.add_argument("--folder", type=Path, help="keep the nights there [a temporary folder]")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="nights-") as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        calm, begun = OneNight(folder / "calm"), time.monotonic()
        code = calm.finish()
        seconds = time.monotonic() - begun
        if wrong := [*problems(calm, code, None)]:
            sys.exit("the undisturbed night is not whole: " + "; ".join(wrong))
        print(f"undisturbed: {seconds:.0f} s", flush=True)
        rounds = range(1, options.rounds + 1)
        found = [one_round(number, options.seed, folder / f"round-{number}", calm, seconds) for number in rounds]
    print(f"{options.rounds} nights, {sum(map(bool, found))} with problems, {sum(map(len, found))} losses")
    return 1 if any(found) else 0


if __name__ == "__main__":
    sys.exit(main())
