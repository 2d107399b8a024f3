"""The ways to run one grid that `benchmarks.makespan` compares, each as the command that a user would type."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.memory import PeakMemory
from benchmarks.peer_figures import PeerFigures
from orchestrator.record.record import SearchRecord
from orchestrator.record.selection import choose_winner
from orchestrator.record.status import TrialStatus

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Arm:
    """One way.

    Attributes:
        title: for the table.
        options: what it adds to the command.
        peer: `benchmarks.peer` runs it; otherwise `orchestrator/search.py` does.
        stops_early: poor trials do not train their whole budget.
    """

    title: str
    options: tuple[str, ...] = ()
    peer: bool = False
    stops_early: bool = False


ARMS = {
    "stopping": Arm("ours, early stopping", stops_early=True),
    "none": Arm("ours, nothing stopped", ("--scheduler", "none")),
    "serial": Arm("ours, one after another", ("--scheduler", "none", "--slots", "1", "--devices", "1")),
    "process": Arm("ours, one trial a process", ("--scheduler", "none", "--slots", "1")),
    "peer": Arm("peer", peer=True),
    "peer-asha": Arm("peer, Ray's ASHA", ("--asha",), peer=True, stops_early=True),
}


@dataclass(frozen=True)
class Grid:
    """What every arm trains, resolved: the same numbers for ours and for the peer.

    Attributes:
        backbone: as the commands take it. space: file of our 24 configurations.
        peer_trials, peer_steps: what is measured of the peer, where that is not all of it.
        ours, theirs: options for every command of ours, or of the peer.
    """

    task: str
    backbone: str
    space: Path
    data_dir: Path | None
    configurations: int
    steps: int
    eval_every: int
    batch_size: int
    warmup_steps: int
    max_source_length: int
    peer_trials: int
    peer_steps: int
    ours: tuple[str, ...] = ()
    theirs: tuple[str, ...] = ()

    def whole(self, arm: Arm) -> bool:
        """Whether all of an arm's grid is run; else its makespan is extrapolated."""
        return not arm.peer or (self.peer_trials, self.peer_steps) == (self.configurations, self.steps)


@dataclass
class ArmRun:
    """One arm, run once with one seed.

    Attributes:
        seconds: from typing the command to its end; where ``extrapolated``, what that would be for the whole grid.
        command_seconds: what was measured.
        steps: updates trained by all trials that ran. trials: how many ran.
        winner_score: validation score (0 to 100) of the trial that wins: for ours by the rule of the search, for the
            peer the best of all reports; None where there is no winner or the grid was not run whole.
        trial_seconds: of training and of evaluation, summed over the trials.
        memory: see `benchmarks.memory.Peaks`; bytes.
        peer: see `benchmarks.peer_figures.PeerFigures`; None for ours.
        precision: of the backbone, as our search was given it or chose it; None for the peer.
    """

    arm: str
    seed: int
    seconds: float
    command_seconds: float
    extrapolated: bool
    steps: int
    trials: int
    winner_score: float | None
    trial_seconds: dict[str, float]
    memory: dict[str, int]
    peer: dict[str, Any] | None = None
    one_example: float | None = None
    precision: str | None = None
    statuses: dict[str, int] = field(default_factory=dict)


def run_arm(name: str, grid: Grid, seed: int, folder: Path) -> ArmRun:
    """Run one arm in a folder of its own, with a store and a cache of its own: nothing is left from the arm before.

    Raises:
        SystemExit: the command failed; with the end of its output.
    """
    folder.mkdir(parents=True)
    return (run_peer if ARMS[name].peer else run_ours)(name, grid, seed, folder)


