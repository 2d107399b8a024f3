"""What a search starts before anything of it is written: its store in MLflow, a Ray, and its precision."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING

from rich.console import Console

from orchestrator.plan.plan import Plan
from orchestrator.plan.precision import is_measured, without_measuring
from orchestrator.plan.search_folder import SearchFolder
from orchestrator.plan.settings import AUTO
from orchestrator.run.session import Session
from trials.errors import UserError

if TYPE_CHECKING:
    from orchestrator.tracking.tracker import Tracker

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Running:
    """A search as this process runs it.

    Attributes:
        options: the command line's, kept for ``--resume``.
        session: what it shares with other searches, or has for itself.
        rerun: numbers of trials to be trained from the start.
        quiet: show no more than warnings and results. debug: show Ray's own messages, too.
    """

    plan: Plan
    options: Mapping[str, str | None]
    files: SearchFolder
    console: Console
    session: Session
    rerun: Collection[int] = ()
    quiet: bool = False
    debug: bool = False


def start(running: Running, open_tracker: Callable[[], tuple[Tracker, str]]) -> tuple[Running, Tracker, str]:
    """Open the store while a Ray is started, and decide on the precision.

    Returns:
        The search with its precision, and what `open_tracker` has returned.

    Raises:
        TrackingError: the store cannot be used. UserError: there is no Ray to be had.
    """
    _answer_early(running)
    beside = ThreadPoolExecutor(1)
    try:
        # Not Ray beside the imports: its processes end with the thread that has started them.
        opening = beside.submit(open_tracker)
        beside.submit(import_module, "orchestrator.tune.runner")
        try:
            running.session.connect(running.debug)
        except UserError:
            opening.result()  # a store that cannot be used is named before a Ray that is not to be had
            raise
        tracker, away = opening.result()
    finally:
        beside.shutdown(wait=False)
    return decided(running), tracker, away


def decided(running: Running) -> Running:
    """The search with a precision: ``auto`` is decided on before anything of it is written, once and for all."""
    plan = running.plan
    if plan.settings.precision != AUTO or plan.chosen:
        return running
    if why := without_measuring(plan):
        log.info(f"--precision auto: {why}")
        return replace(running, plan=replace(plan, chosen="float32"))
    from orchestrator.engines.fastest_precision import chosen_precision

    chosen, why = chosen_precision(plan)
    log.info(f"--precision auto: {why}")
    return replace(running, plan=replace(plan, chosen=chosen))


def _answer_early(running: Running) -> None:
    """Have this host find out about its precision beside Ray's start, where that Ray is to be its own."""
    import ray

    from orchestrator.engines.fastest_precision import ask_here_early
    from orchestrator.tune import cluster

    plan = running.plan
    if is_measured(plan) and not plan.chosen and cluster.is_own() and not ray.is_initialized():
        ask_here_early(plan)
