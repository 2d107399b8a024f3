"""Run a planned search from its first check to its table."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.console import Console

from orchestrator.plan.data import prepare_data
from orchestrator.plan.estimate import RowLengths, warnings
from orchestrator.plan.former_defaults import as_begun
from orchestrator.plan.places import to_keep
from orchestrator.plan.plan import Plan
from orchestrator.plan.precision import in_words
from orchestrator.plan.same_data import check_finished, check_prepared
from orchestrator.plan.search_folder import SearchFolder, checkpoints_of
from orchestrator.record import engines, provenance
from orchestrator.record.data_report import data_lines
from orchestrator.record.errors import LockError
from orchestrator.record.record import SearchRecord
from orchestrator.run.conclude import conclude, interrupted
from orchestrator.run.held import complete, held, take_up
from orchestrator.run.new_record import command_of, go_on, new_record, run_tags
from orchestrator.run.outlook import Outlook
from orchestrator.run.rerun import trials_to_rerun
from orchestrator.run.reuse import take_over_equal
from orchestrator.run.session import Session
from orchestrator.run.start import Running, start
from orchestrator.run.tracking import (
    close_tracking,
    complete_tracking,
    experiment_of,
    new_uid,
    open_tracker,
    start_tracking,
)
from orchestrator.store.checkpoints import remove_unfinished
from orchestrator.store.layout import ADAPTER, PAGE, TUNE
from orchestrator.store.lock import SearchLock
from orchestrator.store.log import followed
from orchestrator.store.predictions import kept_predictions
from orchestrator.store.twin_files import keep_record
from orchestrator.summarizer.page import write_search_page
from orchestrator.summarizer.summary import terminal, write_summary
from orchestrator.tracking.tracker import Tracker
from orchestrator.tune.progress import Progress
from orchestrator.uncollected import uncollected
from trials.errors import UserError

if TYPE_CHECKING:
    from trials.data import PreparedTask

log = logging.getLogger(__name__)

ANSWER = 2.0  # seconds in which engines say how much memory they have used


def run_search(
    plan: Plan,
    options: Mapping[str, str | None],
    console: Console,
    *,
    resume: bool = False,
    rerun: str | None = None,
    quiet: bool = False,
    debug: bool = False,
    session: Session | None = None,
) -> int:
    """Train, test the winner, write the summary.

    Args:
        plan: what to run.
        options: the command line's, kept for ``--resume``.
        resume: insist that there is something to resume; the same command goes on with it in any case.
        rerun: trials to be trained from the start (`orchestrator.run.rerun`), also of a finished search.
        session: of a process that runs several searches: its Ray stays up. None: the search has a Ray for itself, which
            ends with it.

    Returns:
        The exit code: 0, 1 where no trial got a score, 130 after Ctrl-C.

    Raises:
        UserError, TrackingError, JournalError: before anything has started.
    """

    plan = as_begun(plan, in_storage=True)
    take_up(plan)
    files = SearchFolder(plan.folder)
    record = files.previous(plan)
    plan = replace(plan, chosen=files.precision)
    again = trials_to_rerun(rerun, record)
    if record is not None and is_finished(plan, record) and not again:
        return show_finished(plan, files, record, console, session)
    if resume and not files.begun:
        raise UserError([f"--resume: {plan.folder} holds no search yet; leave --resume out to start it"])
    from orchestrator.tune import cluster

    if problems := cluster.problems():
        raise UserError(problems)
    if not quiet:
        announce(plan, console, record)
    with uncollected():
        data = prepare_data(plan)
    check_prepared(plan, record, files.data, data)
    plan = replace(plan, data=data.fingerprint)
    if not quiet:
        for line in data_lines(data.report):
            console.print(line)
        for warning in warnings(plan, lengths=RowLengths.of(data)):
            log.info(warning)
    with held(plan) as lock, Session(alone=True) if session is None else nullcontext(session) as shared:
        how: dict[str, Any] = {"session": shared, "rerun": again, "quiet": quiet, "debug": debug}
        record = files.previous(plan)  # another process may have ended since
        check_prepared(plan, record, files.data, data)
        plan = replace(plan, chosen=files.precision)
        running = Running(plan=plan, options=options, files=files, console=console, **how)
        return run_alone(running, record, data, lock)


def show_finished(
    plan: Plan, files: SearchFolder, record: SearchRecord, console: Console, session: Session | None
) -> int:
    """Write and show the tables of a search that is over, and what MLflow and a storage may lack of it."""
    if note := check_finished(plan, record, files.data):
        log.info(note)
    console.print(f"search {plan.name} is finished; another --name runs it again")
    with suppress(LockError), SearchLock(plan.folder, plan.name):  # a kill may have come as this was written
        remove_unfinished(files.folder)
    if record.adapter:
        record.adapter = str(files.folder / ADAPTER)  # the folder may have moved
    written = [*write_summary(record, files.folder), write_search_page(record, files.folder / PAGE)]
    terminal(record, console)
    artifacts = [*written, *kept_predictions(record, files.folder), files.record]
    tags, sweep_run = run_tags(plan, record, provenance.collect()), session.sweep_run if session else None
    complete_tracking(plan, record, console, plan.parameters, tags, artifacts, sweep_run)
    complete(plan)
    return 0


def run_alone(running: Running, record: SearchRecord | None, data: PreparedTask, lock: SearchLock) -> int:
    """`run_search` from where it starts to write, with the folder for itself."""
    plan, files, options = running.plan, running.files, running.options
    sweep_run = running.session.sweep_run
    experiment = experiment_of(plan, record, sweep_run)
    begun = files.begun or sweep_run is not None  # the store has answered when the sweep began
    with uncollected():
        running, tracker, away = start(running, partial(open_tracker, plan, begun, record, experiment))
    plan = running.plan
    remove_unfinished(files.folder)
    for note in (*files.damage, away):
        if note:
            log.info(note)
    process = provenance.collect(command_of(options))
    with tracker:
        if record is None:
            record = new_record(plan, data, process)
            record.experiment = "" if experiment == plan.task.name else experiment
        else:
            record.data_report = record.data_report or data.report.as_dict()
            go_on(plan, options, record, data)
        record.uid = record.uid or files.uid or new_uid(files.folder)
        record.tracking_uri = tracker.store.shown
        files.begin(plan, to_keep(options), record, data.identity)
        tags = run_tags(plan, record, process)
        start_tracking(plan, record, tracker, plan.parameters, tags, sweep_run)
        with followed(files.folder, running.console) as console:
            code = train_and_test(replace(running, console=console), record, tracker, tags, lock)
        close_tracking(plan, tracker, running.console)
    return code


def is_finished(plan: Plan, record: SearchRecord) -> bool:
    """Whether the winner is known and tested, for as many seeds and candidates as are asked for now."""
    wanted = {"seeds": plan.settings.seeds, "top": plan.settings.top}
    return record.test is not None and all(value <= record.settings.get(key, 1) for key, value in wanted.items())


def announce(plan: Plan, console: Console, record: SearchRecord | None) -> None:
    """Say what is about to happen."""
    console.print(
        f"{'Resuming' if record else 'Search'} {plan.name}: {plan.settings.method} on {plan.facts.name}, task "
        f"{plan.task.title}, {plan.count} trials of {plan.training.steps:,} steps"
    )
    console.print(plan.lane, highlight=False)
    console.print(in_words(plan), highlight=False)
    for note in plan.notes:
        log.info(note)


def train_and_test(
    running: Running, record: SearchRecord, tracker: Tracker, tags: Mapping[str, str], lock: SearchLock
) -> int:
    """Everything that needs Ray."""
    import ray

    plan, files, console = running.plan, running.files, running.console
    session = running.session
    started, before = time.monotonic(), record.wall_seconds
    shown: dict[str, Any] = {"expected_end": plan.expected_end, "headline": session.headline}
    progress = Progress(plan.count, plan.steps, record.metric, console, running.quiet, **shown)

    outlook = Outlook(plan)

    def keep() -> None:
        lock.check()
        record.wall_seconds = before + time.monotonic() - started
        keep_record(record, files.record)
        tracker.put(record)
        outlook.look(record)

    try:
        with progress:
            from orchestrator.tune import runner

            lock.note_cluster(ray.get_runtime_context().gcs_address)
            place = checkpoints_of(plan)
            more: dict[str, Any] = {"rerun": running.rerun, "checkpoints": place}
            if not session.alone:
                more["kept"] = session.engines
            if plan.settings.reuse and not tracker.store.connected:
                log.info("--reuse: MLflow does not answer, so that no trials are taken over")
            elif plan.settings.reuse:
                more["reuse"] = partial(take_over_equal, tracker.store, plan.parameters, tags, place)
            search = runner.Search(plan, files.folder / TUNE, progress, record, keep, **more)
            try:
                search.fit()
                progress.close()
                record.engines = engines.noted(list(search.pool.facts_now(ANSWER).values()), record.engines)
                keep()
                if search.open:
                    return interrupted(plan, record, tracker, console)
                return conclude(plan, files, record, tracker, console, keep, search.test)
            finally:
                if not (session.alone and session.has_own_ray):
                    search.pool.close()
    finally:
        progress.close()
        if session.alone:
            session.close()
