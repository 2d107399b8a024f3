"""``adept-search plan``: what a search would train."""

from __future__ import annotations

from typing import Any

from orchestrator.commands.messages import with_messages
from orchestrator.commands.options import as_text, parameters, takes
from orchestrator.commands.search import start
from orchestrator.plan.settings import SearchSettings, StartOptions


@takes(parameters(SearchSettings))
def plan(**given: Any) -> None:
    """Plan: print what `search` with the same options would train, how long and at what cost; start nothing."""
    with_messages(lambda: start(as_text(given), StartOptions(plan=True)))
