"""Records for the tests: trials of five reports at most, on RTE's split sizes (138 validation, 139 test examples)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from orchestrator.record.record import SearchRecord, TrialRecord
from orchestrator.record.status import TrialStatus

EVERY = 1_000


def right(count: int, of: int = 138) -> float:
    """The accuracy of that many right answers, in points."""
    return 100.0 * count / of


def make_trial(
    number: int, scores: Sequence[float] = (), status: str = "finished", every: int = EVERY, **fields: Any
) -> TrialRecord:
    """A trial that reported these validation scores, one each ``every`` steps."""
    reports: list[dict[str, Any]] = []
    best, best_step = -math.inf, 0
    for index, score in enumerate(scores, 1):
        if math.isfinite(score) and score > best:
            best, best_step = score, index * every
        seconds = {"seconds/train": 10.0, "seconds/evaluation": 1.5}
        reports.append({"step": index * every, "score": score, "best_score": best, "best_step": best_step, **seconds})
    given = {"configuration": {"prompt_length": 20 * number, "prompt_lr": 0.3, "mlp_lr": 1e-4}, **fields}
    return TrialRecord(
        trial_id=f"t{number}", number=number, seed=42, status=TrialStatus(status), reports=reports, **given
    )


def make_record(*trials: TrialRecord, **fields: Any) -> SearchRecord:
    """A search of these trials with a budget of five reports each."""
    given: dict[str, Any] = {
        "name": "rte-adept",
        "task": "rte",
        "method": "adept",
        "backbone": "t5-base",
        "recipe": "released_code",
        "metric": "accuracy",
        "settings": {"steps": 5 * EVERY, "eval_every": EVERY, "batch_size": 32},
        "sizes": {"train": 2490, "validation": 138, "test": 139},
        "majority": {"validation": 50.7, "test": 54.7},
        **fields,
    }
    return SearchRecord(trials=list(trials), **given)
