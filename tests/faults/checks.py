"""What must hold of a search that was disturbed: against its own journal and MLflow, and against one that was not."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run
from safetensors import safe_open

from orchestrator.record.journal import Journal
from orchestrator.record.record import SearchRecord
from orchestrator.record.status import TrialStatus
from orchestrator.schedulers.asha import Asha, Promotion
from orchestrator.schedulers.base import NoStopping, Scheduler
from orchestrator.schedulers.decision import Action, Decision
from orchestrator.schedulers.freeze_thaw import FreezeThaw
from tests.faults.small_search import TASK
from trials.checkpoint import step_of

JOURNAL = "decisions.jsonl"
CLOCKS = ("seconds", "trial_id")  # parts of the names of columns that no two runs share


def all_problems(folder: Path, tracking_uri: str, undisturbed: Path | None, cut: Collection[str] = ()) -> list[str]:
    """What is wrong with a finished search, a sentence each.

    Args:
        folder: of the search. cut: files in it that the harness itself has cut.
        undisturbed: the folder of the same search that nobody disturbed; None where only what is true of any order
            of arrival is to be checked.
    """
    record = SearchRecord.load(folder / "search.json")
    problems = [*record_problems(record), *journal_problems(folder, record), *file_problems(folder, cut)]
    problems += tracking_problems(record, tracking_uri, cut)
    if undisturbed is not None:
        problems += differences(folder, undisturbed)
    return problems


def record_problems(record: SearchRecord) -> Iterator[str]:
    """Trials that did not end, and reports that were trained twice."""
    if record.test is None:
        yield "no winner was tested"
    for trial in record.trials:
        if not trial.status.is_settled:
            yield f"trial {trial.number} ended as {trial.status}: {trial.error or trial.reason}"
        steps = [report["step"] for report in trial.reports]
        yield from (f"trial {trial.number}: step {step} was trained again" for step in twice(steps))
        if steps != sorted(steps):
            yield f"trial {trial.number}: its reports are out of order: {steps}"


def journal_problems(folder: Path, record: SearchRecord) -> Iterator[str]:
    """Decisions that do not follow from the reports before them, and reports that the record does not have."""
    with Journal(folder / "tune" / JOURNAL) as journal:
        entries, damage = journal.found, journal.damage
    if damage:
        yield damage
    scheduler = scheduler_of(entries[0])
    due: list[Decision] = []
    for entry in entries[1:]:
        if entry["event"] != "decision":
            yield from (f"decided and not written down: {decision.sentence}" for decision in due)
            tell(scheduler, entry)
            due = scheduler.settle()
            continue
        made = Decision.from_dict(entry)
        if not due and scheduler.is_paused(made.number) and made.action is Action.CONTINUE:
            due = [scheduler.promote(made.number)]
        if not due or made != due.pop(0):
            yield f"a decision does not follow from the rungs: trial {made.number}, {made.sentence}"
    yield from (f"decided and not written down: {decision.sentence}" for decision in due)
    heard = Counter((e["number"], e["report"]["step"]) for e in entries if e["event"] == "report")
    kept = {(trial.number, report["step"]) for trial in record.trials for report in trial.reports}
    yield from (f"the journal has the report of {key} {count} times" for key, count in heard.items() if count > 1)
    yield from (f"the report of {key} is not in both journal and record" for key in sorted(kept ^ heard.keys()))


def scheduler_of(settings: dict[str, Any]) -> Scheduler:
    """A fresh scheduler with the settings of a journal."""
    place = settings["numbers"], settings["steps"]
    if settings["scheduler"] == "none":
        return NoStopping(*place)
    rungs = {
        name: settings[name] for name in ("grace_period", "reduction_factor", "ties", "rank_by") if name in settings
    }
    if settings["scheduler"] == "asha":
        return Asha(*place, **rungs)
    if settings["scheduler"] == "freeze-thaw":
        known = dict(settings["configurations"])
        return FreezeThaw(*place, settings["stop_chance"], known, settings["examples"])
    return Promotion(*place, **rungs, together=settings["together"])


def tell(scheduler: Scheduler, entry: dict[str, Any]) -> None:
    """An event of a journal to a scheduler."""
    if entry["event"] == "end":
        scheduler.note_end(entry["number"], TrialStatus(entry["status"]))
    elif entry["event"] == "start":
        scheduler.start(entry["number"], entry["anew"])
    elif entry["report"].get("status") == "diverged":
        scheduler.note_end(entry["number"], TrialStatus.DIVERGED)
    else:
        report = entry["report"]
        scheduler.note(
            entry["number"], report["step"], report["score"], report.get("best_score"), report.get("validation/loss")
        )


def file_problems(folder: Path, cut: Collection[str] = ()) -> Iterator[str]:
    """Files that are half-written or were left over, but for checkpoints with a file that was cut on purpose."""
    spoilt = {name[: name.index("/", name.index("checkpoint_step_"))] for name in cut}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if any(name == place or name.startswith(f"{place}/") for place in spoilt):
            continue
        if path.name.startswith(".checkpoint_step_") or path.suffix == ".tmp":
            yield f"{name} was left over"
        elif path.name.startswith("checkpoint_step_") and step_of(path) is None:
            yield f"{name} is no whole checkpoint"
        elif path.suffix == ".json" and "experiment_state" not in name and "search_gen_state" not in name:
            try:
                json.loads(path.read_text())
            except ValueError as error:
                yield f"{name} is half-written: {error}"
        elif path.suffix == ".safetensors":
            try:
                with safe_open(path, framework="numpy") as tensors:
                    tensors.keys()
            except Exception as error:
                yield f"{name} is half-written: {error}"
    if not (folder / "tracking.json").exists():
        yield "MLflow has not everything"


def tracking_problems(record: SearchRecord, tracking_uri: str, cut: Collection[str] = ()) -> Iterator[str]:
    """Runs that are missing, doubled or running, points of curves that were lost or doubled, and adapters.

    A trial that waits at its rung may be stopped there without being trained again: its adapter is gone if that, or the
    file that vouches for it, was cut on purpose in the checkpoint of its last step.
    """
    spoilt = [name for name in cut if not name.endswith("training.safetensors")]
    places = [re.search(r"/trial-(\d+)/checkpoint_step_(\d+)/", name) for name in spoilt]
    gone = {(int(place[1]), int(place[2])) for place in places if place}
    client = MlflowClient(tracking_uri)
    experiment = client.get_experiment_by_name(record.experiment or TASK)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], f"tags.search = '{record.name}'")
    yield from (f"run {run.info.run_name} is left running" for run in runs if run.info.status == "RUNNING")
    parents = [run for run in runs if run.data.tags["kind"] == "search"]
    by_trial: dict[int, list[Run]] = {trial.number: [] for trial in record.trials}
    for run in runs:
        if run not in parents:
            by_trial.setdefault(int(run.data.tags["trial"]), []).append(run)
    if len(parents) != 1:
        yield f"the search has {len(parents)} runs"
    for parent in parents:
        if not {file.path for file in client.list_artifacts(parent.info.run_id)} >= {"search.json", "summary.csv"}:
            yield "the search's run has not got its files"
        if record.test is not None and parent.data.metrics.get("test/n") != record.test.n:
            yield "the search's run has not got the test score"
    for trial in record.trials:
        found = by_trial.pop(trial.number)
        if len(found) != 1:
            yield f"trial {trial.number} has {len(found)} runs"
            continue
        run_id = found[0].info.run_id
        if found[0].data.tags["status"] != trial.status:
            yield f"trial {trial.number} is {trial.status} and {found[0].data.tags['status']} in MLflow"
        points = [(point.step, point.value) for point in client.get_metric_history(run_id, "score")]
        steps = [step for step, _ in points]
        yield from (f"trial {trial.number}: the point of step {step} was doubled" for step in twice(steps))
        lost = [(r["step"], r["score"]) for r in trial.reports if (r["step"], r["score"]) not in points]
        yield from (f"trial {trial.number}: the point {point} was lost" for point in lost)
        files = {file.path: file.file_size for file in client.list_artifacts(run_id, "adapter")}
        if not files.get("adapter/adapter_model.safetensors") and (trial.number, trial.step) not in gone:
            yield f"trial {trial.number} has no adapter in MLflow"
    yield from (f"there is a run of trial {number}, which is none of the search" for number in by_trial)


def differences(folder: Path, undisturbed: Path) -> Iterator[str]:
    """How a search in which the order of arrival decides nothing differs from the undisturbed one."""
    ours, theirs = table(folder), table(undisturbed)
    yield from (f"the table differs: {a} against {b}" for a, b in zip(ours, theirs, strict=False) if a != b)
    if len(ours) != len(theirs):
        yield f"the table has {len(ours)} rows, not {len(theirs)}"
    mine, other = SearchRecord.load(folder / "search.json"), SearchRecord.load(undisturbed / "search.json")
    for trial, like in zip(mine.trials, other.trials, strict=False):
        if (trial.number, trial.configuration, trial.seed) != (like.number, like.configuration, like.seed):
            yield f"trial {trial.number} is another one: {trial.configuration} against {like.configuration}"
        scores = [{r["step"]: (r["score"], r["train/loss"]) for r in one.reports} for one in (trial, like)]
        if scores[0] != scores[1]:
            yield f"trial {trial.number} has another curve: {scores[0]} against {scores[1]}"
    if mine.test != other.test:
        yield f"the test differs: {mine.test} against {other.test}"
    if decisions(folder) != decisions(undisturbed):
        yield f"decisions differ: {decisions(folder) ^ decisions(undisturbed)}"


def table(folder: Path) -> list[dict[str, str]]:
    """The rows of a search's table, without what a clock has measured."""
    with (folder / "summary.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [{key: v for key, v in row.items() if not any(part in key for part in CLOCKS)} for row in rows]


def decisions(folder: Path) -> set[Decision]:
    """Whom a search let go on and whom it stopped, and why."""
    with Journal(folder / "tune" / JOURNAL) as journal:
        made = {Decision.from_dict(entry) for entry in journal.found if entry["event"] == "decision"}
    return {decision for decision in made if decision.action is not Action.PAUSE}


def twice(steps: list[int]) -> list[int]:
    """The steps that occur more than once."""
    return [step for step, count in Counter(steps).items() if count > 1]
