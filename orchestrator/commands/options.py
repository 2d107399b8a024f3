"""Options of the command line, made from the one list (`orchestrator.plan.settings`), and their help in groups."""

from __future__ import annotations

import errno
import inspect
import sys
from collections.abc import Callable, Container, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from orchestrator.command_lines import flag
from orchestrator.plan.options import Given, Group, Option, OptionModel, former_flags
from orchestrator.plan.settings import SearchSettings, StartOptions
from trials.errors import UserError
from yaml_reader.home import from_home
from yaml_reader.names import longest_name, too_long

FORMER = former_flags(SearchSettings, StartOptions)


class Command(TyperCommand):
    """A command whose help has a section for each group of options, and which understands the former names of some."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line; a former name of an option becomes its name, with a note.

        A path that begins with ``~`` is below the home folder: no shell sees to that in ``--output=~/runs``.
        """
        known = {name for parameter in self.params for name in parameter.opts}
        left = super().parse_args(ctx, list(renamed(args, known)))
        ctx.params = {name: _from_home(name, value) for name, value in ctx.params.items()}
        return left

    def invoke(self, ctx: Any) -> Any:
        """Run; a name that the file system finds too long is refused with the option or argument that holds it."""
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG or error.filename is None:
                raise
            name = longest_name(str(error.filename))
            holds: Any = next((one for one in self.params if name in str(ctx.params.get(one.name))), None)
            if holds is not None:
                raise typer.BadParameter(too_long(name), ctx=ctx, param=holds) from None
            print(f"error: {too_long(name)}", file=sys.stderr)  # it stands in a file or in the environment
            raise typer.Exit(UserError.exit_code) from None

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the sections of the help."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], **{group: [] for group in Group}, "Options": []}
        for parameter in self.get_params(ctx):
            title = getattr(parameter, "rich_help_panel", None) or "Options"
            if (line := parameter.get_help_record(ctx)) is not None:
                sections["Arguments" if parameter.param_type_name == "argument" else title].append(line)
        for title, lines in sections.items():
            if lines:
                with formatter.section(title):
                    formatter.write_dl(lines)


def _from_home(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_from_home(name, one) for one in value]
    try:
        return from_home(value) if isinstance(value, Path) else value
    except UserError as error:
        raise typer.BadParameter(str(error), param_hint=flag(name)) from None


def renamed(arguments: Sequence[str], known: Container[str]) -> Iterator[str]:
    """The arguments of a command with the names of now in the place of former ones, with a note for each.

    Args:
        known: the command's own options: a former name that is one of them, or whose new name is none, stays.
    """
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        now = FORMER.get(name, "")
        if now not in known or name in known or "--" in arguments[:place]:
            yield argument
        else:
            print(f"note: {name} is called {now} now; the next version will not know {name}", file=sys.stderr)
            yield now + equals + value


def parameters(
    model: type[OptionModel],
    wanted: Callable[[Option], bool] = lambda option: True,
    goes_on: bool = False,
    grouped: bool = True,
) -> list[inspect.Parameter]:
    """The options of a model as a command's; they reach it as text, so that all wrong values are reported together.

    Args:
        wanted: whether a command has an option.
        goes_on: with a search that is there: an option is else what it was then, and a file may have moved.
        grouped: below the heading of its group in the help.
    """
    return [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if model.is_flag(name) else None,
            annotation=Annotated[bool if model.is_flag(name) else str | None, of(model, name, goes_on, grouped)],
        )
        for name in model.names(wanted)
    ]


def of(model: type[OptionModel], name: str, goes_on: bool = False, grouped: bool = False) -> Any:
    """An option of a model for a command's signature; see `parameters`."""
    option, unset = model.options()[name], model.unset(name)
    if goes_on and option.resume == "anew":
        unset = unset and "as before"
    meaning = f"{option.moves}, where it has moved" if goes_on and option.moves else model.meaning(name)
    return typer.Option(
        flag(name),
        help=meaning + (f" [{unset}]" if unset and not (goes_on and option.moves) else ""),
        metavar=option.metavar or None,
        show_default=False,
        rich_help_panel=str(option.group) if grouped else None,
    )


def takes(*more: list[inspect.Parameter]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a function with ``**options`` these parameters, by which the command line is made."""

    def extended(function: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(function, eval_str=True)
        own = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
        function.__signature__ = signature.replace(parameters=[*own, *chain.from_iterable(more)])  # type: ignore[attr-defined]
        return function

    return extended


def as_text(given: dict[str, Any], model: type[OptionModel] = SearchSettings) -> Given:
    """All options of a model as `read_settings` takes them: None for one that was not given."""
    return {
        name: ("yes" if value else None) if isinstance(value := given.get(name), bool) else value
        for name in model.model_fields
    }


TrackingUri = Annotated[str | None, of(SearchSettings, "tracking_uri")]
Output = Annotated[Path | None, of(SearchSettings, "output")]
