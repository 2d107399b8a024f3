"""What stands already where a planned search would write."""

from __future__ import annotations

from orchestrator.plan.plan import Plan
from orchestrator.plan.same_data import check_finished
from orchestrator.plan.search_folder import SearchFolder


def standing(plan: Plan) -> list[str]:
    """What `search` would find in the plan's folder, a sentence each; none where it holds no search.

    Raises:
        UserError: what `search` would refuse: another search, other data.
    """
    there = SearchFolder(plan.folder)
    record = there.previous(plan)
    if not there.begun:
        return []
    if record is None:
        return [f"search {plan.name} was begun there; its record is lost, and it would go on from its checkpoints"]
    note = check_finished(plan, record, there.data)
    finished = record.test is not None
    state = "is finished: its table would be shown" if finished else "was begun there: it would go on"
    return [f"search {plan.name} {state}", *([f"note: {note}"] if note else [])]
