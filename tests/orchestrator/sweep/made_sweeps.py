"""A small sweep in a folder, and searches that are made instead of trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from orchestrator.console import PlainConsole
from orchestrator.plan.estimate import Device
from orchestrator.record.record import RECORD
from orchestrator.run.session import Session
from orchestrator.sweep.expand import PlannedSearch
from orchestrator.sweep.runner import run_sweep
from orchestrator.sweep.state import SweepState
from orchestrator.sweep.sweep_file import SweepFile, read_and_plan
from tests.orchestrator.made_searches import search_of, with_test
from trials.errors import UserError

DEVICE = Device("a core", 1, 1e12, "made")
SMALL = """
tasks: [debsec, debmatch]
methods: [adept, pt]
backbones: [t5-nano]
options: {steps: 20, eval_every: 10, samples: 2}
"""


def small_sweep(folder: Path, more: str = "", text: str = SMALL) -> tuple[SweepFile, list[PlannedSearch]]:
    """A sweep of four searches and its file; results would go below the folder."""
    path = folder / "small.yaml"
    path.write_text(text + more)
    return read_and_plan(path, {"output": str(folder / "runs")})


def made(
    trained: list[str], failing: Sequence[str] = (), after: Callable[[PlannedSearch], None] = lambda search: None
) -> Callable[[PlannedSearch, Session], int]:
    """What stands for `run_search`: notes each search, and leaves the record of a finished one.

    Args:
        failing: tasks whose searches end with an error. after: called when a search has ended.
    """

    def run_one(search: PlannedSearch, session: Session) -> int:
        plan = search.plan
        trained.append(f"{search.key.task} {search.key.method}")
        if search.key.task in failing:
            raise UserError(f"the rows of {search.key.task} are gone")
        configurations = [trial.config.hyperparameters for trial in plan.trials]
        record = with_test(search_of(configurations, search.key.task, search.key.method, steps=20, every=10))
        record.name, record.backbone = plan.name, search.key.backbone
        record.save(plan.folder / RECORD)
        after(search)
        return 0

    return run_one


def run(folder: Path, name: str, trained: list[str], more: str = "", **given: Any) -> SweepState:
    """Run `small_sweep` under a run's name, as `run_sweep` is given more."""
    sweep, searches = small_sweep(folder, more)
    how = {"run_one": made(trained), **given}
    return run_sweep(sweep, searches, folder / "runs" / "small", name, PlainConsole(quiet=True), **how)


def statuses(state: SweepState) -> dict[str, str]:
    """What has become of each search, by its task and method."""
    return {f"{one.key.task} {one.key.method}": str(one.status) for one in state.searches}
