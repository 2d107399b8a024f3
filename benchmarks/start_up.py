"""From the command to the first update of the embedded search: processor and wall seconds, by phase and by process.

    python -m benchmarks.start_up [--tree FOLDER] [--searches N] [--out FILE]

Runs ``orchestrator/search.py --task debsec`` with little to train, and ends it when an engine has made its first
update; first in an empty folder with an empty cache (rows are tokenised, the backbone is checked, MLflow's database is
made), then again beside what that has left. `benchmarks/marks` says when each phase is over. The processor seconds are
those of all processes of the search at that moment: phases run side by side, so they are sums since the command.
Commands that start nothing follow, each in a process of its own. ``--tree`` measures another checkout (``git worktree
add``). Linux only (`/proc`). Writes ``benchmarks/results/start_up.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("results")
MARKS = Path(__file__).with_name("marks")
LAST = "first update"
LONGEST = 900.0  # seconds between two marks
TURN = 2.0  # seconds after which a search that is silent is looked at
COMMANDS = {
    "adept-search -h": ["-m", "orchestrator", "-h"],
    "adept-search search -h": ["-m", "orchestrator", "search", "-h"],
    "adept-search list": ["-m", "orchestrator", "list"],
    "adept-search resume -h": ["-m", "orchestrator", "resume", "-h"],
    "adept-search report -h": ["-m", "orchestrator", "report", "-h"],
    "adept-search search --plan": ["-m", "orchestrator", "search", "--task", "debsec", "--plan"],
    "adept-search search --task rte --plan": ["-m", "orchestrator", "search", "--task", "rte", "--plan"],
}


@dataclass(frozen=True)
class Passed:
    """A mark as it is passed for the first time.

    Attributes:
        wall: seconds since the command. cpu: processor seconds of all its processes since then, by kind of process.
    """

    mark: str
    wall: float
    cpu: dict[str, float]

    @property
    def total(self) -> float:
        """Processor seconds of all."""
        return sum(self.cpu.values())


def kind_of(process: psutil.Process, driver: int, engines: set[int]) -> str:
    """What a process of a search is there for."""
    if process.pid == driver:
        return "driver"
    if process.pid in engines:
        return "engines"
    words = process.cmdline()
    if words and words[0].startswith("ray::"):
        return "other actors" if "IDLE" not in words[0] else "idle workers"
    return "idle workers" if any("default_worker.py" in word for word in words) else "Ray"


def processor_seconds(driver: psutil.Process, engines: set[int]) -> dict[str, float]:
    """Of a process and all below it, those that have ended included, by `kind_of`."""
    found: Counter[str] = Counter()
    for process in [driver, *driver.children(recursive=True)]:
        with suppress(psutil.Error):
            times, kind = process.cpu_times(), kind_of(process, driver.pid, engines)
            found[kind] += times.user + times.system
            found[kind if kind == "driver" else "Ray"] += times.children_user + times.children_system
    return {kind: round(seconds, 2) for kind, seconds in found.items()}


def environment(tree: Path, **more: str) -> dict[str, str]:
    """That of a command of another checkout."""
    paths = [str(MARKS), str(tree), *filter(None, [os.environ.get("PYTHONPATH")])]
    offline = {"HF_HUB_OFFLINE": "1", "RAY_AUTH_MODE": "disabled"}
    return {**os.environ, **offline, "PYTHONPATH": os.pathsep.join(paths), **more}


def started_up(tree: Path, folder: Path, name: str, options: list[str]) -> list[Passed]:
    """The marks of one search up to its first update, in the order in which they are passed.

    Raises:
        SystemExit: it ends before, or hangs; with what it printed.
    """
    address = folder / f"{name}.marks"
    command = [sys.executable, str(tree / "orchestrator" / "search.py"), "--task", "debsec", "--output", str(folder)]
    command += ["--tracking-uri", f"sqlite:///{folder / 'mlflow.db'}", "--name", name, *options]
    own = environment(tree, START_UP_MARKS=str(address), ADEPT_CACHE=str(folder / "cache"))
    passed: dict[str, Passed] = {}
    engines: set[int] = set()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as marks, (folder / f"{name}.log").open("w") as log:
        marks.bind(str(address))
        marks.settimeout(TURN)
        begun = time.monotonic()
        search = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=own, cwd=folder)
        driver = psutil.Process(search.pid)
        try:
            while LAST not in passed:
                pid, at, mark = next_mark(marks, search, folder / f"{name}.log")
                if mark.startswith("engine"):
                    engines.add(int(pid))
                passed.setdefault(mark, Passed(mark, float(at) - begun, processor_seconds(driver, engines)))
        finally:
            end(search)
    return list(passed.values())


def next_mark(marks: socket.socket, search: subprocess.Popen[bytes], log: Path) -> list[str]:
    """A mark's process, time and name, as soon as it is passed.

    Raises:
        SystemExit: the search ends before, or hangs; with what it printed.
    """
    until = time.monotonic() + LONGEST
    while True:
        with suppress(TimeoutError):
            return marks.recv(1024).decode().split("\t")
        ended = search.poll()
        if ended is not None or time.monotonic() > until:
            what = f"hangs for {LONGEST:g} s" if ended is None else f"ended with {ended}"
            raise SystemExit(f"error: the search {what} before its {LAST}; it printed:\n{log.read_text()}")


def end(search: subprocess.Popen[bytes]) -> None:
    """End a search with its Ray."""
    search.send_signal(signal.SIGINT)
    try:
        search.wait(60)
    except subprocess.TimeoutExpired:
        for process in psutil.Process(search.pid).children(recursive=True):
            with suppress(psutil.Error):
                process.kill()
        search.kill()
        search.wait()


def seconds_of(tree: Path, command: list[str], folder: Path) -> tuple[float, float]:
    """Processor and wall seconds of a command that starts nothing."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    own = environment(tree, ADEPT_CACHE=str(folder / "cache"))
    subprocess.run([sys.executable, *command], stdout=subprocess.DEVNULL, env=own, cwd=folder, check=True)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - begun
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def table_of(title: str, runs: list[list[Passed]]) -> Table:
    """The marks of searches: their medians."""
    kinds = sorted({kind for run in runs for passed in run for kind in passed.cpu})
    table = Table("passed", "wall s", "processor s", *kinds, title=title)
    for mark in [passed.mark for passed in runs[0]]:
        found = [passed for run in runs for passed in run if passed.mark == mark]
        cells = [statistics.median(passed.wall for passed in found)]
        cells.append(statistics.median(passed.total for passed in found))
        cells += [statistics.median(passed.cpu.get(kind, 0.0) for passed in found) for kind in kinds]
        table.add_row(mark, *(f"{cell:.2f}" for cell in cells))
    return table


