"""The expected best of k trials: which trials it draws from."""

from __future__ import annotations

from orchestrator.record.status import TrialStatus
from orchestrator.summarizer.results.expected_best import expected_best_of
from tests.orchestrator.made_records import make_trial
from tests.orchestrator.made_results import searched


def test_trainings_on_further_seeds_are_no_more_configurations() -> None:
    record = searched(seed=1).record
    alone = expected_best_of(record)
    assert len(alone.values) == 4
    repeats = [make_trial(5, [90.0]), make_trial(6, [], "failed"), make_trial(7, [50.0], TrialStatus.RUNNING)]
    for trial in repeats:
        trial.seed = 2
    record.trials += repeats
    assert expected_best_of(record) == alone
