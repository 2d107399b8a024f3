"""Cells that several tables have: a measured score, and what one example is worth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orchestrator.record import formats
from orchestrator.summarizer.results.groups import SearchGroup, described, method_title
from orchestrator.summarizer.results.published import metric_key, printed
from orchestrator.summarizer.results.seed_statistics import SeedEstimate
from orchestrator.summarizer.tables.model import Cell, Row

EMPTY = Cell(formats.MISSING, "missing")


def measured_cell(result: SeedEstimate, metric: str, one_example: float | None) -> Cell:
    """A score over seeds as a cell; the metric by our name or the paper's."""
    name = metric_key(metric)
    return Cell(
        printed(result.mean, name),
        "measured",
        result.mean,
        printed(result.sd, name) if result.sd is not None else "",
        n=result.n,
        one_example=None if metric == "hours" else one_example,
        sd=result.sd,
    )


def other_settings(task: str, shown: SearchGroup, others: Sequence[SearchGroup]) -> str:
    """The note on a cell for which there are searches with other settings, too."""
    left = "; ".join(described(other, [shown]) for other in others)
    where = f"{task}, {method_title(shown.method)} on {shown.backbone}"
    return f"{where}: shown with {described(shown, others)}; also there: {left}."


def worth_row(columns: Iterable[Iterable[float | None]], blanks: int = 0) -> Row:
    """The last row: points that one test example is worth in each column, of the smallest test split in it."""
    cells = (Cell(formats.points(max((one for one in column if one), default=None))) for column in columns)
    return Row((Cell("One test example"), *[Cell("")] * blanks, *cells), "in points")