def run_ours(name: str, grid: Grid, seed: int, folder: Path) -> ArmRun:
    """A search of ours."""
    command = [
        *(sys.executable, str(ROOT / "orchestrator" / "search.py"), *shared_options(grid, seed, grid.steps)),
        *("--space", str(grid.space), "--name", name, "--output", str(folder)),
        *("--tracking-uri", f"sqlite:///{folder / 'mlflow.db'}", "--quiet", *grid.ours, *ARMS[name].options),
    ]
    seconds, memory = timed(command, folder)
    record = SearchRecord.load(folder / name / "search.json")
    if failed := [trial for trial in record.trials if trial.status is TrialStatus.FAILED]:
        raise SystemExit(f"error: {len(failed)} trials of {name} failed, the first with: {failed[0].error}")
    winner = choose_winner(record).winner
    statuses = [trial.status for trial in record.trials]
    return ArmRun(
        arm=name,
        seed=seed,
        seconds=seconds,
        command_seconds=seconds,
        extrapolated=False,
        steps=sum(trial.step for trial in record.trials),
        trials=len(record.trials),
        winner_score=winner.best_score if winner else None,
        trial_seconds={
            "train": sum(trial.train_seconds for trial in record.trials),
            "evaluation": sum(trial.evaluation_seconds for trial in record.trials),
        },
        memory=memory,
        one_example=100 / record.sizes["validation"],
        precision=record.settings["precision"],
        statuses={status: statuses.count(status) for status in dict.fromkeys(statuses)},
    )


def run_peer(name: str, grid: Grid, seed: int, folder: Path) -> ArmRun:
    """A search of the peer's, or the first part of one."""
    arm, out = ARMS[name], folder / "peer.json"
    whole = grid.whole(arm) or arm.stops_early  # what early stopping leaves out cannot be extrapolated
    steps = grid.steps if whole else grid.peer_steps
    trials = grid.configurations if whole else grid.peer_trials
    command = [
        *(sys.executable, "-m", "benchmarks.peer", *shared_options(grid, seed, steps)),
        *("--trials", str(trials), "--out", str(out), *arm.options, *grid.theirs),
    ]
    seconds, memory = timed(command, folder)
    document = json.loads(out.read_text())
    found = PeerFigures(**document["figures"])
    # The command's own end (Ray's shutdown, Python's) is not in its figures.
    rest = seconds - found.makespan
    reports = [report for trial in document["run"]["trials"] for report in trial["reports"]]
    return ArmRun(
        arm=name,
        seed=seed,
        seconds=seconds if whole else rest + found.grid_makespan(grid.configurations, grid.steps, grid.eval_every),
        command_seconds=seconds,
        extrapolated=not whole,
        steps=found.steps,
        trials=found.trials,
        winner_score=found.best_score if whole else None,
        trial_seconds={key: sum(r[f"{key}_seconds"] for r in reports) for key in ("train", "evaluation")},
        memory=memory,
        peer=document["figures"],
    )


def shared_options(grid: Grid, seed: int, steps: int) -> list[str]:
    """What both commands call by the same name."""
    options = {
        "task": grid.task,
        "backbone": grid.backbone,
        "steps": steps,
        "eval-every": grid.eval_every,
        "batch-size": grid.batch_size,
        "warmup-steps": grid.warmup_steps,
        "max-source-length": grid.max_source_length,
        "seed": seed,
    } | ({"data-dir": grid.data_dir} if grid.data_dir else {})
    return [part for key, value in options.items() for part in (f"--{key}", str(value))]


def timed(command: list[str], folder: Path) -> tuple[float, dict[str, int]]:
    """Wall-clock seconds and peak memory of a command; its output goes into the folder.

    Raises:
        SystemExit: it failed.
    """
    log = folder / "output.txt"
    environment = {**os.environ, "ADEPT_CACHE": str(folder / "cache")}
    with log.open("w") as stream:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=stream, stderr=subprocess.STDOUT)
        try:
            with PeakMemory(process.pid) as memory:
                code = process.wait()
        finally:
            if process.poll() is None:  # Ctrl-C here: it is told as well, and may put its things away
                process.wait(timeout=60)
        seconds = time.perf_counter() - started
    if code:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise SystemExit(f"error: exit code {code} from {' '.join(command)}\n{end}")
    return seconds, memory.as_dict()
