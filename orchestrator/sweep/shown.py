"""What is printed of a sweep: before it starts, and when it has ended."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from orchestrator.plan.estimate import roughly
from orchestrator.store.layout import shown_path
from orchestrator.summarizer.report import headline
from orchestrator.summarizer.writers import terminal
from orchestrator.sweep.estimates import device, engines
from orchestrator.sweep.pinned import record_in
from orchestrator.sweep.report import REPORT, sweep_results
from orchestrator.sweep.runner import CurrentRun
from orchestrator.sweep.state import SearchStatus, SweepState


def print_sweep_plan(run: CurrentRun, price: float | None, console: Console) -> None:
    """The searches of a run in their order, with steps, time and cost; nothing has been started.

    Args:
        price: of a device-hour.
    """
    table = Table(
        "", "task", "method", "backbone", "search", "trials", "steps", "time", title=f"sweep {run.sweep.name}"
    )
    left, seconds, hours, not_run = run.left, 0.0, 0.0, 0
    for number, turn in enumerate(run.waiting, start=1):
        plan, expected = turn.search.plan, run.expected(turn)
        fits = left is None or expected <= left
        left = left if left is None or not fits else left - expected
        not_run += not fits
        seconds += expected * fits
        hours += expected * fits * engines(plan) / 3600
        steps = f"{plan.expected_steps:,} of {plan.steps:,}"
        time = roughly(expected) if fits else f"{roughly(expected)}, no time left"
        table.add_row(str(number), *turn.state.key, turn.state.search, str(plan.count), steps, time)
    for turn in run.turns:
        if turn.state.status.is_measured:
            since = f"taken over from {turn.state.measured_on}" if turn.state.measured_on else "finished in this run"
            table.add_row("", *turn.state.key, turn.state.search, "", "", since)
    console.print(table)
    notes = dict.fromkeys(note for turn in run.waiting for note in turn.search.plan.notes)
    measured = [turn for turn in run.turns if turn.state.status.is_measured]
    taken = sum(bool(turn.state.measured_on) for turn in measured)
    done = len(measured) - taken
    lines = [
        *(f"note: {note}" for note in notes),
        f"{len(run.turns)} searches: {len(run.waiting) - not_run} to run, {taken} unchanged and taken over"
        + (f", {done} finished in this run, whatever has changed since" if done else "")
        + (f", {not_run} without time" if not_run else ""),
        f"estimated time: {roughly(seconds)} one after another on {device().count} x {device().name}, {hours:,.2f} "
        "device-hours; from earlier runs where there are any, else a floor: training alone, all rows at full length",
        f"estimated cost: {hours * price:,.2f} at {price:g} a device-hour"
        if price is not None
        else "estimated cost: give --price PER_DEVICE_HOUR to see it",
        f"would write to {run.folder}; nothing has been started",
    ]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def print_sweep_end(state: SweepState, folder: Path, console: Console) -> None:
    """What became of each search, and where the report is."""
    table = Table(
        "task", "method", "backbone", "status", "score", "time", title=f"sweep {state.sweep}, run {state.run}"
    )
    for search in state.searches:
        record = record_in(Path(search.folder)) if search.status.is_measured else None
        score = f"{record.test.score:.2f} {record.metric}" if record and record.test else ""
        status = f"{search.status} from {search.measured_on}" if search.measured_on else str(search.status)
        table.add_row(*search.key, status, score, roughly(search.seconds) if search.seconds else "")
    console.print(table)
    for search in state.those(SearchStatus.FAILED, SearchStatus.NOT_RUN):
        console.print(f"{search.status}: {search.key}: {search.why}", soft_wrap=True)
    if not state.measured:
        console.print("nothing was measured, so there is no report", soft_wrap=True)
        return
    results, paths = sweep_results(state), [folder / REPORT / "report.md", folder / REPORT / "report.html"]
    for line in headline(results):
        console.print(line, soft_wrap=True)
    terminal.show(results.tables[0], console)
    console.print(f"Report: {', '.join(map(shown_path, paths))} and more files beside them", soft_wrap=True)
