"""The descriptions that MLflow shows on a run's page, in Markdown, and the values beside them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from numbers import Real
from typing import Any

from orchestrator.record import formats

_SPARE = re.compile(r"[^\w./: -]")


def key(name: str) -> str:
    """The name of a metric, parameter or tag in the characters that MLflow takes."""
    return _SPARE.sub("_", name)


def text(value: Any) -> str:
    """A parameter or tag: every digit of a number is kept, since a run must be repeatable from it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Parameters or tags as MLflow takes them."""
    return {key(name): text(value) for name, value in values.items()}


def finite_numbers(report: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a report that a chart can hold: no text, no truth values, no NaN, no infinities."""
    numbers = {
        key(name): float(value)
        for name, value in report.items()
        if isinstance(value, Real) and not isinstance(value, bool)  # NumPy's numbers are Real too
    }
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def search_note(name: str, params: Mapping[str, Any]) -> str:
    """The description of a search that runs."""
    return f"{_headline(name, params)}. It runs; its trials are the runs nested below it."


def search_end_note(
    name: str, params: Mapping[str, Any], winner: Mapping[str, Any], status: str, headline: str = ""
) -> str:
    """The description of a search that ended; its figures stand right below it, so it does not repeat them."""
    found = f" Winner: {_settings(winner)}." if winner else ""
    first = f"{formats.markdown(headline)}\n\n" if headline else ""
    return f"{first}{_headline(name, params)}: **{status}**.{found}"


def trial_note(number: int, search: str, configuration: Mapping[str, Any]) -> str:
    """The description of a trial that runs."""
    return f"Trial {number} of {formats.markdown(search)}: {_settings(configuration)}"


def trial_end_note(note: str, status: str, reason: str, best: tuple[float, int] | None, adapter: bool) -> str:
    """The description of a trial that ended, after the one that it had while it ran."""
    why = f" ({formats.markdown(reason)})" if reason else ""
    sentences = [f"**{status.capitalize()}**{why}."]
    if best is not None:
        sentences.append(f"Best validation score {formats.score(best[0])} at step {best[1]:,}.")
    if adapter:
        sentences.append("The adapter of that step is under Artifacts, in `adapter/`.")
    return f"{note}\n\n{' '.join(sentences)}"


def _headline(name: str, params: Mapping[str, Any]) -> str:
    facts = [("method", "of **{}**"), ("task", "on the task **{}**"), ("backbone", "with the backbone **{}**")]
    known = [form.format(formats.markdown(str(params[fact]))) for fact, form in facts if params.get(fact)]
    return " ".join([f"Search **{formats.markdown(name)}**", *known])


def _settings(things: Mapping[str, Any]) -> str:
    return ", ".join(f"{formats.markdown(name)} **{formats.markdown(formats.value(v))}**" for name, v in things.items())
