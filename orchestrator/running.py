"""Run a planned search from its first check to its table."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from orchestrator import provenance
from orchestrator.checkpoint_files import adapter_files
from orchestrator.planning import Plan
from orchestrator.progress import Progress
from orchestrator.records import SearchRecord, TestResult, write_atomically
from orchestrator.summarizer.published import comparison
from orchestrator.summarizer.select import choose_winner
from orchestrator.summarizer.tables import terminal, write_summary
from orchestrator.tracking import Tracker
from trials.errors import UserError

if TYPE_CHECKING:
    from trials.data import PreparedTask

RECORD, OPTIONS, DEFINITION, TUNE, ADAPTER = "search.json", "options.json", "definition.json", "tune", "best_adapter"
RETRIES = 2  # of a trial whose process dies
INTERRUPTED = 130  # the shell's code for Ctrl-C


@dataclass
class Files:
    """A search's folder."""

    folder: Path
    record: Path = field(init=False)

    def __post_init__(self) -> None:
        self.record = self.folder / RECORD

    def previous(self, plan: Plan) -> SearchRecord | None:
        """What an earlier run of this search has recorded.

        Raises:
            UserError: the folder belongs to a search with other settings.
        """
        definition = self.folder / DEFINITION
        if not definition.exists():
            return None
        now, before = json.loads(json.dumps(plan.definition)), json.loads(definition.read_text())
        changed = sorted(key for key in now if now[key] != before.get(key))
        if changed:
            raise UserError(
                [
                    f"--name {plan.name}: {self.folder} holds a search of that name with another "
                    f"{', '.join(changed)}; choose another --name, or remove the folder"
                ]
            )
        return SearchRecord.load(self.record)

    def begin(self, plan: Plan, options: Mapping[str, Any], record: SearchRecord) -> None:
        """Write down what the search is, so that it can be taken up again; the definition last, as the sign of it."""
        record.save(self.record)
        write_atomically(self.folder / OPTIONS, json.dumps(dict(options), indent=1))
        write_atomically(self.folder / DEFINITION, json.dumps(plan.definition, indent=1))


def run_search(
    plan: Plan, options: Mapping[str, str | None], console: Console, *, resume: bool, quiet: bool, debug: bool
) -> int:
    """Train, test the winner, write the summary.

    Args:
        plan: what to run.
        options: the command line's, kept for ``--resume``.
        resume: insist that there is something to resume; the same command goes on with it in any case.

    Returns:
        The exit code: 0, 1 where no trial got a score, 130 after Ctrl-C.

    Raises:
        UserError, TrackingError: before anything has started.
    """
    files = Files(plan.folder)
    record = files.previous(plan)
    if record is not None and record.test is not None:
        console.print(f"search {plan.name} is finished; another --name runs it again")
        write_summary(record, files.folder)
        terminal(record, console)
        return 0
    if resume and record is None:
        raise UserError([f"--resume: {plan.folder} holds no search yet; leave --resume out to start it"])
    if not quiet:
        announce(plan, console, record)
    data = prepare_data(plan)
    tracker = Tracker.open(plan.settings.tracking_uri, plan.task.name)
    with tracker:
        resumed = record is not None
        if record is None:
            record = new_record(plan, data, tracker)
            files.begin(plan, options, record)
        tracker.start_search(plan.name, searched(plan), run_tags(plan, record), resume=resumed)
        code = train_and_test(plan, files, record, tracker, console, quiet=quiet, debug=debug)
        undelivered = tracker.close()
    if undelivered:
        console.print(f"MLflow never took: {'; '.join(undelivered)}")
    return code


def announce(plan: Plan, console: Console, record: SearchRecord | None) -> None:
    """Say what is about to happen."""
    console.print(
        f"{'Resuming' if record else 'Search'} {plan.name}: {plan.settings.method} on {plan.facts.name}, task "
        f"{plan.task.title}, {len(plan.trials)} trials of {plan.training.steps:,} steps"
    )
    for note in plan.notes:
        console.print(f"note: {note}")


def prepare_data(plan: Plan) -> PreparedTask:
    """Find, check and tokenise the task's data, here, before anything is started elsewhere."""
    from trials.backbone_facts import load_tokenizer
    from trials.data import prepare

    return prepare(
        plan.task,
        load_tokenizer(plan.facts),
        architecture=plan.facts.architecture,
        data_dir=Path(plan.spec.data_dir) if plan.spec.data_dir else None,
        max_source_length=plan.max_source_length,
    )


def searched(plan: Plan) -> dict[str, Any]:
    """A search's settings as columns of a table of runs."""
    return {
        "task": plan.task.name,
        "method": plan.settings.method,
        "backbone": plan.facts.name,
        "recipe": plan.settings.recipe,
        "space": plan.space.name,
        "trials": len(plan.trials),
        "seed": plan.settings.seed,
        **training_settings(plan),
    }


def training_settings(plan: Plan) -> dict[str, Any]:
    """How every trial is trained, and what may stop it."""
    return {
        **{key: value for key, value in asdict(plan.training).items() if value is not None},
        "max_source_length": plan.max_source_length,
        "scheduler": plan.settings.scheduler,
        "grace": plan.grace,
        "eta": plan.settings.eta,
    }


