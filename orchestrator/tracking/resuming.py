"""What a resumed search finds of itself in a store, and what of it was deleted there meanwhile."""

from __future__ import annotations

from orchestrator.tracking.runs import Runs, TrialRun
from orchestrator.tracking.spool import SEARCH, Spool


def known_parent(runs: Runs, spool: Spool, store: str, name: str) -> str | None:
    """The run of the search that is resumed; None where it was deleted, or never made in this store.

    Args:
        store: as people are shown it.
    """
    known = spool.runs.get(SEARCH) if spool.store == store else None
    if known is not None:
        return None if runs.is_gone(known) else known
    found = runs.search(name)
    return None if found is None else found.info.run_id


def lost(runs: Runs, spool: Spool) -> set[str]:
    """The keys of runs that were made and that the store has not got any more."""
    parent = spool.runs[SEARCH]
    if runs.is_gone(parent):
        return set(spool.runs)
    there = {run.info.run_id for run in runs.trials(parent)}
    return {key for key, run_id in spool.runs.items() if key != SEARCH and run_id not in there}


def take_up(runs: Runs, spool: Spool, store: str, parent: str) -> tuple[list[TrialRun], list[str]]:
    """The trials as they will be when what was left in the spool is delivered.

    Of one whose run was deleted nothing counts as told: its record is told again, in a new run. Where the search's own
    run was deleted, the trials' runs are put below the new one.

    Returns:
        The trials, and what a user should hear, a sentence each.
    """
    said = []
    former = spool.runs.get(SEARCH) if spool.store == store else None
    gone: set[str] = set()
    if former == parent:
        gone = lost(runs, spool)
    elif former is not None:
        runs.adopt(former, parent)
        said.append("the run of the search was deleted in MLflow: it has a new one")
    spool.search_started(store, parent)
    for key in gone:
        spool.unmade(key)
    by_key: dict[str, TrialRun] = {}
    for run in reversed(runs.trials(parent)):  # should there be two of a trial, the first one counts
        known = TrialRun.found(run)
        if spool.runs.get(known.key, run.info.run_id) == run.info.run_id:
            by_key[known.key] = known
            spool.made(known.key, run.info.run_id)
    gone -= by_key.keys()
    if gone:
        said.append(f"deleted in MLflow: {', '.join(sorted(gone))}. What is known of them is told again, in new runs")
    if former != parent:  # of this run nothing was told that waits, but of those that are below it now
        gone = {operation.run for operation in spool.pending} - by_key.keys()
    spool.drop(gone)
    for operation in spool.pending:
        if operation.kind == "delete":
            by_key.pop(operation.run, None)
        if operation.run not in by_key and operation.kind == "start" and operation.run != SEARCH:
            by_key[operation.run] = TrialRun.planned(operation)
        if operation.run in by_key:
            by_key[operation.run].will_hear(operation)
    return list(by_key.values()), said


def trials_told(spool: Spool) -> list[TrialRun]:
    """The trials as they will be when the store is back: the spool alone knows all that was told of them."""
    by_key: dict[str, TrialRun] = {}
    for operation in spool.told():
        if operation.kind == "start" and operation.run not in (SEARCH, *by_key):
            by_key[operation.run] = TrialRun.planned(operation)
        elif operation.run in by_key:
            by_key[operation.run].will_hear(operation)
    return list(by_key.values())
