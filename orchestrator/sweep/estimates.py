"""What a sweep's searches will take on this machine, and whether its time limit leaves room for any of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from orchestrator.plan.estimate import Device, engines_needed, estimate, local_device, roughly
from orchestrator.plan.plan import Plan
from orchestrator.sweep.expand import PlannedSearch
from orchestrator.sweep.sweep_keys import SweepKeys
from yaml_reader import Document


@cache
def device() -> Device:
    """This machine's device; its rate is measured once."""
    return local_device()


def engines(plan: Plan) -> int:
    """Devices of this machine that a search finds work for."""
    count = plan.settings.devices or device().count
    return engines_needed(count, plan.samples, plan.slots, plan.max_concurrent)


def estimated_seconds(plan: Plan) -> float:
    """What a search will train for here, at least: without evaluations and what else a start takes."""
    return estimate(plan, device()).expected_seconds / engines(plan)


def check_time_limit(sweep: SweepKeys, searches: Sequence[PlannedSearch], document: Document) -> None:
    """Report a limit in which no search has room, were there no other."""
    if sweep.time_limit is None or not searches:
        return
    shortest = min(searches, key=lambda search: estimated_seconds(search.plan))
    seconds = estimated_seconds(shortest.plan)
    if seconds > sweep.time_limit:
        document.report(
            ("time_limit",),
            f"{roughly(sweep.time_limit)} is shorter than the shortest search would take on this machine "
            f"({shortest.key}: about {roughly(seconds)}); give it more time, or fewer samples or steps",
        )
