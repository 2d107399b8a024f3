"""Is a recorded trial what its settings give? It is trained alone once more, and every report is compared.

A stack of trials adds in another order than a trial alone, so in the default mode scores may drift apart by rounding:
`DRIFT` says how far. A search that was ``--deterministic`` computed each trial as if it were alone; on the same
hardware with the same torch its numbers come again to the last bit.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.plan.engine_spec import EngineSpec
from orchestrator.plan.options import current
from orchestrator.plan.places import missing_places, with_absolute_paths
from orchestrator.plan.read_settings import read_settings
from orchestrator.plan.resolve import make_plan
from orchestrator.plan.same_data import differ
from orchestrator.plan.settings import FORMER_PRECISION, SearchSettings
from orchestrator.plan.sources import fingerprints
from orchestrator.record.errors import RecordError
from orchestrator.record.kept_data import SOURCES_KEPT, identity
from orchestrator.record.provenance import describe_hardware
from orchestrator.record.record import RECORD, Report, SearchRecord, TrialRecord
from orchestrator.store.layout import OPTIONS, find_search
from orchestrator.store.twin_files import read_either
from orchestrator.tracking.sources import StoredSources
from trials.backbones.facts import Facts
from trials.backbones.revisions import same_revision, why_not_same
from trials.config import FIRST_REVISION, TRAINER_REVISION, TrialConfig
from trials.errors import UserError

DRIFT = {"float32": 2.0, "float32-exact": 2.0, "bfloat16": 4.0}
"""Standard errors of the validation score by which a score may differ, by precision, where numbers need not be equal;
at least two examples. Rounding decides which answers of a trial change; it cannot make the trial better or worse.
`benchmarks.drift` measured 0.7 and 2.9 at most."""

_NOT_COMPARED = ("seconds/", "status", "time")


@dataclass(frozen=True)
class Recorded:
    """A trial as it was recorded, and what it takes to train it again.

    Attributes:
        facts: of the backbone as it is here now.
        deterministic: its search was.
    """

    record: SearchRecord
    trial: TrialRecord
    config: TrialConfig
    spec: EngineSpec
    facts: Facts
    deterministic: bool

    @property
    def same_hardware(self) -> bool:
        """Whether this machine and its torch are those of the search."""
        from importlib.metadata import version

        here = {**describe_hardware(), "version/torch": version("torch")}
        before = self.record.provenance
        return all(before.get(key) == here.get(key) for key in ("cpu", "gpu", "version/torch"))

    @property
    def allowed(self) -> float:
        """Points by which a score may differ; 0 where all numbers must be equal."""
        if self.deterministic and self.same_hardware:
            return 0.0
        n = self.record.sizes.get("validation") or 1
        shares = [min(max(r["score"] / 100.0, 0.0), 1.0) for r in self.trial.reports if math.isfinite(r["score"])]
        widest = max((share * (1.0 - share) for share in shares), default=0.25)
        return max(200.0 / n, 100.0 * DRIFT[self.spec.precision] * math.sqrt(widest / n))


@dataclass(frozen=True)
class Compared:
    """One report, then and now."""

    before: Report
    now: Report

    @property
    def difference(self) -> float:
        """Now less then, in points of the score; NaN where only one of them is a number, 0 where neither is."""
        scores = [float(report["score"]) for report in (self.before, self.now)]
        if not any(map(math.isfinite, scores)):
            return 0.0
        return scores[1] - scores[0]

    @property
    def equal(self) -> bool:
        """Whether every number is the same to the last bit; times are not compared."""
        return all(_same(value, self.now.get(name)) for name, value in self._numbers())

    def _numbers(self) -> Iterator[tuple[str, Any]]:
        return ((name, value) for name, value in self.before.items() if not name.startswith(_NOT_COMPARED))


def from_folder(name: str, number: int, output: Path, places: Mapping[str, str | None]) -> Recorded:
    """A trial of a search whose folder is at hand.

    Args:
        places: options of what has moved since (`orchestrator.plan.places`).

    Raises:
        UserError: no such search or trial, or its options are lost. RecordError: the record cannot be read.
    """
    folder = find_search(name, output)
    options, damage = read_either(folder / OPTIONS)
    if damage:
        print(f"note: {damage}", file=sys.stderr)
    return _recorded(SearchRecord.load(folder / RECORD), number, options, places, folder)


def from_store(run_id: str, tracking_uri: str | None, places: Mapping[str, str | None]) -> Recorded:
    """A trial by its run in the tracking store.

    Args:
        places: as in `from_folder`.

    Raises:
        UserError: no such run, or one that is no trial. TrackingError: the store cannot be read.
    """
    from mlflow.exceptions import MlflowException

    from orchestrator.summarizer.results.mlflow_searches import record_of
    from orchestrator.tracking.projection import PARENT
    from orchestrator.tracking.store import open_for_reading

    client, shown = open_for_reading(tracking_uri)
    try:
        run = client.get_run(run_id)
        tags = run.data.tags
        if tags.get("kind") != "trial":
            raise UserError([f"run {run_id} is no trial's; the runs of trials are nested below their search's"])
        parent = client.get_run(tags[PARENT])
    except MlflowException as error:
        raise UserError([f"run {run_id}: {shown} has none with that id ({error})"]) from error
    options = parent.data.tags.get("options")
    if options is None:
        raise UserError([f"run {run_id}: its search's run has no tag 'options', so it can't be trained again"])
    return _recorded(record_of(client, parent), int(tags["trial"]), json.loads(options), places)


def _recorded(
    record: SearchRecord,
    number: int,
    options: Mapping[str, Any],
    places: Mapping[str, str | None],
    folder: Path | None = None,
) -> Recorded:
    trial = next((trial for trial in record.trials if trial.number == number), None)
    if trial is None:
        known = ", ".join(str(trial.number) for trial in record.trials)
        raise UserError([f"search {record.name} has no trial {number}; there are {known}"])
    if not trial.reports:
        raise UserError([f"trial {number} of search {record.name} never reported ({trial.status})"])
    revision = record.settings.get("trainer_revision", FIRST_REVISION)
    if revision != TRAINER_REVISION:
        raise UserError(
            [
                f"search {record.name} was trained by revision {revision} of the trainer, and this is revision "
                f"{TRAINER_REVISION}, which gives other numbers: verify it with the version that trained it"
            ]
        )
    moved = {key: value for key, value in with_absolute_paths(places).items() if value is not None}
    computed = record.settings.get("precision", FORMER_PRECISION)
    options = {**current(options, SearchSettings), **moved, "precision": computed}
    if problems := missing_places(options, record.name):
        raise UserError(problems)
    others = SearchSettings.names(lambda option: option.numbers == "none")
    settings, problems = read_settings({k: v for k, v in options.items() if k not in others} | {"storage": ""})
    plan = make_plan(settings, problems, StoredSources(), begun=folder)
    if (then := record.provenance.get(SOURCES_KEPT)) and then != (now := fingerprints(plan.sources)):
        raise UserError([f"the source prompts of search {record.name} are not those of then: then {then}, now {now}"])
    config = plan.trial(number, trial.configuration, trial.seed).config
    spec = replace(plan.spec, slots=1, typical=config)
    return Recorded(record, trial, config, spec, plan.facts, settings.deterministic)


def compare(recorded: Recorded) -> Iterator[Compared]:
    """Train the trial alone, up to its last recorded report; each report with the one of then, when it is there.

    Raises:
        UserError: the data or the backbone are not those of then.
    """
    import torch

    from orchestrator.engines.build import build_engine

    engine: Any = build_engine(recorded.spec, "cuda" if torch.cuda.is_available() else "cpu")
    record = recorded.record
    kept = identity(record)
    if kept.fingerprint not in ("", engine.data.fingerprint):
        raise UserError([f"{differ(record.task, record.name, kept, engine.data.identity)}. Put the data of then back"])
    revision = record.provenance.get("backbone revision", record.provenance.get("backbone_revision", ""))
    facts = recorded.facts
    if revision and not same_revision(revision, facts.revision, facts.location):
        why = why_not_same(revision, facts.revision)
        raise UserError([f"the weights of {facts.name} are not those of then: {why}. Put those of then back"])
    before = {int(report["step"]): report for report in recorded.trial.reports}
    engine.start("again", recorded.config)
    while before:
        now = engine.next_report("again").as_dict()
        if now["step"] in before:
            yield Compared(before.pop(now["step"]), now)
        if now["status"] != "running":
            break
    if before:
        raise RecordError(f"it ended at step {now['step']:,}, but was recorded up to step {max(before):,}")


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return one == other
