"""Benchmarks do not begin in a precision that would take hours here."""

from __future__ import annotations

import pytest

from benchmarks import units


@pytest.fixture
def without_units(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = {"bfloat16": "no units", "float32": ""}
    monkeypatch.setattr(units, "why_slow", lambda precision, device: slow[precision])


@pytest.mark.usefixtures("without_units")
def test_a_precision_without_units_is_left_out_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert units.with_units(["bfloat16", "float32"]) == ["float32"]
    assert capsys.readouterr().err == "without bfloat16: no units\n"


@pytest.mark.usefixtures("without_units")
def test_nothing_is_measured_where_no_precision_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        units.with_units(["bfloat16"])
    assert ended.value.code == 2
    assert "--precision float32" in capsys.readouterr().err