def main() -> None:
    """Measure, show, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tree", type=Path, default=ROOT, metavar="FOLDER", help="checkout to measure [this one]")
    parser.add_argument("--searches", type=int, default=3, metavar="N", help="of each kind [3]")
    parser.add_argument(
        "--commands", type=int, default=3, metavar="N", help="runs of each command that starts nothing [3]"
    )
    parser.add_argument("--out", type=Path, default=RESULTS / "start_up.json")
    parser.add_argument("options", nargs="*", help="more options of the search, after --")
    chosen = parser.parse_args()
    tree, console = chosen.tree.resolve(), Console(width=150)
    options = ["--steps", "2", "--eval-every", "2", *chosen.options]
    runs: dict[str, list[list[Passed]]] = {"the first search in a folder": [], "another search there": []}
    commands: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="start-up-") as name:
        for number in range(chosen.searches):
            folder = Path(name) / str(number)
            folder.mkdir()
            for kind, found in runs.items():
                found.append(started_up(tree, folder, f"search-{len(found)}-{kind.split()[0]}", options))
        for title, found in runs.items():
            if found:
                console.print(table_of(title, found))
        table = Table("command", "wall s", "processor s")
        for text, command in COMMANDS.items() if chosen.commands else ():
            timed = [seconds_of(tree, command, Path(name)) for _ in range(chosen.commands)]
            cpu, wall = (statistics.median(values) for values in zip(*timed, strict=True))
            commands[text] = {"processor_seconds": round(cpu, 2), "wall_seconds": round(wall, 2)}
            table.add_row(text, f"{wall:.2f}", f"{cpu:.2f}")
        console.print(table)
    git = ["git", "-C", str(tree), "describe", "--always", "--dirty", "--abbrev=12"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    versions = {name: version(name) for name in ("ray", "torch", "transformers", "mlflow")}
    facts = {"cores": os.cpu_count(), "load": os.getloadavg(), "commit": commit, **versions}
    searches = {title: [[asdict(passed) for passed in run] for run in found] for title, found in runs.items()}
    chosen.out.parent.mkdir(exist_ok=True)
    chosen.out.write_text(json.dumps({"machine": facts, "searches": searches, "commands": commands}, indent=1) + "\n")


if __name__ == "__main__":
    main()
