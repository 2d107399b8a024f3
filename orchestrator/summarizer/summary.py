"""The tables of one search: Markdown to read and paste, CSV to compute with, and the terminal."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from orchestrator.record import formats
from orchestrator.record.record import SearchRecord
from orchestrator.record.selection import Choice, choose_winner
from orchestrator.record.strict_json import write_atomically
from orchestrator.store.parquet import write_parquet
from orchestrator.summarizer.report import make_results
from orchestrator.summarizer.results import facts
from orchestrator.summarizer.results.model import FoundSearch
from orchestrator.summarizer.results.saved_searches import Found, started_of
from orchestrator.summarizer.summary_json import summary_text
from orchestrator.summarizer.writers import frames, latex
from orchestrator.summarizer.writers.markdown import code
from orchestrator.summarizer.writers.spreadsheet import comma_separated

_LEGEND = "* winner; = not distinguishable from it on validation. best: highest validation score, with its first step."
_QUOTED = "Quoted from the ADePT paper (arXiv 2501.03291), not run here. Its baselines follow several protocols, "
_QUOTED += "and a row on another backbone than this search's is no comparison."
# Columns of the trial table that a terminal must be this wide for, and the rows that it shows of a long search: the
# files have all of them.
_ROOM = {"parameters": 100, "train s": 100, "why": 150}
_ROWS = 30
_ON_TWO_LINES = {"bottleneck": "bottle\nneck"}  # as all names of two words are, since their values are short


def write_summary(record: SearchRecord, folder: str | os.PathLike[str], choice: Choice | None = None) -> list[Path]:
    """Write the summary in every form into ``folder``, replacing older ones.

    Returns:
        Their paths: ``summary.md``, ``summary.csv`` (a row a trial), ``summary.tex`` (tables that compile),
        ``summary.json`` (``summary.schema.json`` says what is in it) and, where there are trials, ``summary.parquet``.
    """
    choice = choice or choose_winner(record)
    folder = Path(folder)
    results = make_results(Found((FoundSearch(record, started_of(record, None), record.name),)))
    written = [
        write_atomically(folder / "summary.md", markdown(record, choice)),
        write_atomically(folder / "summary.csv", trials_as_csv(record, choice)),
        write_atomically(folder / "summary.tex", latex.document(record.name, results.all_grids)),
        write_atomically(folder / "summary.json", summary_text(results)),
    ]
    trials = frames.trial_rows(results)
    return [*written, *([write_parquet(trials, folder / "summary.parquet")] if trials else [])]


def markdown(record: SearchRecord, choice: Choice) -> str:
    """The whole summary as GitHub-flavoured Markdown."""
    blocks = [f"# {formats.markdown(record.name) or formats.MISSING}", _list(facts.header(record))]
    blocks += ["## Result", _list(facts.winner(record, choice)), "## Trials"]
    if record.trials:
        blocks += [_table(facts.trial_table(record, choice)), formats.markdown(_legend(choice))]
    else:
        blocks.append("No trial.")
    blocks += ["## Compute", _list(facts.compute(record))]
    use = facts.use(record)
    if use:
        blocks += ["## Use", _list(use)]
    if record.published:
        blocks += ["## Published for this task", _table(facts.quoted_table(record)), _QUOTED]
    if record.provenance:
        blocks += ["## Provenance", _list([facts.Fact(k, formats.value(v)) for k, v in record.provenance.items()])]
    return "\n\n".join(blocks) + "\n"


def trials_as_csv(record: SearchRecord, choice: Choice) -> str:
    """One row a trial, ranked, with numbers as they are: for a spreadsheet or a data frame."""
    names = list(dict.fromkeys(name for trial in record.trials for name in trial.configuration))
    known = ["rank", "trial", "trial_id", "winner", "not_distinguishable", "seed", "status", "reason", "error"]
    known += ["parameters", "best_score", "best_step", "last_score", "last_step", "train_seconds", "evaluation_seconds"]
    rows = []
    near = {trial.trial_id for trial in choice.not_distinguishable}
    for rank, trial in enumerate(choice.ranking, 1):
        cells: list[Any] = [rank, trial.number, trial.trial_id]
        cells += [int(trial is choice.winner), int(trial.trial_id in near), trial.seed]
        cells += [trial.status, trial.reason, trial.error, record.parameters.get(trial.number)]
        cells += [trial.best_score, trial.best_step, trial.last_score, trial.step]
        cells += [trial.train_seconds, trial.evaluation_seconds]
        rows.append([*cells, *(_raw(trial.configuration.get(name)) for name in names)])
    return comma_separated([*known, *(f"configuration/{name}" for name in names)], rows)


def terminal(record: SearchRecord, console: Console, choice: Choice | None = None) -> None:
    """Print the summary; a narrow terminal gets fewer columns of the trial table."""
    choice = choice or choose_winner(record)
    console.print(Text(formats.line(record.name), style="bold"))
    _print_facts(console, facts.header(record))
    if record.trials:
        _print_trials(console, facts.trial_table(record, choice), _legend(choice))
    _print_facts(console, [*facts.winner(record, choice), *facts.compute(record), *facts.use(record)])


def _legend(choice: Choice) -> str:
    means = " mean: of the best scores of a configuration over its seeds, by which these are compared."
    return _LEGEND + (means if choice.candidates else "")


def _print_trials(console: Console, table: facts.Table, legend: str) -> None:
    kept = [place for place, name in enumerate(table.columns) if console.width >= _ROOM.get(name, 0)]
    titles = [_ON_TWO_LINES.get(name) or re.sub("[_ ]", "\n", formats.line(name), count=1) for name in table.columns]
    widths = (
        max(len(text) for text in (*titles[place].split("\n"), *(row[place] for row in table.rows[:_ROWS])))
        for place in kept
    )
    between = 1 if sum(widths) + 2 * len(kept) <= console.width else 0  # beside the blank that the box has anyway
    shown = RichTable(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, between, 0, 0), collapse_padding=True
    )
    for place in kept:
        fixed = table.columns[place] == "status"
        side: Literal["left", "right"] = "right" if table.numeric[place] else "left"
        shown.add_column(Text(titles[place]), justify=side, overflow="fold", no_wrap=fixed)
    for row in table.rows[:_ROWS]:
        style = "bold green" if row[0].endswith("*") else None
        shown.add_row(*(Text(formats.line(row[place])) for place in kept), style=style)
    console.print()
    console.print(shown)
    if len(table.rows) > _ROWS:
        console.print(Text(f"and {len(table.rows) - _ROWS} more trials, in summary.md and summary.csv"))
    console.print(Text(legend, style="dim"))
    console.print()


def _print_facts(console: Console, lines: list[facts.Fact]) -> None:
    grid = RichTable.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    for fact in lines:
        if not fact.code:
            grid.add_row(Text(fact.label), Text(formats.line(fact.text)))
    console.print(grid)
    for fact in lines:
        if fact.code:  # never folded: it is there to be copied
            console.print(Text(f"{fact.label}:", style="dim"))
            console.print(Text(f"  {fact.code}"), soft_wrap=True)


def _list(lines: list[facts.Fact]) -> str:
    return "\n".join(
        f"- {formats.markdown(fact.label)}: {code(fact.code) if fact.code else formats.markdown(fact.text)}"
        for fact in lines
    )


def _table(table: facts.Table) -> str:
    lines = [table.columns, ["---:" if numeric else "---" for numeric in table.numeric]]
    text = [" | ".join(formats.markdown(cell) for cell in lines[0]), " | ".join(lines[1])]
    text += [" | ".join(formats.markdown(cell) for cell in row) for row in table.rows]
    return "\n".join(f"| {row} |" for row in text)


def _raw(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict | list | tuple | bool) else value
