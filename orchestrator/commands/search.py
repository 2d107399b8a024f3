"""``adept-search search``: one search, from its options to its table."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from orchestrator.commands.messages import with_messages
from orchestrator.commands.options import as_text, parameters, takes
from orchestrator.console import PlainConsole, messages_on, messages_shown
from orchestrator.plan.options import Given
from orchestrator.plan.places import with_absolute_paths
from orchestrator.plan.read_settings import read_settings
from orchestrator.plan.settings import SearchSettings, StartOptions, as_arguments
from orchestrator.quiet import silence_libraries


@takes(parameters(SearchSettings), parameters(StartOptions))
def search(**given: Any) -> None:
    """Search: train the configurations of a space, stop the poor ones early, test the winner once."""
    with_messages(
        lambda: start(as_text(given), StartOptions.model_validate({k: given[k] for k in StartOptions.names()}))
    )


def start(options: Given, how: StartOptions) -> int:
    """Resolve, check, then plan or run; the exit code."""
    from orchestrator.plan.resolve import make_plan
    from orchestrator.run.resume import resumed_options
    from orchestrator.tracking.sources import StoredSources
    from trials.tasks.groups import task_groups

    if options.get("task") in task_groups():
        from orchestrator.commands.task_group import start_group

        return start_group(options, how)
    options = resumed_options(options) if how.resume else with_absolute_paths(options)
    settings, problems = read_settings(options)
    plan = make_plan(settings, problems, StoredSources())
    if how.plan or not how.debug:
        silence_libraries()
    if how.plan:
        from orchestrator.plan.data import planned_data
        from orchestrator.plan.estimate import print_plan
        from orchestrator.plan.search_folder import chosen_there
        from orchestrator.run.standing import standing

        console = PlainConsole(width=None if sys.stdout.isatty() else 120)
        print_plan(replace(plan, chosen=chosen_there(plan)), console, *planned_data(plan))
        for line in standing(plan):
            console.print(line, soft_wrap=not sys.stdout.isatty())
        return 0
    from orchestrator.run import detach

    console = PlainConsole(soft_wrap=not sys.stdout.isatty())
    if detach.is_wanted():
        return detach.run_detached(
            plan, as_arguments({**options, **as_text(dict(how), StartOptions)}), console, how.quiet
        )
    from orchestrator.run.run import run_search

    with messages_shown(messages_on(console)):
        return run_search(plan, options, console, resume=how.resume, rerun=how.rerun, quiet=how.quiet, debug=how.debug)
