"""Commands that read searches, as typed, and searches for them to read."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.summarizer.results.found_search import FoundSearch


def save(folder: Path, *searches: FoundSearch) -> None:
    for search in searches:
        assert search.started is not None
        search.record.provenance["started"] = search.started.isoformat()
        search.record.save(folder / search.record.name / "search.json")


def typed(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.stdout, result.stderr
