"""A plan's data: tokenised, and what is known of them without a network before a search starts."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.plan.estimate import RowLengths
from orchestrator.plan.plan import Plan
from orchestrator.record.data_report import data_lines
from trials.errors import BackboneError

if TYPE_CHECKING:
    from trials.data import PreparedTask

log = logging.getLogger(__name__)


def prepare_data(plan: Plan, tokenizer: Any = None) -> PreparedTask:
    """Find, check and tokenise the task's data, here, before anything is started elsewhere.

    Args:
        tokenizer: the backbone's, where it is at hand.

    Raises:
        UserError: see `trials.data.prepare`; or the task runs programs, and no sandbox works on this machine.
    """
    from trials.backbones.describe import load_tokenizer
    from trials.data import prepare

    if plan.task.target.kind == "code":
        from trials.sandbox.find import usable_sandbox

        usable_sandbox()
    for download in _downloads(plan):
        log.info("%s", download)
    return prepare(
        plan.task,
        load_tokenizer(plan.facts) if tokenizer is None else tokenizer,
        architecture=plan.facts.architecture,
        data_dir=Path(plan.spec.data_dir) if plan.spec.data_dir else None,
        max_source_length=plan.max_source_length,
    )


def _downloads(plan: Plan) -> list[str]:
    """What a user waits for: what is fetched from the hub since there is no copy of it here."""
    from trials.data.hub import is_here
    from trials.hub import copy_here

    task, model = plan.task, plan.facts.location
    found = []
    if task.hub and task.files is None and not task.embedded and not plan.spec.data_dir and not is_here(task):
        found.append(f"fetching the rows of {task.title} from the hub ({task.hub[0]})")
    if not Path(model).is_dir() and copy_here("model", model, "config.json") is None:
        found.append(f"fetching {plan.facts.name} from the hub ({model})")
    return found


def planned_data(plan: Plan) -> tuple[list[str], RowLengths | None]:
    """Lines on the rows of a search that has not started, and how long they are where that is known without a network.

    Raises:
        DataError: the rows are here, and something is wrong with them; all problems at once.
    """
    from trials.backbones.describe import load_tokenizer
    from trials.data.rows import load_rows
    from trials.data.sources import find_source

    task, data_dir = plan.task, plan.spec.data_dir
    folder = Path(data_dir) if data_dir else None
    if not task.embedded and task.files is None and folder is None:
        return ["data: not looked at, the rows come from the hub (--data-dir FOLDER reads them here)"], None
    try:
        tokenizer = load_tokenizer(plan.facts, local=True)
    except BackboneError:
        rows = load_rows(task, find_source(task, folder))
        sizes = ", ".join(f"{split} {len(found):,} rows" for split, found in rows.items())
        unseen = f"not looked at as tokens, since the tokenizer of {plan.facts.name} is not here yet"
        return [f"data: {sizes}; {unseen}"], None
    data = prepare_data(plan, tokenizer)
    return list(data_lines(data.report)), RowLengths.of(data)
