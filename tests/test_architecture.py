"""docs/architecture.md names rooms and files that exist, and all rooms that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_imports import ROOMS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
PATHS = sorted(set(re.findall(r"(?:[a-z_]+/)+[a-z_]*(?:\.py|\.yaml|\.md)?|[a-z_]+\.py", PAGE)))
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


def test_all_rooms_are_on_the_page() -> None:
    assert [room for room in ROOMS if f"`{room}/`" not in PAGE and room != "cli"] == []
    drawn = next(line for line in PAGE.splitlines() if line.lstrip().startswith("record --> store"))
    assert drawn.strip().split(" --> ") == ROOMS
