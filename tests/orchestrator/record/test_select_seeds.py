"""The winner where the best configurations were trained on several seeds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.record.record import SearchRecord, TestResult, TrialRecord
from orchestrator.record.status import TrialStatus
from orchestrator.summarizer import choose_winner
from orchestrator.summarizer.results.found_search import FoundSearch
from orchestrator.summarizer.results.groups import make_groups
from orchestrator.summarizer.results.result_lines import result_lines
from orchestrator.summarizer.summary import markdown
from tests.orchestrator.made_records import make_record, make_trial


def on(seed: int, trial: TrialRecord, number: int, score: float) -> TrialRecord:
    """The same configuration on another seed."""
    return replace(make_trial(number, [score]), seed=seed, configuration=trial.configuration)


@pytest.fixture
def record() -> SearchRecord:
    """Trial 1 is best on its own seed, trial 2 in the mean over three; trial 3 was never repeated."""
    one, two, three = make_trial(1, [80.0]), make_trial(2, [78.0]), make_trial(3, [70.0])
    repeats = [on(43, one, 4, 60.0), on(44, one, 5, 61.0), on(43, two, 6, 77.0), on(44, two, 7, 79.0)]
    made = make_record(one, two, three, *repeats)
    made.settings |= {"seeds": 3, "top": 2}
    made.test = TestResult(2, 70.0, {"accuracy": 70.0}, 139, 100 / 139, 1000)
    made.seed_tests = [
        TestResult(6, 74.0, {"accuracy": 74.0}, 139, 100 / 139, 1000),
        TestResult(7, 72.0, {"accuracy": 72.0}, 139, 100 / 139, 1000),
    ]
    return made


def test_the_mean_over_seeds_decides(record: SearchRecord) -> None:
    choice = choose_winner(record)
    assert choice.winner is not None and choice.winner.number == 2
    assert [trial.number for trial in choice.seeds] == [2, 6, 7]
    assert [trial.number for trial in choice.ranking] == [2, 6, 7, 1, 4, 5, 3]
    assert choice.mean(choice.winner) == pytest.approx(78.0)
    assert choice.note == ""


def test_a_seed_that_is_missing_is_said(record: SearchRecord) -> None:
    record.trials = [
        replace(trial, status=TrialStatus.FAILED if trial.number in (5, 7) else trial.status) for trial in record.trials
    ]
    choice = choose_winner(record)
    assert choice.winner is not None and choice.winner.number == 2
    assert "trained whole on 2 of 3 seeds" in choice.note


def test_more_seeds_go_before_a_better_mean_of_fewer(record: SearchRecord) -> None:
    record.trials = [
        replace(trial, status=TrialStatus.FAILED if trial.number == 7 else trial.status) for trial in record.trials
    ]
    choice = choose_winner(record)
    assert choice.winner is not None and choice.winner.number == 1


def test_the_summary_shows_mean_deviation_and_interval(record: SearchRecord) -> None:
    choice = choose_winner(record)
    said = {fact.label: fact.text for fact in result_lines(record, choice)}
    assert "mean 78.0, deviation 1.0 over 3 seeds (42: 78.0, 43: 77.0, 44: 79.0)" in said["Validation"]
    assert "mean 72.0, deviation 2.0 over 3 seeds (42: 70.0, 43: 74.0, 44: 72.0)" in said["Test"]
    assert "95 % interval of the mean 67.0 to 77.0" in said["Test"]
    assert "of 3 of 3 trials on seed 42" in said["Median"]
    text = markdown(record, choice)
    assert "| 1 \\* | 2 |" in text and "| 3 \\* | 7 |" in text


def test_each_seed_is_a_score_of_the_searchs_group(record: SearchRecord) -> None:
    groups, left_out = make_groups([FoundSearch(record)])
    assert not left_out
    assert [group.scores() for group in groups] == [{42: 70.0, 43: 74.0, 44: 72.0}]


def test_a_record_keeps_its_seeds_and_one_of_before_can_still_be_read(record: SearchRecord, tmp_path) -> None:  # type: ignore[no-untyped-def]
    assert SearchRecord.load(record.save(tmp_path / "new.json")).tests == record.tests
    old = (tmp_path / "new.json").read_text().replace('"seed_tests"', '"provenance_of_old"')
    import json

    document = json.loads(old)
    del document["provenance_of_old"]
    (tmp_path / "old.json").write_text(json.dumps(document))
    assert SearchRecord.load(tmp_path / "old.json").tests == [record.test]
