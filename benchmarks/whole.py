"""Trials trained to their whole budgets in one engine, nothing stopped, for benchmarks that need every report."""

from __future__ import annotations

from collections.abc import Mapping

from trials.config import Report, TrialConfig
from trials.engine import Engine


def train(engine: Engine, configs: Mapping[str, TrialConfig], together: int | None = None) -> dict[str, list[Report]]:
    """Every report of each trial.

    Args:
        together: trials in the engine at the same time; all if None.
    """
    found: dict[str, list[Report]] = {name: [] for name in configs}
    waiting = list(configs)
    while waiting or engine.slots:
        while waiting and len(engine.slots) < (together or len(configs)):
            engine.start(waiting[0], configs[waiting.pop(0)])
        for name in engine.advance():
            report = engine.take(name)
            assert report is not None
            found[name].append(report)
            if report.status != "running":
                engine.stop(name)
    return found
