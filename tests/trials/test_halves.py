"""Whether a backbone is right in bfloat16, as it is asked before a search begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from trials.backbones import check
from trials.halves import refusal


def test_a_backbone_that_is_off_in_bfloat16_alone_is_named(
    t5_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADEPT_CACHE", str(tmp_path))
    monkeypatch.setattr(check, "HALF", 1e-9)
    assert "losses in bfloat16 differ by" in (refusal("cpu", t5_folder) or "")
    monkeypatch.undo()
    monkeypatch.setenv("ADEPT_CACHE", str(tmp_path))
    assert refusal("cpu", t5_folder) == refusal("cpu", t5_folder, lane="stock") == ""


def test_what_cannot_be_loaded_at_all_says_nothing_of_bfloat16(tmp_path: Path) -> None:
    assert refusal("cpu", str(tmp_path / "none")) is None
