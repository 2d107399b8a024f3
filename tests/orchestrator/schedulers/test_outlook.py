"""When a search is said to learn nothing: late enough, with enough trials, and never once one is above the constant."""

from __future__ import annotations

import math

import pytest

from orchestrator.schedulers.outlook import CONFIDENCE, TAKE_OFFS, confidence, lateness, take_off, threshold

NAN = math.nan
Reports = list[tuple[int, float]]


def flat(*scores: float) -> Reports:
    """Reports at every tenth of a budget of 100 updates."""
    return [(10 * (place + 1), score) for place, score in enumerate(scores)]


@pytest.mark.parametrize(
    ("constant", "examples", "metric", "expected"),
    [
        (50.0, 100, "accuracy", 60.0),
        (0.0, 400, "matthews_correlation", 10.0),
        (0.0, 400, "pearson", 10.0),
        (0.0, 1900, "exact_match", 1.0),  # as if the share were 5 %: at 0 there would be no error
        (100.0, 1900, "accuracy", 101.0),
    ],
)
def test_two_standard_errors_are_above_the_constant(
    constant: float, examples: int, metric: str, expected: float
) -> None:
    assert threshold(constant, examples, metric) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("trials", "expected"),
    [
        ([flat(50, 61, 50, 62)], None),  # one high report is chance
        ([flat(50, 61, 62, 50)], 0.3),
        ([flat(50, 61, 60.0, 61)], None),  # above, not at
        ([flat(50, 61, NAN, 61)], None),
        ([flat(50, 50), flat(50, 61, 61), flat(61, 61)], 0.2),  # the first of them
        ([[], flat(70)], None),
        ([], None),
    ],
)
def test_a_search_takes_off_with_two_reports_running(trials: list[Reports], expected: float | None) -> None:
    assert take_off(trials, 100, 60.0) == expected


def test_confidence_grows_with_the_searches_that_had_taken_off() -> None:
    assert [confidence(share, (0.1, 0.2, 0.2)) for share in (0.05, 0.1, 0.2, 1.0)] == [0.0, 0.25, 0.75, 0.75]
    assert list(TAKE_OFFS) == sorted(TAKE_OFFS) and TAKE_OFFS[0] > 0 and TAKE_OFFS[-1] < 0.5
    assert confidence(TAKE_OFFS[-1]) >= CONFIDENCE > confidence(TAKE_OFFS[-1] / 2)


def test_it_is_late_where_enough_trials_are_far_enough() -> None:
    low = flat(50, 51, 49, 52, 50)
    assert lateness([low, low], planned=4, steps=100) == (0.4, confidence(0.4))
    assert lateness([low, []], planned=4, steps=100) is None  # three of four have not begun
    assert lateness([low[:3], low[:3]], planned=4, steps=100) is None  # too early
    assert lateness([], planned=0, steps=100) is None
    assert lateness([low], planned=1, steps=100, take_offs=(0.1, 0.4)) == (0.4, 2 / 3)
    assert lateness([low], planned=1, steps=100, take_offs=(0.1, 0.5)) is None


def test_a_search_of_few_reports_is_given_the_time_of_two() -> None:
    """One that is above from its first report on is so in two running at the second."""
    first = [(40, 50.0)]
    assert lateness([first], planned=1, steps=120) is None
    assert lateness([[*first, (80, 50.0)]], planned=1, steps=120) == (1 / 3, confidence(1 / 3))
