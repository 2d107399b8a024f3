"""Nights for tests of the history, its page and its command."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.nights.night import Cell, CellStatus, Night, SeedScore
from orchestrator.nights.verdict import Finding, Outcome, Quantity, Verdict
from orchestrator.sweep.cells import CellKey

DEBSEC = CellKey("debsec", "adept", "t5-nano")
DEBMATCH = CellKey("debmatch", "pt", "t5-nano")
FIRST = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)


def cell(key: CellKey = DEBSEC, *scores: float, **other: Any) -> Cell:
    """A cell that was measured with these scores, a seed each."""
    given = tuple(SeedScore(seed=seed, score=score, n=600) for seed, score in enumerate(scores or (50.0,), 1))
    fields: dict[str, Any] = {
        "status": CellStatus.MEASURED,
        "metric": "accuracy",
        "scores": given,
        "validation": 49.5,
        "updates_per_second": 40.0,
        "peak_memory": 5e8,
        "share_of_grid": 0.4,
        "configuration": {"prompt_lr": 0.03, "prompt_length": 40},
        "fingerprint": "f1",
        "parts": {"code": "c1", "data": "d1"},
        "folder": f"runs/nightly/{key.task}",
        "command": f"adept-search search --task {key.task}",
    }
    return Cell(key=key, **{**fields, **other})


def night(day: int, *cells: Cell, provenance: Mapping[str, str] | None = None, **other: Any) -> Night:
    """The night of a day, counted from the first of March 2026."""
    started = FIRST + timedelta(days=day - 1)
    facts = {"git_commit": "a" * 40, "version/torch": "2.13.0", "cpu": "AMD EPYC, 2 cores"}
    fields: dict[str, Any] = {
        "date": started.date().isoformat(),
        "sweep": "demo",
        "started": started,
        "ended": started + timedelta(hours=1),
        "calibration": 1000.0,
        "cells": cells or (cell(), cell(DEBMATCH, 60.0)),
        "provenance": {**facts, **(provenance or {})},
    }
    return Night(**{**fields, **other})


def verdict(*findings: Finding) -> Verdict:
    """A verdict of these findings; of none, that the score of debsec is fine."""
    return Verdict(findings or (finding(Outcome.FINE),))


def finding(outcome: Outcome = Outcome.WORSE, key: CellKey = DEBSEC, **other: Any) -> Finding:
    """A finding on a score."""
    fields: dict[str, Any] = {
        "quantity": Quantity.SCORE,
        "before": 52.0,
        "now": 47.0,
        "n": 600,
        "test": "McNemar's, p = 0.001",
        "since": "2026-03-02",
        "commits": "aaaaaaa..bbbbbbb",
        "sentence": f"{key.task}, {key.method}: 52.0 to 47.0 (n 600, McNemar's test, p = 0.001), aaaaaaa..bbbbbbb.",
    }
    return Finding(key=key, outcome=outcome, **{**fields, **other})
