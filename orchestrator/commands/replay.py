"""``adept-search replay``: run early stopping over recorded searches, or record searches for it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, cast, get_args

import typer
from rich.table import Table

from orchestrator.command_lines import comma_separated
from orchestrator.commands.messages import with_messages
from orchestrator.console import PlainConsole
from orchestrator.schedulers.asha import REDUCTION_FACTOR, RankBy, Ties
from orchestrator.schedulers.make import STOP_CHANCE
from orchestrator.schedulers.simulation.curves import RecordedGrid, read_curves, record
from orchestrator.schedulers.simulation.figures import SCHEDULERS, ReplayRow, Setting, compare
from trials.errors import UserError, did_you_mean


def replay(
    curves: Annotated[Path, typer.Argument(metavar="CURVES", help="Parquet file of recorded curves")],
    scheduler: Annotated[
        str, typer.Option(metavar="NAME", help=f"{', '.join(SCHEDULERS)}, or several with commas")
    ] = "promotion,asha,median",
    grace_period: Annotated[
        float | None, typer.Option(metavar="SHARE", help="first rung, as a share of the budget [as a search's own]")
    ] = None,
    reduction_factor: Annotated[
        int, typer.Option(metavar="N", help="one in N goes on at each rung")
    ] = REDUCTION_FACTOR,
    ties: Annotated[
        str,
        typer.Option(metavar="NAME", help="keep: equal scores go on together; loss: told apart by validation loss"),
    ] = "keep",
    rank_by: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="compare trials at a rung by score or loss [loss where it was recorded]"),
    ] = None,
    stop_chance: Annotated[
        float, typer.Option(metavar="P", help="freeze-thaw: a trial that wins with no more than this chance is stopped")
    ] = STOP_CHANCE,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="decide independently of the order of arrival")
    ] = False,
    workers: Annotated[int, typer.Option(metavar="N", help="trials that train at the same time")] = 4,
    repeats: Annotated[int, typer.Option(metavar="N", help="orders of start, drawn at random, for each grid")] = 100,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="of the orders and the intervals")] = 0,
    task: Annotated[str | None, typer.Option(metavar="TASK", help="replay the grids of this task alone")] = None,
    output: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="write the figures here as well")
    ] = None,
    recorded: Annotated[
        list[Path] | None,
        typer.Option("--record", metavar="FOLDER", help="first write CURVES from this search; may be repeated"),
    ] = None,
) -> None:
    """Replay: what a scheduler would have spent and found on searches that were trained whole, beside baselines."""

    def run() -> int:
        settings = read_settings(scheduler, grace_period, reduction_factor, deterministic, ties, stop_chance, rank_by)
        if recorded:
            record_folders(recorded, curves)
        grids = of_task(read_curves(curves), task)
        asked = [f"--{name} loss" for name, value in (("ties", ties), ("rank-by", rank_by)) if value == "loss"]
        if asked and (silent := [grid.name for grid in grids if not grid.has_losses]):
            why = f"no losses are known of {', '.join(silent)}; record what was trained since"
            raise UserError([f"{one}: {why}" for one in asked])
        rows = compare(grids, settings, workers=workers, repeats=repeats, seed=seed)
        console = PlainConsole(width=None if sys.stdout.isatty() else 120)
        console.print(table(rows, title=f"{len(grids)} grid(s), {workers} worker(s), {repeats} orders of start each"))
        console.print(about(grids, settings[0]))
        if output is not None:
            output.parent.mkdir(parents=True, exist_ok=True)
            figures = {"grids": [grid.name for grid in grids], "workers": workers, "rows": [r.as_dict() for r in rows]}
            output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        return 0

    with_messages(run)


def read_settings(
    scheduler: str,
    grace_period: float | None,
    reduction_factor: int,
    deterministic: bool,
    ties: str,
    stop_chance: float = STOP_CHANCE,
    rank_by: str | None = None,
) -> list[Setting]:
    """The settings to replay.

    Raises:
        UserError: everything that is wrong with them.
    """
    names = comma_separated(scheduler)
    problems = [
        f"--scheduler {name}: must be one of {', '.join(SCHEDULERS)}{did_you_mean(name, SCHEDULERS)}"
        for name in names
        if name not in SCHEDULERS
    ]
    if not names:
        problems.append("--scheduler: name one")
    if grace_period is not None and not 0 < grace_period <= 1:
        problems.append(f"--grace-period {grace_period}: a share of the budget, above 0 and at most 1")
    if reduction_factor < 2:
        problems.append(f"--reduction-factor {reduction_factor}: must be at least 2")
    for name, value, known in (("ties", ties, get_args(Ties)), ("rank-by", rank_by, get_args(RankBy))):
        if value is not None and value not in known:
            problems.append(f"--{name} {value}: must be one of {', '.join(known)}{did_you_mean(value, known)}")
    if not 0 < stop_chance < 1:
        problems.append(f"--stop-chance {stop_chance}: must be above 0 and below 1")
    if problems:
        raise UserError(problems)
    by = cast(RankBy, rank_by or "loss")
    shared = (grace_period, reduction_factor, deterministic, cast(Ties, ties), stop_chance, by)
    return [Setting(name, *shared) for name in names]


def record_folders(folders: list[Path], curves: Path) -> None:
    """Write a file of curves from the folders of searches.

    Raises:
        UserError: a folder holds no search, or one that was not trained whole.
    """
    from orchestrator.record.errors import RecordError
    from orchestrator.record.record import SearchRecord

    problems, searches = [], []
    for folder in folders:
        try:
            searches.append(SearchRecord.load(folder / "search.json" if folder.is_dir() else folder))
        except RecordError as error:
            problems.append(f"--record {folder}: {error}")
    if problems:
        raise UserError(problems)
    record(searches, curves)


def of_task(grids: list[RecordedGrid], task: str | None) -> list[RecordedGrid]:
    """The grids of one task, or all.

    Raises:
        UserError: there is none of that task.
    """
    found = [grid for grid in grids if task in (None, grid.task)]
    if not found and task is not None:
        tasks = sorted({grid.task for grid in grids})
        raise UserError([f"--task {task}: the file has {', '.join(tasks)}{did_you_mean(task, tasks)}"])
    return found


def table(rows: list[ReplayRow], title: str) -> Table:
    """Means with their 95 % intervals."""
    made = Table("rule", title=title, title_justify="left")
    for column in ("steps of the grid %", "regret points", "best kept %", "within one example %"):
        made.add_column(column, justify="right")
    for row in rows:
        made.add_row(
            row.name,
            shown(row, "share", 100, 1),
            shown(row, "regret", 1, 2),
            shown(row, "kept", 100, 0),
            shown(row, "near", 100, 0),
        )
    return made


def shown(row: ReplayRow, figure: str, times: float, digits: int) -> str:
    """``33.1 (31.0 to 35.2)``."""
    low, high = (times * end for end in row.intervals[figure])
    mean = f"{times * getattr(row, figure):.{digits}f}"
    return f"{mean} ({low:.{digits}f} to {high:.{digits}f})"


def about(grids: list[RecordedGrid], first: Setting) -> str:
    """What the table's numbers rest on."""
    trials = sum(len(grid.curves) for grid in grids)
    alone = " One grid: its intervals are of the order of start alone." if len(grids) == 1 else ""
    return (
        f"{trials} recorded trials. Regret: validation points that the chosen configuration lacks to the best. In "
        f"brackets: 95 % intervals by the bootstrap over grids and orders. Same cost: as {first.name}.{alone}"
    )
