"""Results that are there already: trials of earlier searches that were trained exactly as a planned one would be.

Two trainings are the same if task, data, metrics, backbone, method, recipe, arithmetic, budget, batches, configuration
and seed are: then their reports are, to the rounding of the hardware. Only trials that trained their whole budget
count; what a scheduler stopped has no end to take over.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.plan.options import When
from orchestrator.plan.planned_trial import PlannedTrial
from orchestrator.plan.settings import SearchSettings
from orchestrator.record.engines import REUSED
from orchestrator.record.kept_data import SOURCES_KEPT
from orchestrator.record.record import Report, TrialRecord
from orchestrator.record.status import TrialStatus
from orchestrator.store.checkpoints import ADAPTER, FACTS, TAKEN_OVER, name_of_step
from orchestrator.store.paths import Folder, one_line
from orchestrator.tracking import notes
from orchestrator.tracking.pages import find_runs
from orchestrator.tracking.projection import PARENT
from orchestrator.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import Run

log = logging.getLogger(__name__)

SAME_SEARCH = (
    *SearchSettings.names(lambda one: one.numbers == "trial" and (one.identifies or one.recorded is When.ALWAYS)),
    "trainer_revision",
)
"""Parameters of a search's run that must be equal; one that either side lacks is not."""

SAME_IF_GIVEN = ("shots",)
"""Parameters that must be equal, and that a search's run has where they were given."""

SAME_DATA = ("data_fingerprint", "backbone_revision")
"""Tags of a search's run that must be equal."""

_WHOLE = ("best_step",)  # numbers that a metric store makes floats of


@dataclass(frozen=True)
class Reusable:
    """A finished trial of an earlier search.

    Attributes:
        number: of the planned trial that it stands for.
        run_id: its run in the tracking store.
        search: the name of the search that trained it.
        reports: all of them, as in a `TrialRecord`.
    """

    number: int
    run_id: str
    search: str
    reports: list[Report]


def find(
    store: Store, search: Mapping[str, Any], data: Mapping[str, str], wanted: Mapping[int, Mapping[str, Any]]
) -> dict[int, Reusable]:
    """Trials that need not be trained again, by their planned numbers; the newest where there are several.

    Args:
        store: with the task's experiment.
        search: the planned search's parameters, `SAME_SEARCH` among them, and ``metrics``, those of its task.
        data: its tags, `SAME_DATA` among them.
        wanted: configuration and ``seed`` of each planned trial, by its number.
    """
    missing = [key for key in SAME_SEARCH if key not in search] + [key for key in SAME_DATA if not data.get(key)]
    if missing:  # equality with what is not known would be a guess
        return {}
    by_text = {_as_text(configuration): number for number, configuration in wanted.items()}
    found: dict[int, Reusable] = {}
    here = [store.experiment.experiment_id]
    for parent in find_runs(store.client, here, "tags.kind = 'search'"):
        if not _same(parent, search, data):
            continue
        below = f"tags.`{PARENT}` = '{parent.info.run_id}' AND tags.kind = 'trial' AND tags.status = 'finished'"
        for run in find_runs(store.client, here, below):
            number = by_text.get(frozenset((k, v) for k, v in run.data.params.items() if k != "recipe"))
            if number is None or number in found:
                continue
            reports = _reports(store, run)
            if _whole(reports, search):
                found[number] = Reusable(number, run.info.run_id, parent.data.tags["search"], reports)
    return dict(sorted(found.items()))


