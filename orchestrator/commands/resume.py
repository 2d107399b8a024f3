"""``adept-search resume``: go on with a search by its name."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from orchestrator.commands.messages import with_messages
from orchestrator.commands.options import as_text, parameters, takes
from orchestrator.commands.search import start
from orchestrator.plan.settings import SearchSettings, StartOptions


@takes(
    parameters(SearchSettings, lambda option: option.renewable or option.resume == "finds", goes_on=True),
    parameters(StartOptions, lambda option: option.renewable),
)
def resume(name: Annotated[str, typer.Argument(help="name of the search", metavar="NAME")], **given: Any) -> None:
    """Resume: go on with an interrupted search, from any folder; the same as `search --resume --name NAME`."""
    how = StartOptions(resume=True, **{key: given.pop(key) for key in StartOptions.names(lambda one: one.renewable)})
    with_messages(lambda: start(as_text({"name": name, **given}), how))
