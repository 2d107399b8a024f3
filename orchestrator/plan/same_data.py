"""Whether a search that is there already was made with the data that are here now. If not, it is refused.

A record whose reports come from two data sets would compare configurations by which rows they happened to see, and the
table of a search whose data have changed since would be taken for one of the data of now.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.plan.plan import Plan
from orchestrator.record.kept_data import FINGERPRINT, ROWS, identity
from orchestrator.record.record import SearchRecord
from trials.data_facts import DataIdentity
from trials.errors import BackboneError, DataError, UserError

if TYPE_CHECKING:
    from trials.data import PreparedTask


def refuse_other_metric(plan: Plan, record: SearchRecord | None) -> None:
    """Refuse to go on with scores of another metric: a definition of an earlier version does not name it.

    Raises:
        UserError: the record's scores are of another metric than the task's.
    """
    if record is not None and record.metric not in ("", plan.task.selection_metric):
        raise UserError(
            [
                f"search {plan.name} selected by {record.metric}, and the task selects by "
                f"{plan.task.selection_metric} now; {_ways_out('the former metric in the task file')}"
            ]
        )


def check_finished(plan: Plan, record: SearchRecord, known: DataIdentity | None) -> str:
    """Compare a finished search's data with those of now, from the files alone: nothing is tokenised.

    Args:
        known: what the search's definition says of its data; None: an earlier version's, which says nothing.

    Returns:
        What a user should hear where data of the hub cannot be had from there now to be compared; else empty.

    Raises:
        UserError: the data differ, or are gone.
    """
    refuse_other_metric(plan, record)
    before = known or identity(record)
    data_dir = Path(plan.spec.data_dir) if plan.spec.data_dir else None
    try:
        if before.rows:
            from trials.data import data_identity

            now = data_identity(plan.task, data_dir)
            if now.rows != before.rows:
                raise UserError([_refusal(plan, before, now)])
        elif before.fingerprint:
            from trials.backbones.describe import load_tokenizer
            from trials.data import fingerprint_now

            facts, length = plan.facts, plan.max_source_length
            tokenizer = load_tokenizer(facts)
            here = fingerprint_now(plan.task, tokenizer, facts.architecture, data_dir, length)
            if before.fingerprint != here:
                raise UserError([_refusal(plan, before, DataIdentity(fingerprint=here))])
    except (BackboneError, DataError) as error:
        if plan.task.embedded or plan.task.files is not None or data_dir is not None:
            raise
        return f"the data could not be read, so they were not compared with those the search was made with: {error}"
    return ""


def check_prepared(plan: Plan, record: SearchRecord | None, known: DataIdentity | None, data: PreparedTask) -> None:
    """Compare what a search was begun with, and what is prepared to go on with it.

    Args:
        record: None where it was lost. known: as for `check_finished`.

    Raises:
        UserError: the data differ, or are read in another way than then.
    """
    refuse_other_metric(plan, record)
    before = known or (identity(record) if record is not None else DataIdentity())
    if before.fingerprint and before.fingerprint != data.fingerprint:
        raise UserError([_refusal(plan, before, data.identity)])


def differ(task: str, search: str, before: DataIdentity, now: DataIdentity) -> str:
    """What has changed of a search's data, as a sentence without its end: files and fingerprints, then and now."""
    changed = before.changed(now)
    what = f"the data of task {task} have changed since search {search} began, or are read otherwise by this version"
    if changed:
        what = f"the data of task {task} have changed since search {search} began: {'; '.join(changed)}"
    elif before.files and now.files:
        what = (
            f"the files of task {task} are those that search {search} began with, but their rows are read otherwise "
            "now (by another tokenizer, or another version of this program)"
        )
    prints = {FINGERPRINT: (before.fingerprint, now.fingerprint), ROWS: (before.rows, now.rows)}
    both = [f"{name} then {then}, now {here}" for name, (then, here) in prints.items() if then and here]
    return f"{what} ({'; '.join(both)})"


def _refusal(plan: Plan, before: DataIdentity, now: DataIdentity) -> str:
    return f"{differ(plan.task.name, plan.name, before, now)}. {_ways_out('the data of then')}"


def _ways_out(back: str) -> str:
    return (
        f"Nothing was touched: put back {back} to have this search again, or search with what is there now under "
        "another --name or --output"
    )
