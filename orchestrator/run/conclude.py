"""The end of a search: the winner, its test, its table; or what to do after Ctrl-C."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any

from rich.console import Console

from orchestrator.command_lines import resume_command
from orchestrator.console import INTERRUPTED
from orchestrator.plan.plan import Plan
from orchestrator.plan.search_folder import SearchFolder, checkpoints_of
from orchestrator.record.record import RECORD, SearchRecord, TestResult, TrialRecord
from orchestrator.record.selection import choose_winner
from orchestrator.record.status import TrialStatus
from orchestrator.run.tracking import end_of
from orchestrator.store.checkpoints import adapter_files, write_files
from orchestrator.store.layout import ADAPTER, PAGE, TUNE, shown_path
from orchestrator.store.predictions import kept_predictions, write_predictions
from orchestrator.summarizer.page import write_search_page
from orchestrator.summarizer.summary import terminal, write_summary
from orchestrator.tracking.tracker import End, Tracker
from trials.export.files import name_backbone

LIBRARIES = ("scipy.stats", "matplotlib.figure", "optuna.importance")
"""What tables and charts want: seconds of imports."""


def interrupted(plan: Plan, record: SearchRecord, tracker: Tracker, console: Console) -> int:
    """Ctrl-C: everything is kept; say how to go on."""
    ended = sum(trial.status.is_over for trial in record.trials)
    figures = {"steps_trained": sum(t.step for t in record.trials)}
    tracker.end(record, End(status=TrialStatus.INTERRUPTED, figures=figures, artifacts=[plan.folder / RECORD]))
    console.print(
        f"interrupted: {ended} of {plan.count} trials are done and kept. Go on with the "
        f"same command, or: {resume_command(plan.name, plan.settings.output, plan.settings.storage)}",
        soft_wrap=True,
    )
    return INTERRUPTED


def conclude(
    plan: Plan,
    files: SearchFolder,
    record: SearchRecord,
    tracker: Tracker,
    console: Console,
    keep: Callable[[], None],
    test: Callable[[dict[str, bytes]], dict[str, Any]],
) -> int:
    """Choose the winner by validation, test it once, write everything down."""
    choice = choose_winner(record)
    if choice.winner is not None:
        folder = files.folder / ADAPTER
        place = checkpoints_of(plan)
        write_files(folder, adapter_files(place, choice.winner.number, choice.winner.best_step or 0))
        name_backbone(folder, plan.spec.backbone)  # it may have moved since the adapter was written
        record.adapter = str(folder)
        threading.Thread(target=import_libraries, daemon=True).start()  # this process waits for an engine meanwhile
        scores = [test(adapter_files(place, trial.number, trial.best_step or 0)) for trial in choice.seeds]
        tested = [test_of(trial, record.metric, found) for trial, found in zip(choice.seeds, scores, strict=True)]
        rows = [(trial, found.get("rows", {})) for trial, found in zip(choice.seeds, scores, strict=True)]
        write_predictions(record, files.folder, rows)  # before the record that names the file
        record.test, record.seed_tests = tested[0], tested[1:]
    keep()
    written = write_summary(record, files.folder, choice)
    written.append(write_search_page(record, files.folder / PAGE, choice))
    winner = choice.winner
    artifacts = [*written, *kept_predictions(record, files.folder), files.record]
    tracker.end(record, end_of(plan, record, artifacts))
    terminal(record, console, choice)
    console.print(f"Summary: {shown_path(written[0])}, {shown_path(written[1])}, {shown_path(written[-1])}")
    address = "" if tracker.store.is_server else f", then open http://127.0.0.1:5000{tracker.page}"
    console.print(f"Compare the trials: {tracker.ui_url_hint()}{address}", soft_wrap=True)
    failures = [trial for trial in record.trials if trial.status is TrialStatus.FAILED]
    for trial in failures[:3]:
        console.print(f"trial {trial.number} failed: {trial.error}")
    if failures:
        console.print(f"error files: {shown_path(files.folder / TUNE)}")
    return 0 if winner else 1


def import_libraries() -> None:
    """Import what the summary is about to."""
    for name in LIBRARIES:
        with suppress(Exception):  # the summary says what is missing
            import_module(name)


def test_of(trial: TrialRecord, metric: str, scores: Mapping[str, Any]) -> TestResult:
    """A trial's test scores (`engines.test_scores`) as the record keeps them."""
    return TestResult(
        trial_number=trial.number,
        score=scores["metrics"][metric],
        metrics=scores["metrics"],
        n=scores["n"],
        one_example=scores["one_example"],
        step=trial.best_step or 0,
    )
