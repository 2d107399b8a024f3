"""What a report shows, computed once for all its forms: searches, statistics and tables."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.record.record import SearchRecord
from orchestrator.summarizer.results.found_search import FoundSearch
from orchestrator.summarizer.results.groups import SearchGroup
from orchestrator.summarizer.results.interquartile_means import InterquartileMean
from orchestrator.summarizer.results.method_comparisons import Comparison
from orchestrator.summarizer.tables.model import ReportTable


@dataclass(frozen=True)
class ReportResults:
    """Everything that a report shows, computed once.

    Attributes:
        searches: as found, the oldest first.
        groups: one for each (task, method, backbone) and each way of training and searching it.
        tables: in the order of the report, but for those of trials.
        trial_tables: a table of its trials for each search.
        left_out: what was found and not used, with the reason.
        title: of what is no report on searches.
    """

    searches: tuple[FoundSearch, ...]
    groups: tuple[SearchGroup, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    interquartile_means: tuple[InterquartileMean, ...] = ()
    tables: tuple[ReportTable, ...] = ()
    trial_tables: tuple[ReportTable, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    title: str = ""

    @property
    def all_tables(self) -> tuple[ReportTable, ...]:
        """Every table, for forms that are read."""
        return (*self.tables, *self.trial_tables)

    @property
    def records(self) -> list[SearchRecord]:
        """The searches' records, the oldest first."""
        return [search.record for search in self.searches]
