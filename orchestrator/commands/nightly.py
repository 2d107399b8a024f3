"""``adept-search nightly``: a sweep as a night, and what makes a clock begin it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from orchestrator.commands.messages import with_messages
from orchestrator.commands.options import Command, Output, TrackingUri, of
from orchestrator.console import PlainConsole, messages_on, messages_shown
from orchestrator.plan.options import Given
from orchestrator.plan.places import with_absolute_paths
from orchestrator.plan.settings import SearchSettings, StartOptions, default_output
from orchestrator.quiet import silence_libraries

Sweep = Annotated[str, typer.Argument(metavar="SWEEP", help="a sweep's name or file")]


class Nightly(TyperGroup):
    """``nightly SWEEP`` is ``nightly run SWEEP``: a first word that is no sub-command begins a night."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line."""
        if "run" in self.commands and args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["run", *args]
        return super().parse_args(ctx, args)


nightly = typer.Typer(
    cls=Nightly,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Nightly: `nightly SWEEP` runs a sweep as a night; `nightly install SWEEP` prints what makes a clock do it.",
)


@nightly.command(cls=Command)
def run(
    sweep: Sweep,
    date: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="names the night [today, or the last one if it was cut off]"),
    ] = None,
    output: Output = None,
    tracking_uri: TrackingUri = None,
    price: Annotated[str | None, of(SearchSettings, "price")] = None,
    plan: Annotated[bool, of(StartOptions, "plan")] = False,
    quiet: Annotated[bool, of(StartOptions, "quiet")] = False,
    debug: Annotated[bool, of(StartOptions, "debug")] = False,
) -> None:
    """Run a sweep as a night: judge it against the nights before and the champions, keep it, notify.

    Exit code 0: nothing is worse; 1: something is, and is named; 2: wrong usage; 3: nothing could be compared, or a
    search failed.
    """
    places: Given = {"output": None if output is None else str(output), "tracking_uri": tracking_uri, "price": price}
    with_messages(lambda: begin(sweep, date, with_absolute_paths(places), plan, quiet=quiet, debug=debug))


def begin(sweep: str, day: str | None, places: Given, plan: bool, *, quiet: bool, debug: bool) -> int:
    """Plan a night, or run it; the exit code."""
    if plan:
        from orchestrator.nights.run import plan_night

        silence_libraries()
        return plan_night(sweep, PlainConsole(width=None if sys.stdout.isatty() else 120), day=day, places=places)
    from orchestrator.run import detach

    console = PlainConsole(soft_wrap=not sys.stdout.isatty())
    if detach.is_wanted():
        from orchestrator.sweep.sweep_file import located

        name = located(sweep).stem
        log = Path(places.get("output") or default_output()).absolute() / name / "night.log"
        return detach.run_command_detached(sys.argv[1:], log, f"The night of sweep {name}", console)
    if not debug:
        silence_libraries()
    with messages_shown(messages_on(console)):
        from orchestrator.nights.run import run_night

        return run_night(sweep, console, day=day, places=places, quiet=quiet, debug=debug)


@nightly.command(cls=Command)
def install(
    sweep: Sweep,
    cron: Annotated[bool, typer.Option("--cron", help="a line for a crontab")] = False,
    systemd: Annotated[bool, typer.Option("--systemd", help="units: a service and its timer")] = False,
    compose: Annotated[bool, typer.Option("--compose", help="for the service nightly of docker/compose.yaml")] = False,
    kubernetes: Annotated[bool, typer.Option("--kubernetes", help="a CronJob that makes a RayJob")] = False,
    github: Annotated[bool, typer.Option("--github", help="a workflow of GitHub Actions")] = False,
    at: Annotated[str | None, typer.Option(metavar="HH:MM", help="when it begins [02:00]", show_default=False)] = None,
    every: Annotated[
        str | None, typer.Option(metavar="DAYS", help="day, weekday, or days such as mon,thu [day]", show_default=False)
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(metavar="CRON", help="cron's five fields instead, such as '30 1 * * 1-5'", show_default=False),
    ] = None,
    random_delay: Annotated[
        int, typer.Option(metavar="MINUTES", min=0, max=1439, help="systemd: begin up to so much later")
    ] = 0,
    output: Output = None,
    folder: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="the night's working folder [this one]", show_default=False)
    ] = None,
    environment: Annotated[
        Path,
        typer.Option(metavar="FILE", help="lines NAME=VALUE: what the clock's environment lacks, secrets above all"),
    ] = Path("~/.config/adept-search/nightly.env"),
    program: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="the command adept-search [the one that runs]", show_default=False),
    ] = None,
    user: Annotated[
        str, typer.Option(metavar="NAME", help="systemd: a unit of the whole system that runs as NAME")
    ] = "",
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="write the files here instead", show_default=False)
    ] = None,
) -> None:
    """Install: print what makes a clock begin a sweep's night. Nothing is installed."""
    from orchestrator.commands.nightly_install import Wanted, write_forms
    from orchestrator.nights.clock.forms import Clock

    asked = {Clock.CRON: cron, Clock.SYSTEMD: systemd, Clock.COMPOSE: compose, Clock.KUBERNETES: kubernetes}
    clocks = [clock for clock, yes in {**asked, Clock.GITHUB: github}.items() if yes]
    wanted = Wanted(
        sweep=sweep, clocks=clocks, at=at, every=every, schedule=schedule, random_delay=random_delay, output=output,
        folder=folder, environment=environment, program=program, user=user, out=out,
    )  # fmt: skip
    with_messages(lambda: write_forms(wanted))
