"""Checks raw options against the rules of their list, and whether they go together: all that is wrong at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from orchestrator.command_lines import flag
from orchestrator.plan.settings import LEARNING, SearchSettings
from yaml_reader.names import shortened

RULES = {
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "finite_number": "must be a finite number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be yes or no",
    "string_pattern_mismatch": "may hold letters, digits, '.', '_' and '-' (100 at most), a letter or digit first",
    "extra_forbidden": "this version has no such option",
}


def read_settings(
    options: Mapping[str, Any], model: type[SearchSettings] = SearchSettings
) -> tuple[SearchSettings, list[str]]:
    """Check raw options (None: not given) against the rules of their list.

    Returns:
        The settings, with its default in the place of each wrong value, and what is wrong, one sentence each, so that
        a caller can find out what else is wrong before it refuses.
    """
    given = {key: value for key, value in options.items() if value is not None}
    problems = faults(given, model)
    sentences = [f"{flag(key)} {shortened(str(given[key]))}: {rule}" for key, rule in problems.items()]
    checked = model.model_validate({k: v for k, v in given.items() if k not in problems})
    return checked, sentences + contradictions(checked, given)


def faults(given: Mapping[str, Any], model: type[SearchSettings] = SearchSettings) -> dict[str, str]:
    """What is wrong with the value of each option by itself: the rule that it breaks, by the option's name."""
    try:
        model.model_validate(given)
    except ValidationError as error:
        return {
            str(fault["loc"][0]): RULES.get(fault["type"], fault["msg"]).format(**fault.get("ctx", {}))
            for fault in error.errors()
        }
    return {}


def contradictions(settings: SearchSettings, given: Mapping[str, Any]) -> list[str]:
    """What does not go together, though each value is right by itself: a sentence each."""
    searcher, learns = settings.searcher, settings.searcher in LEARNING
    rules = {
        f"--searcher {searcher}: say how many configurations to draw, e.g. --samples 8": searcher != "grid"
        and "samples" not in given,
        f"--warm-start: {searcher} learns nothing from earlier searches; add --searcher tpe or gp": settings.warm_start
        and not learns,
        f"--reuse: {searcher} has no list of trials to look for beforehand; use --warm-start with it": settings.reuse
        and learns,
        f"--deterministic: what {searcher} suggests depends on the order of the reports; add --max-concurrent 1": learns
        and settings.deterministic
        and settings.max_concurrent != 1,
        f"--top {settings.top}: configurations are compared over seeds; add --seeds, e.g. --seeds 3": settings.top > 1
        and settings.seeds == 1,
        f"--ties {settings.ties}: trials that are compared by their losses hardly ever tie; leave it out, or take "
        "--rank-by score": settings.rank_by == "loss" and settings.ties != "keep",
    }
    unused = (
        key
        for key, option in settings.options().items()
        if key in given and option.schedulers and settings.scheduler not in option.schedulers
    )
    return [sentence for sentence, broken in rules.items() if broken] + [
        f"{flag(key)} {given[key]}: --scheduler {settings.scheduler} has no use for it; leave it out" for key in unused
    ]
