"""Makes the tables of some analyses, and writes them in every form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from orchestrator.analyses.bench import Bench
from orchestrator.analyses.catalogue import Analysis
from orchestrator.analyses.configurations import side_by_side, sizes
from orchestrator.analyses.lines import Makes, Work
from orchestrator.analyses.offsets import embedding_statistics, offset_shift, without_offsets
from orchestrator.analyses.pools import Pools
from orchestrator.record.strict_json import write_atomically
from orchestrator.summarizer.results.found_search import FoundSearch
from orchestrator.summarizer.tables.model import ReportTable
from orchestrator.summarizer.writers import frames, latex, markdown

_MAKES: Mapping[int, Makes] = {
    1: offset_shift,
    2: embedding_statistics,
    8: side_by_side,
    9: side_by_side,
    10: side_by_side,
    11: without_offsets,
    12: sizes,
    13: sizes,
    14: side_by_side,
}


def analysed(analysis: Analysis, searches: Iterable[FoundSearch], bench: Bench) -> Work:
    """An analysis with all that was measured for it."""
    work = Work(analysis, Pools(searches), bench, analysis.layout)
    _MAKES[analysis.table](work)
    if left_out := work.pools.left_out:
        work.note(
            f"Not counted, as the paper's analyses are of all rows and of trials without a source: "
            f"{', '.join(search.record.name for search in left_out)}."
        )
    return work


def write(tables: Sequence[ReportTable], folder: Path, forms: Sequence[str]) -> list[Path]:
    """Each table as a file of each form, replacing older ones.

    Args:
        forms: of markdown, latex and csv.
    """
    found = []
    for table in tables:
        if "markdown" in forms:
            found.append(write_atomically(folder / f"{table.name}.md", markdown.document(table.title, [table])))
        if "latex" in forms:
            found.append(write_atomically(folder / f"{table.name}.tex", latex.render(table)))
        if "csv" in forms:
            found.append(frames.write_csv(frames.table_rows(table), folder / f"{table.name}.csv"))
    return found
