"""``adept-search verify``: train one recorded trial alone again and compare all that it reported."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from orchestrator.commands.messages import with_messages
from orchestrator.commands.options import Output, TrackingUri, parameters, takes
from orchestrator.console import PlainConsole
from orchestrator.plan.settings import SearchSettings, default_output
from trials.errors import UserError

if TYPE_CHECKING:
    from orchestrator.run.verify import Compared, Recorded


@takes(parameters(SearchSettings, lambda option: bool(option.moves), goes_on=True, grouped=False))
def verify(
    trial: Annotated[
        str, typer.Argument(metavar="RUN_ID|NAME/NUMBER", help="a trial's run in MLflow, or its search and number")
    ],
    tracking_uri: TrackingUri = None,
    output: Output = None,
    **places: str | None,
) -> None:
    """Verify: train one trial alone again, from what is recorded of it; exit code 0 if its scores come again, else 1.

    Own tasks, spaces and data are looked for where the search found them, or where these options say.
    """
    with_messages(lambda: run(trial, tracking_uri, output or default_output(), places))


def run(trial: str, tracking_uri: str | None, output: Path, places: Mapping[str, str | None]) -> int:
    """Find, train, compare, say; the exit code."""
    from orchestrator.quiet import silence_libraries

    silence_libraries()
    from orchestrator.run import verify

    name, slash, number = trial.rpartition("/")
    if slash and not number.isdecimal():
        raise UserError([f"{trial}: after the search's name comes the number of a trial, e.g. {name}/3"])
    found_there = verify.from_folder(name, int(number), output, places) if slash else None
    recorded = found_there or verify.from_store(trial, tracking_uri, places)
    console = PlainConsole(width=None if sys.stdout.isatty() else 120)
    about = f"trial {recorded.trial.number} of {recorded.record.name}, seed {recorded.trial.seed}"
    console.print(f"training {about}, alone, up to step {recorded.trial.step:,}")
    found = list(verify.compare(recorded))
    table = Table("step", title=about, title_justify="left")
    for column in ("score then", "score now", "difference", "loss then", "loss now", "all numbers"):
        table.add_column(column, justify="right")
    for one in found:
        losses = [f"{float(report.get('train/loss', float('nan'))):.6g}" for report in (one.before, one.now)]
        scores = [f"{float(report['score']):.4g}" for report in (one.before, one.now)]
        same = "equal" if one.equal else "differ"
        table.add_row(f"{one.before['step']:,}", *scores, f"{one.difference:+.2f}", *losses, same)
    console.print(table)
    return verdict(recorded, found, console)


def verdict(recorded: Recorded, found: list[Compared], console: Console) -> int:
    """Say what the comparison comes to."""
    if all(one.equal for one in found):
        console.print(f"verified: {len(found)} reports, every number the same to the last bit")
        return 0
    furthest = max(found, key=lambda one: abs(one.difference) if one.difference == one.difference else float("inf"))
    where = f"{furthest.difference:+.2f} points at step {furthest.before['step']:,}"
    if not recorded.allowed:
        why = "the search was deterministic and this is its hardware, but numbers differ"
        console.print(f"NOT verified: {why} ({where})")
        return 1
    kind = "on other hardware" if recorded.deterministic else "in a search that was not --deterministic"
    bound = f"{recorded.allowed:.2f} points are allowed {kind}"
    if abs(furthest.difference) <= recorded.allowed:
        console.print(f"verified: {len(found)} reports, at most {where}; {bound}")
        return 0
    console.print(f"NOT verified: {where}; {bound}")
    return 1
