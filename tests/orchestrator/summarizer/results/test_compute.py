"""What a search took, and what sharing a device saved."""

from __future__ import annotations

import pytest

from orchestrator.summarizer.results.compute import spent
from tests.orchestrator.made_records import make_trial
from tests.orchestrator.made_results import searched


def test_a_search_that_has_trained_nothing_says_nothing_of_what_a_step_takes() -> None:
    """One that has just begun, with one trial a device, counted as if its steps took no time at all."""
    alone, shared, begun = (searched(name=name).record for name in ("alone", "shared", "begun"))
    for record, slots, seconds in ((alone, 1, 50.0), (shared, 4, 20.0), (begun, 1, 0.0)):
        record.provenance["slots"] = slots
        for trial in record.trials:
            for report in trial.reports:
                report["seconds/train"] = seconds
    begun.trials = [make_trial(1, [], "waiting")]
    saved = spent(shared, [alone, shared]).stacking
    assert saved is not None and saved > 0.0
    assert spent(shared, [alone, shared, begun]).stacking == pytest.approx(saved)
    assert spent(shared, [shared, begun]).stacking is None
