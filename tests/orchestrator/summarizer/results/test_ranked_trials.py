"""What differs between the configurations of a search, and what does not."""

from __future__ import annotations

from orchestrator.summarizer.results.ranked_trials import split_configuration
from tests.orchestrator.made_records import make_trial


def test_a_value_of_nothing_is_as_good_as_none() -> None:
    """Configurations of several grids need not have the same names."""
    trials = [make_trial(number, [50.0]) for number in (1, 2)]
    trials[0].configuration = {"prompt_lr": 0.3}
    trials[1].configuration = {"prompt_lr": 0.5, "target_modules": None}
    assert split_configuration(trials) == (["prompt_lr"], {"target_modules": None})
