"""The command line: one parser for the installed command and for `orchestrator/search.py`.

A command's module is imported when that command is typed: what it needs takes seconds, and a help none of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import typer
import typer.main
from typer.core import TyperGroup

from orchestrator.console import prepare_output

SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 120}


class Listed(NamedTuple):
    """A command in the list of all: its function in `orchestrator.commands`, and what it is for, on one line."""

    place: str
    about: str


COMMANDS = {
    "search": Listed("search.search", "train the configurations of a space, test the winner once"),
    "plan": Listed("plan.plan", "what `search` would train, how long and at what cost"),
    "resume": Listed("resume.resume", "go on with an interrupted search, from any folder"),
    "sweep": Listed("sweep.sweep", "run the searches of a file, one after another"),
    "report": Listed("report.report", "tables of many searches, beside the published numbers"),
    "analyse": Listed("analyse.analyse", "the paper's Tables 1, 2 and 8 to 14, with yours beside"),
    "compare": Listed("compare.compare", "two searches, sweeps or days side by side, with tests"),
    "history": Listed("history.history", "a sweep's last nights, and what changed"),
    "champions": Listed("champions.champions", "the best adapter of each task and backbone, and why"),
    "replay": Listed("replay.replay", "what another scheduler would have spent and found"),
    "predict": Listed("predict.predict", "answer the rows of a file or texts with an adapter"),
    "verify": Listed("verify.verify", "train one trial again: do its scores come again?"),
    "watch": Listed("watch.watch", "what a search prints, until it ends"),
    "stop": Listed("watch.stop", "end a search as Ctrl-C does: everything is kept"),
    "list": Listed("names.list_names", "tasks, methods, backbones, spaces and sweeps by name"),
    "nightly": Listed("nightly.nightly", "run a sweep as a night, or print what makes a clock do it"),
}


def loaded(name: str) -> Any:
    """A command as Click has it, with all that it imports."""
    module, _, function = COMMANDS[name].place.partition(".")
    found = getattr(import_module(f"orchestrator.commands.{module}"), function)
    if isinstance(found, typer.Typer):
        group = typer.main.get_group(found)
        group.name = name
        return group
    from orchestrator.commands.options import Command

    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    alone.command(name=name, cls=Command if function != "list_names" else None)(found)
    return typer.main.get_command(alone)


class Loaded(Mapping[str, Any]):
    """The commands by their names, each made when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        if name not in COMMANDS:
            raise KeyError(name)
        return loaded(name)

    def __contains__(self, name: object) -> bool:
        return name in COMMANDS

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class Commands(TyperGroup):
    """All commands; to list them imports none."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.commands = Loaded()  # type: ignore[assignment]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list for the help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, listed.about) for name, listed in COMMANDS.items()])


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings=SETTINGS,
)


@app.callback()
def commands() -> None:
    """Find the best ADePT configuration for a task on a frozen language model."""


def main(arguments: list[str] | None = None) -> None:
    """The console command ``adept-search``."""
    prepare_output()
    app(arguments)


def search_main() -> None:
    """The script ``orchestrator/search.py``: `search` alone, without naming it."""
    from orchestrator.commands.options import Command
    from orchestrator.commands.search import search

    prepare_output()
    script = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    script.command(cls=Command, context_settings=SETTINGS)(search)
    script()
