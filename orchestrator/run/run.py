"""Run a planned search from its first check to its table."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.console import Console

from orchestrator.command_lines import PROGRAM
from orchestrator.plan.data import prepare_data
from orchestrator.plan.estimate import warnings
from orchestrator.plan.places import to_keep
from orchestrator.plan.plan import Plan
from orchestrator.plan.same_data import check_finished, check_prepared
from orchestrator.plan.search_folder import SearchFolder, checkpoints_of
from orchestrator.plan.settings import as_arguments
from orchestrator.record import provenance
from orchestrator.record.data_report import data_lines
from orchestrator.record.errors import LockError
from orchestrator.record.kept_data import identity, kept_of
from orchestrator.record.record import STARTED, SearchRecord
from orchestrator.record.secrecy import shown_command
from orchestrator.run.conclude import conclude, interrupted
from orchestrator.run.held import complete, held, take_up
from orchestrator.run.rerun import trials_to_rerun
from orchestrator.run.reuse import take_over_equal
from orchestrator.run.tracking import close_tracking, complete_tracking, new_uid, open_tracker, start_tracking
from orchestrator.store.checkpoints import remove_unfinished
from orchestrator.store.layout import ADAPTER, PAGE, TUNE
from orchestrator.store.lock import SearchLock
from orchestrator.store.log import followed
from orchestrator.store.predictions import kept_predictions
from orchestrator.store.twin_files import keep_record
from orchestrator.summarizer.page import write_search_page
from orchestrator.summarizer.results.published import comparison
from orchestrator.summarizer.summary import terminal, write_summary
from orchestrator.tracking.tracker import Tracker
from orchestrator.tune.progress import Progress
from trials.errors import UserError

if TYPE_CHECKING:
    from trials.data import PreparedTask

log = logging.getLogger(__name__)


def run_search(
    plan: Plan,
    options: Mapping[str, str | None],
    console: Console,
    *,
    resume: bool = False,
    rerun: str | None = None,
    quiet: bool = False,
    debug: bool = False,
) -> int:
    """Train, test the winner, write the summary.

    Args:
        plan: what to run.
        options: the command line's, kept for ``--resume``.
        resume: insist that there is something to resume; the same command goes on with it in any case.
        rerun: trials to be trained from the start (`orchestrator.run.rerun`), also of a finished search.

    Returns:
        The exit code: 0, 1 where no trial got a score, 130 after Ctrl-C.

    Raises:
        UserError, TrackingError, JournalError: before anything has started.
    """

    take_up(plan)
    files = SearchFolder(plan.folder)
    record = files.previous(plan)
    again = trials_to_rerun(rerun, record)
    if record is not None and is_finished(plan, record) and not again:
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
        complete_tracking(plan, record, console, plan.parameters, run_tags(plan, record), artifacts)
        complete(plan)
        return 0
    if resume and not files.begun:
        raise UserError([f"--resume: {plan.folder} holds no search yet; leave --resume out to start it"])
    from orchestrator.tune import cluster

    if problems := cluster.problems():
        raise UserError(problems)
    if not quiet:
        announce(plan, console, record)
    data = prepare_data(plan)
    check_prepared(plan, record, files.data, data)
    plan = replace(plan, data=data.fingerprint)
    if not quiet:
        for line in data_lines(data.report):
            console.print(line)
    with held(plan) as lock:
        record = files.previous(plan)  # another process may have ended since
        check_prepared(plan, record, files.data, data)
        return run_alone(plan, options, files, record, data, console, lock, rerun=again, quiet=quiet, debug=debug)


def run_alone(
    plan: Plan,
    options: Mapping[str, str | None],
    files: SearchFolder,
    record: SearchRecord | None,
    data: PreparedTask,
    console: Console,
    lock: SearchLock,
    *,
    rerun: Collection[int],
    quiet: bool,
    debug: bool,
) -> int:
    """`run_search` from where it starts to write, with the folder for itself."""
    tracker, away = open_tracker(plan, files.begun, record)
    remove_unfinished(files.folder)

    for note in (*files.damage, away):
        if note:
            log.info(note)
    with tracker:
        if record is None:
            record = new_record(plan, data, options)
        else:
            record.data_report = record.data_report or data.report.as_dict()
            go_on(plan, options, record, data)
        record.uid = record.uid or files.uid or new_uid(files.folder)
        record.tracking_uri = tracker.store.shown
        files.begin(plan, to_keep(options), record, data.identity)
        start_tracking(plan, record, tracker, plan.parameters, run_tags(plan, record))
        with followed(files.folder, console) as said:
            code = train_and_test(plan, files, record, tracker, said, lock, rerun=rerun, quiet=quiet, debug=debug)
        close_tracking(plan, tracker, console)
    return code


def is_finished(plan: Plan, record: SearchRecord) -> bool:
    """Whether the winner is known and tested, for as many seeds and candidates as are asked for now."""
    wanted = {"seeds": plan.settings.seeds, "top": plan.settings.top}
    return record.test is not None and all(value <= record.settings.get(key, 1) for key, value in wanted.items())


def go_on(plan: Plan, options: Mapping[str, str | None], record: SearchRecord, data: PreparedTask) -> None:
    """Take a search up as it is asked for now: perhaps with more seeds than before, though it was finished then."""
    record.test, record.seed_tests = None, []
    record.settings = plan.recorded
    record.provenance["command"] = shown_command(command_of(options))  # its things may have moved
    record.provenance |= kept_of(data.identity)  # an earlier version kept less of it


def announce(plan: Plan, console: Console, record: SearchRecord | None) -> None:
    """Say what is about to happen."""
    console.print(
        f"{'Resuming' if record else 'Search'} {plan.name}: {plan.settings.method} on {plan.facts.name}, task "
        f"{plan.task.title}, {plan.count} trials of {plan.training.steps:,} steps"
    )
    console.print(plan.lane, highlight=False)
    for note in [*plan.notes, *warnings(plan)]:
        log.info(note)


def run_tags(plan: Plan, record: SearchRecord) -> dict[str, str]:
    """What else is worth knowing about each run."""
    from trials.data import SPLIT_SEED

    return {
        "recipe": plan.settings.recipe,
        "seed": str(plan.settings.seed),
        "split_seed": str(SPLIT_SEED),
        "data_fingerprint": identity(record).fingerprint,
        "rows_fingerprint": identity(record).rows,
        "backbone_revision": plan.facts.revision,
        "options": json.dumps(plan.repeatable),
        **provenance.collect(),
        **{key: record.provenance[key] for key in ("command",) if key in record.provenance},
    }


def new_record(plan: Plan, data: PreparedTask, options: Mapping[str, str | None]) -> SearchRecord:
    """The record of a search before its first trial; with the command that asks for it in any folder."""
    facts = {
        STARTED: datetime.now(UTC).isoformat(timespec="seconds"),
        **kept_of(data.identity),
        "backbone revision": plan.facts.revision,
        "space": plan.space.name,
        "search": plan.settings.searcher,
        "slots": str(plan.slots or "auto"),
        "template": plan.task.template,
        **provenance.collect(command_of(options)),
    }
    rows = comparison(plan.task.published_as or plan.task.name, plan.settings.method)
    return SearchRecord(
        name=plan.name,
        task=plan.task.name,
        title=plan.task.title,
        method=plan.settings.method,
        backbone=plan.facts.name,
        recipe=plan.settings.recipe,
        metric=plan.task.selection_metric,
        settings=plan.recorded,
        parameters={trial.number: trial.parameters for trial in plan.trials},
        sizes={str(split): n for split, n in data.examples.items()},
        majority=data.majority(),
        data_report=data.report.as_dict(),
        provenance=facts,
        published=[asdict(row) for row in rows],
    )


def command_of(options: Mapping[str, str | None]) -> list[str]:
    """The command that asks for a search with these options, in any folder."""
    return [PROGRAM, "search", *as_arguments(to_keep(options))]


def train_and_test(
    plan: Plan,
    files: SearchFolder,
    record: SearchRecord,
    tracker: Tracker,
    console: Console,
    lock: SearchLock,
    *,
    rerun: Collection[int],
    quiet: bool,
    debug: bool,
) -> int:
    """Everything that needs Ray."""
    import ray

    from orchestrator.tune import cluster, runner

    started = time.monotonic()
    before = record.wall_seconds
    progress = Progress(plan.count, plan.steps, record.metric, console, quiet, expected_end=plan.expected_end)

    def keep() -> None:
        lock.check()
        record.wall_seconds = before + time.monotonic() - started
        keep_record(record, files.record)
        tracker.put(record)

    try:
        with progress:
            cluster.connect(debug, log.info)
            lock.note_cluster(ray.get_runtime_context().gcs_address)
            place = checkpoints_of(plan)
            more: dict[str, Any] = {"rerun": rerun, "checkpoints": place}
            if plan.settings.reuse and not tracker.store.connected:
                log.info("--reuse: MLflow does not answer, so that no trials are taken over")
            elif plan.settings.reuse:
                more["reuse"] = partial(take_over_equal, tracker.store, plan.parameters, run_tags(plan, record), place)
            search = runner.Search(plan, files.folder / TUNE, progress, record, keep, **more)
            search.fit()
            progress.close()
            keep()
            if search.open:
                return interrupted(plan, record, tracker, console)
            return conclude(plan, files, record, tracker, console, keep, search.test)
    finally:
        progress.close()
        ray.shutdown()
