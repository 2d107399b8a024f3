"""What trained a search, and how fast: what its record keeps of its engines, and what follows from its reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from orchestrator.record.record import SearchRecord

REUSED = "reused-"
"""Begins the ids of trials that were taken over from other searches."""


class EngineLike(Protocol):
    """What is asked of an engine: a part of `orchestrator.engines.actor.EngineFacts`, where each is described."""

    @property
    def slots(self) -> int: ...  # noqa: D102
    @property
    def memory(self) -> int: ...  # noqa: D102
    @property
    def device(self) -> str: ...  # noqa: D102


def noted(engines: Sequence[EngineLike], earlier: Mapping[str, Any]) -> dict[str, Any]:
    """What `SearchRecord.engines` says after a start of the search, given what it said before.

    Returns:
        ``count``, ``devices`` (``cpu``, ``cuda``) and ``slots`` (of each engine) of the latest start that had any, and
        ``peak_memory``: bytes of the largest engine's process since it was begun for this search (of its accelerator,
        where it has one), the highest of all starts.
    """
    if not engines:
        return dict(earlier)
    return {
        "count": len(engines),
        "devices": sorted({engine.device for engine in engines}),
        "slots": [engine.slots for engine in engines],
        "peak_memory": max(earlier.get("peak_memory", 0), *(engine.memory for engine in engines)),
    }


def updates_per_second(record: SearchRecord) -> float | None:
    """Updates of all trials in a second of an engine's work, evaluation included; None before the first report.

    A report carries its trial's share of the seconds that the engine spent since the report before. Trials taken over
    from other searches do not count: their seconds are those of other machines.
    """
    own = [trial for trial in record.trials if not trial.trial_id.startswith(REUSED)]
    seconds = sum(trial.train_seconds + trial.evaluation_seconds for trial in own)
    return sum(trial.step for trial in own) / seconds if seconds else None
