"""What a search writes down of itself: its record before the first trial, and the tags of its runs in MLflow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestrator.command_lines import PROGRAM
from orchestrator.plan.places import to_keep
from orchestrator.plan.plan import Plan
from orchestrator.plan.settings import as_arguments
from orchestrator.plan.sources import described, fingerprints
from orchestrator.record.kept_data import SOURCES_KEPT, identity, kept_of
from orchestrator.record.record import STARTED, SearchRecord
from orchestrator.record.secrecy import shown_command
from orchestrator.summarizer.results.published import comparison, from_a_source
from trials.backbones.revisions import revision_here

if TYPE_CHECKING:
    from trials.data import PreparedTask


def run_tags(plan: Plan, record: SearchRecord, process: Mapping[str, str]) -> dict[str, str]:
    """What else is worth knowing about each run.

    Args:
        process: of the process that runs the search now (`provenance.collect`).
    """
    from trials.data import SPLIT_SEED

    return {
        "recipe": plan.settings.recipe,
        "seed": str(plan.settings.seed),
        "split_seed": str(SPLIT_SEED),
        "data_fingerprint": identity(record).fingerprint,
        "rows_fingerprint": identity(record).rows,
        "backbone_revision": revision_here(plan.facts.revision, plan.facts.location),
        **_of_sources(plan),
        **_chosen(plan),
        "options": json.dumps(plan.repeatable),
        **process,
        **{key: record.provenance[key] for key in ("command",) if key in record.provenance},
    }


def new_record(plan: Plan, data: PreparedTask, process: Mapping[str, str]) -> SearchRecord:
    """The record of a search before its first trial.

    Args:
        process: of the one that starts it (`provenance.collect`), with the command that asks for it in any folder.
    """
    facts = {
        STARTED: datetime.now(UTC).isoformat(timespec="seconds"),
        **kept_of(data.identity),
        "backbone revision": revision_here(plan.facts.revision, plan.facts.location),
        "space": plan.space.name,
        "search": plan.settings.searcher,
        "slots": str(plan.slots or "auto"),
        **_chosen(plan),
        "template": plan.task.template,
        **_of_sources(plan),
        **process,
    }
    known = plan.task.published_as or plan.task.name
    others = plan.task.corrected or plan.settings.data_sizes == "any" or plan.settings.shots is not None
    others = others or from_a_source(plan.settings.method, plan.recorded)
    rows = [] if others else comparison(known, plan.settings.method)  # the paper's are of all rows, as published
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


def _chosen(plan: Plan) -> dict[str, str]:
    """That the precision was chosen, and not asked for; nothing where it was."""
    return {"precision": f"{plan.precision}, chosen by --precision auto"} if plan.chosen else {}


def _of_sources(plan: Plan) -> dict[str, str]:
    """Where the source prompts of a transfer came from, and which they are; nothing for other searches."""
    if not plan.sources:
        return {}
    return {"sources": described(plan.sources), SOURCES_KEPT: fingerprints(plan.sources)}


def go_on(plan: Plan, options: Mapping[str, str | None], record: SearchRecord, data: PreparedTask) -> None:
    """Take a search up as it is asked for now: perhaps with more seeds than before, though it was finished then."""
    record.test, record.seed_tests = None, []
    record.settings = plan.recorded
    record.provenance["command"] = shown_command(command_of(options))  # its things may have moved
    record.provenance |= kept_of(data.identity)  # an earlier version kept less of it


def command_of(options: Mapping[str, str | None]) -> list[str]:
    """The command that asks for a search with these options, in any folder."""
    return [PROGRAM, "search", *as_arguments(to_keep(options))]