def run_tags(plan: Plan, record: SearchRecord) -> dict[str, str]:
    """What else is worth knowing about each run."""
    from trials.data import SPLIT_SEED

    return {
        "recipe": plan.settings.recipe,
        "seed": str(plan.settings.seed),
        "split_seed": str(SPLIT_SEED),
        "data_fingerprint": record.provenance["data fingerprint"],
        "backbone_revision": plan.facts.revision,
        **provenance.collect(),
    }


def new_record(plan: Plan, data: PreparedTask, tracker: Tracker) -> SearchRecord:
    """The record of a search before its first trial."""
    facts = {"data fingerprint": data.fingerprint, "backbone revision": plan.facts.revision, **provenance.collect()}
    rows = comparison(plan.task.published_as or plan.task.name, plan.settings.method)
    return SearchRecord(
        name=plan.name,
        task=plan.task.name,
        method=plan.settings.method,
        backbone=plan.facts.name,
        recipe=plan.settings.recipe,
        metric=plan.task.selection_metric,
        settings=training_settings(plan),
        parameters={trial.number: trial.parameters for trial in plan.trials},
        sizes={str(split): n for split, n in data.sizes.items()},
        majority=data.majority(),
        provenance=facts,
        published=[asdict(row) for row in rows],
        tracking_uri=tracker.store.shown,
    )


def train_and_test(
    plan: Plan, files: Files, record: SearchRecord, tracker: Tracker, console: Console, *, quiet: bool, debug: bool
) -> int:
    """Everything that needs Ray."""
    import ray

    from orchestrator import tuning

    started = time.monotonic()
    before = record.wall_seconds
    progress = Progress(len(plan.trials), plan.steps, record.metric, console, quiet)

    def keep() -> None:
        record.wall_seconds = before + time.monotonic() - started
        record.save(files.record)

    try:
        tuning.connect(debug)
        search = tuning.Search(plan, files.folder / TUNE, tracker, progress, record, keep)
        search.fit()
        progress.close()
        keep()
        ended = sum(trial.status not in ("waiting", "running", "interrupted") for trial in record.trials)
        if ended < len(plan.trials):
            return interrupted(plan, record, tracker, console, ended)
        return conclude(plan, files, record, tracker, console, keep)
    finally:
        progress.close()
        ray.shutdown()


def interrupted(plan: Plan, record: SearchRecord, tracker: Tracker, console: Console, ended: int) -> int:
    """Ctrl-C: everything is kept; say how to go on."""
    tracker.end_search({"steps_trained": sum(t.step for t in record.trials)}, [], {}, status="interrupted")
    where = "" if plan.settings.output == Path("runs") else f" --output {plan.settings.output}"
    console.print(
        f"interrupted: {ended} of {len(plan.trials)} trials are done and kept. Go on with the "
        f"same command, or: adept-search search --resume --name {plan.name}{where}"
    )
    return INTERRUPTED


def conclude(
    plan: Plan,
    files: Files,
    record: SearchRecord,
    tracker: Tracker,
    console: Console,
    keep: Any,
) -> int:
    """Choose the winner by validation, test it once, write everything down."""
    from orchestrator import tuning

    choice = choose_winner(record)
    if choice.winner is not None:
        adapter = adapter_files(files.folder / TUNE, choice.winner.number)
        folder = files.folder / ADAPTER
        folder.mkdir(exist_ok=True)
        for name, content in adapter.items():
            (folder / name).write_bytes(content)
        scores = tuning.test(plan, adapter)
        record.adapter = shown_path(folder)
        record.test = TestResult(
            trial_number=choice.winner.number,
            score=scores["metrics"][record.metric],
            metrics=scores["metrics"],
            n=scores["n"],
            one_example=scores["one_example"],
            step=choice.winner.best_step or 0,
        )
    keep()
    written = write_summary(record, files.folder, choice)
    winner = choice.winner
    trained = sum(trial.step for trial in record.trials)
    figures = {"steps_trained": trained, "share_of_grid": trained / plan.steps}
    if winner is not None and winner.best_score is not None and record.test is not None:
        figures |= {f"validation/{record.metric}": winner.best_score, "validation/n": record.sizes["validation"]}
        figures |= {f"test/{name}": value for name, value in record.test.metrics.items()} | {"test/n": record.test.n}
    described = {"trial": winner.number, **winner.configuration} if winner else {}
    tracker.end_search(figures, written, described, status="finished" if winner else "failed")
    terminal(record, console, choice)
    console.print(f"Summary: {shown_path(written[0])}, {shown_path(written[1])}")
    address = "" if tracker.store.is_server else f", then open http://127.0.0.1:5000{tracker.page}"
    console.print(f"Compare the trials: {tracker.ui_url_hint()}{address}")
    failures = [trial for trial in record.trials if trial.status == "failed"]
    for trial in failures[:3]:
        console.print(f"trial {trial.number} failed: {trial.error}")
    if failures:
        console.print(f"error files: {shown_path(files.folder / TUNE)}")
    return 0 if winner else 1


def shown_path(path: Path) -> str:
    """The path from the working folder where it is below it."""
    with suppress(ValueError):
        return os.fspath(path.relative_to(Path.cwd()))
    return os.fspath(path)
