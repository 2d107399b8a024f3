"""What tests of plans share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.orchestrator.plan.planning import SPACE


@pytest.fixture
def space(tmp_path: Path) -> Path:
    file = tmp_path / "two.yaml"
    file.write_text(SPACE)
    return file
