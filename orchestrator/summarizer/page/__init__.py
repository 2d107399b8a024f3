"""The report as one HTML file that needs no network: of one search, or of many."""

from orchestrator.summarizer.page.writing import write_results_page, write_search_page

__all__ = ["write_results_page", "write_search_page"]
