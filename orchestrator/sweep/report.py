"""The report of a sweep's run: one page and tables on all its tasks, in every form that `adept-search report` knows."""

from __future__ import annotations

from pathlib import Path

from orchestrator.summarizer.report import make_results, write_report
from orchestrator.summarizer.report_results import ReportResults
from orchestrator.summarizer.results.saved_searches import read_folders
from orchestrator.sweep.state import SweepState

REPORT = "report"


def sweep_results(state: SweepState) -> ReportResults:
    """Of all searches that were measured, taken over ones with them."""
    return make_results(read_folders(search.folder for search in state.measured))


def write_sweep_report(state: SweepState, folder: Path) -> list[Path]:
    """Write the report into a run's folder; its files, those to read first at the beginning."""
    return write_report(sweep_results(state), folder / REPORT)
