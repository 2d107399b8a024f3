"""A search that learns nothing says so once, with the command that ends it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from orchestrator.record.record import SearchRecord, TrialRecord
from orchestrator.record.status import TrialStatus
from orchestrator.run.outlook import Outlook
from tests.commands import adept
from tests.orchestrator.run.toy_task import arguments, make_task
from tests.orchestrator.searching_toys import empty_record, toy_plan

RATES = [0.1, 0.2]  # a toy's score is a hundred times its rate, and its step
NOTHING = {"majority": {"validation": 50.0}, "sizes": {"validation": 400}}


def record_of(**known: Any) -> SearchRecord:
    record = empty_record()
    record.majority, record.sizes = known["majority"], known["sizes"]
    return record


@pytest.mark.parametrize(
    ("changed", "status", "said"),
    [
        ({}, TrialStatus.RUNNING, 1),
        ({}, TrialStatus.FINISHED, 1),
        ({"majority": {}}, TrialStatus.RUNNING, 0),
        ({"majority": {"validation": 10.0}}, TrialStatus.RUNNING, 0),
        ({"sizes": {}}, TrialStatus.RUNNING, 0),
    ],
)
def test_a_search_that_learns_nothing_says_so_once_where_that_can_be_known(
    changed: dict[str, Any], status: TrialStatus, said: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    record, outlook = record_of(**{**NOTHING, **changed}), Outlook(toy_plan(tmp_path, RATES, steps=10))
    outlook.look(record)  # before the first trial
    for number, score in ((1, 20.0), (2, None)):
        reports = [{"step": step, "score": score} for step in range(1, 7)]
        trial = TrialRecord(f"t{number}", number, {"prompt_lr": RATES[number - 1]}, 42, reports=reports)
        trial.status = status
        record.trials.append(trial)
    for _ in range(2):
        outlook.look(record)
    found = [line for line in caplog.records if "nothing is learnt here, with 96 % confidence" in line.message]
    assert [line.levelname for line in found] == ["INFO"] * said
    for line in found:
        assert "above 55.0 accuracy in two reports running" in line.message
        offer = line.message.endswith(f"End it: adept-search stop toy --output {tmp_path}")
        assert offer is not status.is_settled  # of all trials, there is nothing left to end


@pytest.mark.slow
@pytest.mark.usefixtures("engines_kept")
def test_a_whole_search_says_it(tmp_path: Path, fresh_database: Path) -> None:
    folder = make_task(tmp_path, fresh_database)
    settings = "settings: {steps: 4, eval_every: 1, batch_size: 4, warmup_steps: 1}"
    (folder / "space.yaml").write_text(
        f"about: two hopeless rates\n{settings}\ngrids: {{lora: {{lr: [1e-6, 1e-7], rank: 2}}}}\n"
    )
    output = adept(folder, "search", *arguments("--method", "lora", "--devices", "1"))
    assert output.count("nothing is learnt here") == 1
