"""Options as a whole: every wrong value at once, with its rule."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.plan.read_settings import read_settings


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"steps": "many"}, "--steps many: must be a whole number"),
        ({"steps": "0"}, "--steps 0: must be greater than 0"),
        ({"steps": "1.5"}, "--steps 1.5: must be a whole number"),
        ({"reduction_factor": "1"}, "--reduction-factor 1: must be at least 2"),
        ({"seed": "-1"}, "--seed -1: must be at least 0"),
        ({"recipe": "papr"}, "--recipe papr: must be one of released_code, paper (did you mean 'paper'?)"),
        (
            {"scheduler": "hyperband"},
            "--scheduler hyperband: must be one of promotion, asha, freeze-thaw, median, none",
        ),
        ({"seeds": "0"}, "--seeds 0: must be greater than 0"),
        ({"top": "3"}, "--top 3: configurations are compared over seeds; add --seeds"),
        ({"warm_start": "yes"}, "--warm-start: grid learns nothing from earlier searches; add --searcher tpe or gp"),
        ({"searcher": "tpe", "samples": "8", "reuse": "yes"}, "--reuse: tpe has no list of trials"),
        ({"searcher": "gp", "samples": "8", "deterministic": "yes"}, "--deterministic: what gp suggests depends"),
        (
            {"scheduler": "none", "grace_period": "50"},
            "--grace-period 50: --scheduler none has no use for it; leave it out",
        ),
        (
            {"scheduler": "median", "reduction_factor": "4"},
            "--reduction-factor 4: --scheduler median has no use for it; leave it out",
        ),
        ({"rank_by": "los"}, "--rank-by los: must be one of score, loss (did you mean 'loss'?)"),
        (
            {"rank_by": "loss", "ties": "loss"},
            "--ties loss: trials that are compared by their losses hardly ever tie; leave it out, or take "
            "--rank-by score",
        ),
        ({"ties": "los"}, "--ties los: must be one of keep, loss (did you mean 'loss'?)"),
        ({"scheduler": "median", "ties": "loss"}, "--ties loss: --scheduler median has no use for it; leave it out"),
        ({"searcher": "randm"}, "did you mean 'random'?"),
        (
            {"precision": "bf16"},
            "--precision bf16: must be one of float32, float32-exact, bfloat16, auto (did you mean 'bfloat16'?)",
        ),
        ({"memory_limit": "0"}, "--memory-limit 0: must be greater than 0"),
        ({"memory_limit": "8GB"}, "--memory-limit 8GB: must be a number"),
        ({"memory_limit": "inf"}, "--memory-limit inf: must be a finite number"),
        ({"scheduler": "freeze-thaw", "stop_chance": "2"}, "--stop-chance 2: must be less than 1"),
        ({"slots": "auto"}, "--slots auto: must be a whole number"),
        ({"name": "../escape"}, "--name ../escape: may hold letters, digits"),
        ({"searcher": "tpe"}, "--searcher tpe: say how many configurations to draw, e.g. --samples 8"),
        ({"searcher": "random"}, "e.g. --samples 8"),
        ({"price": "cheap"}, "--price cheap: must be a number"),
    ],
)
def test_a_wrong_value_is_named_with_its_rule(options: dict[str, Any], expected: str) -> None:
    _, problems = read_settings(options)
    assert len(problems) == 1
    assert expected in problems[0]


def test_all_wrong_values_come_at_once_and_the_right_ones_are_kept() -> None:
    settings, problems = read_settings(
        {"steps": "x", "reduction_factor": "0", "recipe": "none", "task": "rte", "slots": "4"}
    )
    assert len(problems) == 3
    assert (settings.task, settings.slots, settings.steps) == ("rte", 4, None)


def test_what_is_not_given_keeps_its_default() -> None:
    settings, problems = read_settings({"task": None, "steps": None})
    assert not problems
    assert (settings.task, settings.recipe, settings.seed, settings.scheduler) == (
        "debsec",
        "released_code",
        42,
        "promotion",
    )
