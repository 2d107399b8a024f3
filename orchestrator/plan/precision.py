"""The precision of a planned search: as asked for, as the search was begun in before, and in words."""

from __future__ import annotations

from orchestrator.plan.plan import Plan
from orchestrator.plan.settings import AUTO


def is_given(plan: Plan) -> bool:
    """Whether a precision was asked for."""
    return "precision" in plan.settings.model_fields_set


def is_measured(plan: Plan) -> bool:
    """Whether its hosts say which precision the search is in."""
    return plan.settings.precision == AUTO and not without_measuring(plan)


def in_words(plan: Plan) -> str:
    """The precision of a search and where it comes from."""
    asked = plan.settings.precision
    if asked != AUTO:
        way = "with another --name begins" if plan.settings.name else "begins"
        kept = "" if is_given(plan) else f", in which this search was begun (--precision auto {way} another one)"
        return f"precision: {asked}{kept}"
    if plan.chosen:
        return f"precision: {plan.chosen}, which --precision auto chose when this search began"
    return f"precision: auto, {without_measuring(plan) or 'found out when the search begins'}"


def without_measuring(plan: Plan) -> str:
    """Why auto is float32 for a search whatever its hosts are; empty where it is for them to say."""
    if plan.settings.deterministic:
        return "float32, since what a clock decides is not repeatable as --deterministic wants it"
    return ""
