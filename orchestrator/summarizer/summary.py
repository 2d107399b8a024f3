"""The summary of one search: Markdown to read and paste, CSV to compute with, and the terminal."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console
from rich.text import Text

from orchestrator.record import formats
from orchestrator.record.record import SearchRecord
from orchestrator.record.selection import Choice, choose_winner
from orchestrator.record.strict_json import write_atomically
from orchestrator.store.parquet import write_parquet
from orchestrator.summarizer.report import make_results
from orchestrator.summarizer.results.found_search import FoundSearch
from orchestrator.summarizer.results.result_lines import result_lines
from orchestrator.summarizer.results.saved_searches import FoundSearches, started_of
from orchestrator.summarizer.results.search_lines import Line, compute_lines, setup_lines, use_lines
from orchestrator.summarizer.summary_json import summary_text
from orchestrator.summarizer.tables.search_tables import published_table
from orchestrator.summarizer.tables.trial_tables import trial_table
from orchestrator.summarizer.writers import frames, latex
from orchestrator.summarizer.writers import markdown as writer
from orchestrator.summarizer.writers.terminal import show_lines, show_trials

_LEGEND = "* winner; = not distinguishable from it on validation. best: highest validation score, with its first step."
_MEANS = " mean: of the best scores of a configuration over its seeds, by which these are compared."
_QUOTED = "Quoted from the ADePT paper (arXiv 2501.03291), not run here. Its baselines follow several protocols, "
_QUOTED += "and a row on another backbone than this search's is no comparison."


def write_summary(record: SearchRecord, folder: str | os.PathLike[str], choice: Choice | None = None) -> list[Path]:
    """Write the summary in every form into ``folder``, replacing older ones.

    Returns:
        Their paths: ``summary.md``, ``summary.csv`` (a row a trial), ``summary.tex`` (tables that compile),
        ``summary.json`` (described by ``summary.schema.json``) and, where there are trials, ``summary.parquet``.
    """
    choice = choice or choose_winner(record)
    folder = Path(folder)
    results = make_results(FoundSearches((FoundSearch(record, started_of(record, None), record.name),)))
    written = [
        write_atomically(folder / "summary.md", markdown(record, choice)),
        write_atomically(folder / "summary.csv", frames.configuration_csv(record, choice)),
        write_atomically(folder / "summary.tex", latex.document(record.name, results.all_tables)),
        write_atomically(folder / "summary.json", summary_text(results)),
    ]
    trials = frames.trial_rows(results)
    return [*written, *([write_parquet(trials, folder / "summary.parquet")] if trials else [])]


def markdown(record: SearchRecord, choice: Choice) -> str:
    """The whole summary as GitHub-flavoured Markdown."""
    blocks = [f"# {formats.markdown(record.name) or formats.MISSING}", writer.bullets(setup_lines(record))]
    blocks += ["## Result", writer.bullets(result_lines(record, choice)), "## Trials"]
    if record.trials:
        blocks += [writer.body(trial_table(record, choice)), formats.markdown(_legend(choice))]
    else:
        blocks.append("No trial.")
    blocks += ["## Compute", writer.bullets(compute_lines(record))]
    if use := use_lines(record):
        blocks += ["## Use", writer.bullets(use)]
    if record.published:
        blocks += ["## Published for this task", writer.body(published_table(record)), _QUOTED]
    if record.provenance:
        known = [Line(name, formats.value(value)) for name, value in record.provenance.items()]
        blocks += ["## Provenance", writer.bullets(known)]
    return "\n\n".join(blocks) + "\n"


def terminal(record: SearchRecord, console: Console, choice: Choice | None = None) -> None:
    """Print the summary; a narrow terminal gets fewer columns of the trial table."""
    choice = choice or choose_winner(record)
    console.print(Text(formats.line(record.name), style="bold"))
    show_lines(setup_lines(record), console)
    if record.trials:
        show_trials(trial_table(record, choice, [_legend(choice)]), console, "summary.md and summary.csv")
    show_lines([*result_lines(record, choice), *compute_lines(record), *use_lines(record)], console)


def _legend(choice: Choice) -> str:
    return _LEGEND + (_MEANS if choice.candidates else "")
