"""A search that learns nothing says so once, with the command that ends it."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import pytest

from orchestrator.record.record import SearchRecord, TrialRecord
from orchestrator.tune.outlook import Outlook
from tests.orchestrator.searching_toys import empty_record, search_with, toy_plan

RATES = [0.1, 0.2]  # a toy's score is a hundred times its rate, and its step
NOTHING = {"majority": {"validation": 50.0}, "sizes": {"validation": 400}}


def record_of(**known: Any) -> SearchRecord:
    record = empty_record()
    record.majority, record.sizes = known["majority"], known["sizes"]
    return record


@pytest.mark.slow
def test_a_search_that_learns_nothing_offers_to_be_ended(ray_local: None, tmp_path: Path) -> None:
    shown = io.StringIO()
    search_with(toy_plan(tmp_path, RATES, steps=10), tmp_path, record_of(**NOTHING), shown)
    text = " ".join(shown.getvalue().split())
    assert text.count("nothing is learnt here, with 96 % confidence") == 1
    assert "above 55.0 accuracy in two reports running" in text
    assert f"End it: adept-search stop toy --output {tmp_path}" in text


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, 1),
        ({"majority": {}}, 0),
        ({"majority": {"validation": 10.0}}, 0),
        ({"sizes": {}}, 0),
    ],
)
def test_it_is_said_once_where_it_is_known(
    changed: dict[str, Any], said: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    record, outlook = record_of(**{**NOTHING, **changed}), Outlook(toy_plan(tmp_path, RATES, steps=10))
    outlook.look(record)  # before the first trial
    for number, score in ((1, 20.0), (2, None)):
        reports = [{"step": step, "score": score} for step in range(1, 7)]
        record.trials.append(TrialRecord(f"t{number}", number, {"prompt_lr": RATES[number - 1]}, 42, reports=reports))
        outlook.look(record)
    assert [line.levelname for line in caplog.records if "nothing is learnt" in line.message] == ["INFO"] * said
