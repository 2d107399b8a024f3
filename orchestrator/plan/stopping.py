"""What early stopping of a search goes by, asked for or not: scores or losses, and from which step on."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.plan.plan import Plan
from orchestrator.plan.settings import HALVING, SearchSettings
from orchestrator.schedulers.asha import RankBy, default_grace_period
from orchestrator.schedulers.base import Scheduler
from orchestrator.schedulers.make import make_scheduler
from search_spaces import Settings as SpaceSettings
from trials.backbones.answers import MOST_NODES
from trials.tasks import Task


def ranked_by(settings: SearchSettings, task: Task, problems: list[str]) -> RankBy:
    """What trials are compared by at a rung: losses where they are known, and scores where ties are to be told apart.

    Losses come with the answers where these are a small closed set (`trials.backbones.answers`): where they are any
    text, or too many, a loss would cost a second pass over all rows at each report.
    """
    if settings.rank_by == "loss" and not 0 < len(task.answers) <= MOST_NODES:
        why = f"{len(task.answers)} answers are too many" if task.answers else "its answers may be any text"
        problems.append(
            f"--rank-by loss: no validation loss is computed of {task.title}: {why}; leave it out, or take "
            "--rank-by score"
        )
    if settings.scheduler not in HALVING:
        return "score"
    by_default: RankBy = "loss" if 0 < most_nodes(task.answers) <= MOST_NODES and settings.ties == "keep" else "score"
    return settings.rank_by or by_default


def most_nodes(answers: Sequence[str]) -> int:
    """Nodes of the answers' tree with a tokenizer of single bytes: none has more."""
    texts = [text.encode() for text in answers]
    return len({text[:end] for text in texts for end in range(1, len(text) + 1)})


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


def scheduler_of(plan: Plan, examples: int) -> Scheduler:
    """A fresh scheduler for a search.

    Args:
        examples: of the validation split; 0 where not known.
    """
    settings = plan.settings
    return make_scheduler(
        settings.scheduler,
        plan.numbers,
        plan.training.steps,
        grace_period=plan.grace_period,
        reduction_factor=settings.reduction_factor,
        deterministic=settings.deterministic,
        ties=settings.ties,
        rank_by=plan.rank_by,
        stop_chance=settings.stop_chance,
        configurations={trial.number: trial.config.hyperparameters for trial in plan.trials},
        examples=examples,
    )