def take_over(
    store: Store, found: Reusable, configuration: Mapping[str, Any], seed: int, storage: Folder
) -> TrialRecord | None:
    """A finished trial's record, with its adapter laid where a search looks for its own.

    Args:
        storage: folder of the search's attempts.

    Returns:
        None where the adapter is gone from the store: without it the trial could win and not be tested.
    """
    folder = storage / TAKEN_OVER / f"trial-{found.number}" / name_of_step(found.reports[-1]["step"])
    with tempfile.TemporaryDirectory() as temporary:
        if not store.client.list_artifacts(found.run_id, ADAPTER):
            return None
        adapter = Path(store.client.download_artifacts(found.run_id, ADAPTER, temporary))
        (folder / ADAPTER).mkdir(parents=True, exist_ok=True)
        for file in adapter.iterdir():
            (folder / ADAPTER / file.name).write_bytes(file.read_bytes())
    # The last of a checkpoint's files, as the sign that it is whole.
    (folder / FACTS).write_text(json.dumps({"step": found.reports[-1]["step"], "taken_over_from": found.run_id}))
    return TrialRecord(
        trial_id=f"{REUSED}{found.run_id[:8]}",
        number=found.number,
        configuration=dict(configuration),
        seed=seed,
        status=TrialStatus.FINISHED,
        reports=found.reports,
        reason=f"trained before, in search {found.search} (run {found.run_id})",
    )


def take_over_equal(
    store: Store,
    search: Mapping[str, Any],
    data: Mapping[str, str],
    storage: Folder,
    planned: Sequence[PlannedTrial],
) -> list[TrialRecord]:
    """The records of those planned trials that were trained before and can be taken over; see `find`.

    Where the store goes away meanwhile, those that were taken over by then: the others are trained.
    """
    from mlflow.exceptions import MlflowException

    by_number = {trial.number: trial.config for trial in planned}
    wanted = {number: {**config.hyperparameters, "seed": config.seed} for number, config in by_number.items()}
    records: list[TrialRecord] = []
    try:
        for number, found in find(store, search, data, wanted).items():
            config = by_number[number]
            record = take_over(store, found, config.hyperparameters, config.seed, storage)
            records += [] if record is None else [record]
    except (MlflowException, OSError) as error:
        log.warning(
            f"--reuse: MLflow does not answer ({one_line(error)}); {len(records)} trials are taken over, "
            "the others are trained"
        )
    return records


def _same(parent: Run, search: Mapping[str, Any], data: Mapping[str, str]) -> bool:
    params, tags = parent.data.params, parent.data.tags
    if tags.get(SOURCES_KEPT, "") != data.get(SOURCES_KEPT, ""):  # it began elsewhere
        return False
    given = {key: notes.text(search[key]) for key in (*SAME_SEARCH, *SAME_IF_GIVEN) if key in search}
    return all(params.get(key) == given.get(key) for key in (*SAME_SEARCH, *SAME_IF_GIVEN)) and all(
        tags.get(key) == notes.text(data[key]) for key in SAME_DATA
    )


def _as_text(configuration: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    return frozenset(notes.texts(configuration).items())


def _reports(store: Store, run: Run) -> list[Report]:
    by_step: dict[int, Report] = {}
    for name in run.data.metrics:
        for point in store.client.get_metric_history(run.info.run_id, name):
            value = int(point.value) if name in _WHOLE else point.value
            by_step.setdefault(point.step, {"step": point.step, "status": "running", "time": point.timestamp / 1000})[
                name
            ] = value
    reports = [by_step[step] for step in sorted(by_step)]
    for report in reports:
        report["step"] = int(report["step"])
    if reports:
        reports[-1]["status"] = "finished"
    return reports


def _whole(reports: list[Report], search: Mapping[str, Any]) -> bool:
    """Whether every report up to the budget is there, with the task's metrics: a store that was away may lack some.

    A task file may name other metrics than it did; the first one selects, so it must be the score.
    """
    steps, every = int(search["steps"]), int(search["eval_every"])
    expected = [*range(every, steps, every), steps]
    names = [f"validation/{name}" for name in search["metrics"].split(", ")]
    if any(name not in report for name in names for report in reports):
        return False
    if any(report[names[0]] != report.get("score") for report in reports):
        return False
    return [report["step"] for report in reports if "score" in report and "best_score" in report] == expected
