"""Why a search trained more than was planned: equal scores go on together."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.record.record import SearchRecord
from orchestrator.summarizer.results.rung_ties import rung_ties
from orchestrator.summarizer.results.search_lines import compute_lines
from tests.orchestrator.made_records import EVERY, make_record, make_trial

SETTINGS = {
    "steps": 5 * EVERY,
    "eval_every": EVERY,
    "scheduler": "promotion",
    "grace_period": EVERY,
    "reduction_factor": 4,
}


def searched(*curves: list[float], **settings: Any) -> SearchRecord:
    """Trials that ended where their curves do."""
    trials = [
        make_trial(number, curve, "finished" if len(curve) == 5 else "stopped early")
        for number, curve in enumerate(curves, 1)
    ]
    return make_record(*trials, settings={**SETTINGS, **settings})


def tie_line(record: SearchRecord) -> str:
    return next((line.text for line in compute_lines(record) if line.label == "Ties"), "")


def test_where_all_trials_tie_the_summary_says_why_all_were_trained() -> None:
    record = searched(*[[12.5] * 5] * 8)
    assert tie_line(record).split("; ") == [
        "at step 1,000 8 of 8 trials were equal at 12.5, and equal scores go on together: 8 went on, not 2",
        "at step 4,000 8 of 8 trials were equal at 12.5, and equal scores go on together: 8 went on, not 2",
    ]


def test_the_option_by_which_losses_decide_is_named_where_there_are_losses() -> None:
    record = searched(*[[12.5] * 5] * 8)
    for trial in record.trials:
        trial.reports[0]["validation/loss"] = 1.0
    assert tie_line(record).endswith("; with --ties loss their validation losses decide")
    record.settings["scheduler"] = "median"
    assert tie_line(record) == (
        "at step 1,000 8 of 8 trials were equal at 12.5, and equal scores go on together: 8 went on, not 4"
    )


def test_those_above_the_tie_go_on_with_it() -> None:
    record = searched([60.0] * 5, [50.0] * 4, [50.0] * 4, [50.0] * 4, [40.0], [40.0], [40.0], [40.0])
    (first,) = rung_ties(record)
    assert (first.step, first.score, first.tied, first.above, first.there, first.places) == (1_000, 50.0, 3, 1, 8, 2)
    assert tie_line(record).endswith(
        "3 of 8 trials were equal at 50.0, and equal scores go on together: 4 went on, not 2"
    )


@pytest.mark.parametrize(
    "record",
    [
        searched([60.0] * 5, [50.0] * 4, [40.0], [40.0], [40.0], [40.0], [40.0], [40.0]),  # equal, but below the cut
        searched([60.0] * 5, [60.0] * 4, [40.0], [40.0], [40.0], [40.0], [40.0], [40.0]),  # as many as places
        searched(*[[12.5] * 5] * 8, ties="loss"),
        searched(*[[12.5] * 5] * 8, rank_by="loss"),
        searched(*[[12.5] * 5] * 8, scheduler="none", grace_period=5 * EVERY),
        make_record(*[make_trial(n, [12.5] * 5) for n in range(1, 5)]),  # says nothing of a scheduler
        searched(),
    ],
)
def test_no_line_appears_where_ties_changed_nothing(record: SearchRecord) -> None:
    assert rung_ties(record) == [] and tie_line(record) == ""
