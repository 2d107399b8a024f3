"""The command line: one parser for the installed command and for `orchestrator/search.py`."""

from __future__ import annotations

import typer

from orchestrator.commands.analyse import analyse
from orchestrator.commands.champions import champions
from orchestrator.commands.compare import compare
from orchestrator.commands.history import history
from orchestrator.commands.names import list_names
from orchestrator.commands.nightly import nightly
from orchestrator.commands.options import Command
from orchestrator.commands.plan import plan
from orchestrator.commands.predict import predict
from orchestrator.commands.replay import replay
from orchestrator.commands.report import report
from orchestrator.commands.resume import resume
from orchestrator.commands.search import search
from orchestrator.commands.sweep import sweep
from orchestrator.commands.verify import verify
from orchestrator.commands.watch import stop, watch
from orchestrator.console import prepare_output

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 120}

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings=SETTINGS,
    help="Find the best ADePT configuration for a task on a frozen language model.",
)
for command in (
    search, plan, resume, sweep, report, analyse, compare, history, champions, replay, predict, verify, watch, stop,
):  # fmt: skip
    app.command(name=command.__name__, cls=Command)(command)
app.command(name="list")(list_names)
app.add_typer(nightly, name="nightly")


def main(arguments: list[str] | None = None) -> None:
    """The console command ``adept-search``."""
    prepare_output()
    app(arguments)


def search_main() -> None:
    """The script ``orchestrator/search.py``: `search` alone, without naming it."""
    prepare_output()
    script = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    script.command(cls=Command, context_settings=SETTINGS)(search)
    script()
