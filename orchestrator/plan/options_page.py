"""The page of all options, docs/options.md: ``python -m orchestrator.plan.options_page > docs/options.md``."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.command_lines import flag
from orchestrator.plan.options import Group, OptionModel
from orchestrator.plan.settings import SearchSettings, StartOptions

HEAD = """# The options of a search

What `search` takes; `plan` takes those of a search and `--price`, `resume` those that may change and
those of what to do now. This page is written
from the program's own list of options (CONTRIBUTING.md says how).
"""
COLUMNS = ("option", "what it is", "without it", "when a search goes on")
RESUME = {"same": "as before", "finds": "says where the search is", "anew": "may change"}


def page() -> str:
    """A table for each group."""
    return "\n".join([HEAD, *(line for group in Group for line in table(group))])


def table(group: Group) -> Iterator[str]:
    """The lines of a group's heading and table."""
    yield from (f"## {group}", "", f"| {' | '.join(COLUMNS)} |", "| --- | --- | --- | --- |")
    for model in (SearchSettings, StartOptions):
        for name in model.names(lambda option: option.group is group):
            yield f"| {' | '.join(cells(model, name))} |"
    yield ""


def cells(model: type[OptionModel], name: str) -> tuple[str, ...]:
    """An option's row."""
    option = model.options()[name]
    former = "".join(f" (was `{flag(old)}`)" for old in option.former)
    goes_on = "may have moved" if option.moves else "" if option.group is Group.NOW else RESUME[option.resume]
    form = f"{flag(name)} {option.metavar}".rstrip().replace("|", "\\|")
    return f"`{form}`{former}", model.meaning(name), model.unset(name), goes_on


if __name__ == "__main__":
    print(page(), end="")
