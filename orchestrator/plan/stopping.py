"""What early stopping of a search goes by, asked for or not: scores or losses, and from which step on."""

from __future__ import annotations

from orchestrator.plan.settings import HALVING, SearchSettings
from orchestrator.schedulers.asha import RankBy, default_grace_period
from search_spaces import Settings as SpaceSettings
from trials.tasks import Task


def ranked_by(settings: SearchSettings, task: Task, problems: list[str]) -> RankBy:
    """What trials are compared by at a rung: losses where they are known, and scores where ties are to be told apart.

    They are known where a task's answers are a closed set: where they are any text, a loss would cost a second pass
    over all rows at each report.
    """
    if settings.rank_by == "loss" and not task.answers:
        problems.append(
            f"--rank-by loss: answers of {task.title} may be any text, and no validation loss is computed of such; "
            "leave it out, or take --rank-by score"
        )
    if settings.scheduler not in HALVING:
        return "score"
    return settings.rank_by or ("loss" if task.answers and settings.ties == "keep" else "score")


def first_rung(settings: SearchSettings, training: SpaceSettings, rank_by: RankBy, problems: list[str]) -> int:
    """The grace period in steps: the budget itself where nothing is stopped."""
    if settings.scheduler == "none":
        return training.steps
    if settings.scheduler == "freeze-thaw":
        return training.eval_every
    if settings.grace_period is None:
        return default_grace_period(training.steps, training.eval_every, rank_by)
    if settings.grace_period > training.steps or settings.grace_period % training.eval_every:
        problems.append(
            f"--grace-period {settings.grace_period}: must be a multiple of --eval-every ({training.eval_every}) "
            f"and at most the budget of {training.steps} steps"
        )
    return settings.grace_period
