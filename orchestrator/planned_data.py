"""What a plan can say of its data without a network: the whole report, the rows alone, or why neither."""

from __future__ import annotations

from pathlib import Path

from orchestrator.plans import Plan
from orchestrator.summarizer.data import data_lines
from trials.errors import BackboneError


def planned_data(plan: Plan) -> list[str]:
    """Lines on the rows of a search that has not started.

    Raises:
        DataError: the rows are here, and something is wrong with them; all problems at once.
    """
    from trials.backbone_facts import load_tokenizer
    from trials.data import prepare
    from trials.data.rows import load_rows
    from trials.data.sources import find_source

    task, data_dir = plan.task, plan.spec.data_dir
    folder = Path(data_dir) if data_dir else None
    if not task.embedded and task.files is None and folder is None:
        return ["data: not looked at, the rows come from the hub (--data-dir FOLDER reads them here)"]
    try:
        tokenizer = load_tokenizer(plan.facts, local=True)
    except BackboneError:
        rows = load_rows(task, find_source(task, folder))
        sizes = ", ".join(f"{split} {len(found):,} rows" for split, found in rows.items())
        return [f"data: {sizes}; not looked at as tokens, since the tokenizer of {plan.facts.name} is not here yet"]
    prepared = prepare(
        task,
        tokenizer,
        architecture=plan.facts.architecture,
        data_dir=folder,
        max_source_length=plan.max_source_length,
    )
    return list(data_lines(prepared.report))
