"""What is known comes before the tables, these before the writers and the page: no module imports one above it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import orchestrator.summarizer

ROOMS = ("results", "tables", "writers", "page")
FOLDER = Path(orchestrator.summarizer.__path__[0])


@pytest.mark.parametrize("room", ROOMS)
def test_no_module_imports_a_room_above_its_own(room: str) -> None:
    above = ROOMS[ROOMS.index(room) + 1 :]
    imports = re.compile(rf"orchestrator\.summarizer(\.({'|'.join(above)})\b| import)") if above else re.compile("(?!)")
    wrong = [file.name for file in sorted((FOLDER / room).glob("*.py")) if imports.search(file.read_text("utf-8"))]
    assert wrong == []
