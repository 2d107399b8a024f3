"""docs/architecture.md names rooms and files that exist, and all rooms that there are; so do the other pages files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_imports import ROOMS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
PATHS = sorted(set(re.findall(r"(?:[a-z_]+/)+[a-z_]*(?:\.py|\.yaml|\.md)?|[a-z_]+\.py", PAGE)))
ROOMS_OF_CODE = [
    "orchestrator",
    "trials",
    "search_spaces",
    "tests",
    "benchmarks",
    "pretraining",
    "docker",
    "yaml_reader",
]
PLACES = [
    ROOT,
    ROOT / "orchestrator",
    ROOT / "orchestrator/summarizer",
    ROOT / "trials",
    ROOT / "orchestrator/schedulers",
]


@pytest.mark.parametrize("path", [path for path in PATHS if not path.startswith("br>")])
def test_what_the_page_names_is_there(path: str) -> None:
    assert any((place / path).exists() for place in PLACES), path


@pytest.mark.parametrize(
    "page", ["README.md", "SECURITY.md", *(f"docs/{name}.md" for name in ("stack", "scale", "nights", "measurements"))]
)
def test_python_files_that_a_page_names_are_there(page: str) -> None:
    named = set(re.findall(r"[\w/]*\w\.py\b", (ROOT / page).read_text()))
    there = [str(path) for room in ROOMS_OF_CODE for path in (ROOT / room).rglob("*.py")]
    assert [name for name in sorted(named) if not any(path.endswith(f"/{name}") for path in there)] == []


def test_all_rooms_are_on_the_page() -> None:
    assert [room for room in ROOMS if f"`{room}/`" not in PAGE and room != "cli"] == []
    drawn = next(line for line in PAGE.splitlines() if line.lstrip().startswith("record --> store"))
    assert drawn.strip().split(" --> ") == ROOMS
