"""``adept-search sweep``: many searches from one file."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.command_lines import command_line
from orchestrator.commands.messages import with_messages
from orchestrator.commands.options import Output, TrackingUri, of
from orchestrator.console import PlainConsole, messages_on, messages_shown
from orchestrator.plan.options import Given
from orchestrator.plan.places import with_absolute_paths
from orchestrator.plan.settings import SearchSettings, StartOptions, as_arguments
from orchestrator.quiet import silence_libraries


def sweep(
    file: Annotated[str, typer.Argument(metavar="FILE|NAME", help="a sweep file, or a sweep that comes with it")],
    run: Annotated[
        str | None, typer.Option(metavar="NAME", help="name of this run [the last one, if cut off, else DAY-sweep]")
    ] = None,
    output: Output = None,
    tracking_uri: TrackingUri = None,
    price: Annotated[str | None, of(SearchSettings, "price")] = None,
    plan: Annotated[bool, of(StartOptions, "plan")] = False,
    quiet: Annotated[bool, of(StartOptions, "quiet")] = False,
    debug: Annotated[bool, of(StartOptions, "debug")] = False,
) -> None:
    """Sweep: run the searches of a file, tasks x methods x backbones, one after another on one set of engines."""
    places: Given = {"output": str(output) if output else None, "tracking_uri": tracking_uri, "price": price}
    how: dict[str, Any] = {"quiet": quiet, "debug": debug}
    with_messages(lambda: start_sweep(file, run, with_absolute_paths(places), plan, **how))


def start_sweep(file: str, run: str | None, places: Given, plan: bool, quiet: bool = False, debug: bool = False) -> int:
    """Read, check, then plan or run; the exit code."""
    from orchestrator.run import detach
    from orchestrator.sweep.runner import prepare_run, run_sweep
    from orchestrator.sweep.runs import chosen_run, sweep_folder
    from orchestrator.sweep.shown import print_sweep_end, print_sweep_plan
    from orchestrator.sweep.sweep_file import read_and_plan

    if plan or not debug:
        silence_libraries()
    found, searches = read_and_plan(file, places)
    output = places.get("output")
    place = sweep_folder(found, Path(output) if output else None)
    chosen = chosen_run(place, run)
    if plan:
        console = PlainConsole(width=None if sys.stdout.isatty() else 120)
        with tempfile.TemporaryDirectory() as folder:
            prepared = prepare_run(found, searches, place, chosen, spaces=Path(folder))
            print_sweep_plan(prepared, searches[0].plan.settings.price, console)
        return 0
    console = PlainConsole(soft_wrap=not sys.stdout.isatty())
    if detach.is_wanted():
        flags = {"quiet": "yes" if quiet else None, "debug": "yes" if debug else None}
        options = {**places, "run": chosen, "output": str(place.parent), **flags}
        arguments = ["sweep", str(found.path), *as_arguments(options)]
        return detach.run_command_detached(arguments, place / chosen / "sweep.log", f"sweep {found.name}", console)
    with messages_shown(messages_on(console)):
        state = run_sweep(found, searches, place, chosen, console, quiet=quiet, debug=debug)
        if state.ended is None:
            again = command_line(
                "sweep", found.path, run=chosen, output=place.parent, tracking_uri=places["tracking_uri"]
            )
            console.print(f"sweep {found.name} was interrupted; it goes on with: {again}", soft_wrap=True)
        else:
            print_sweep_end(state, place / chosen, console)
    return state.exit_code
