"""What a searcher begins with: the space's ranges and, if the user wants, what earlier searches have found.

What was found elsewhere is kept with the search: a store that has grown since must not change what a resumed search
proposes.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.plan.plan import Plan
from orchestrator.record.record import SearchRecord
from orchestrator.record.strict_json import decode, encode, write_atomically

if TYPE_CHECKING:
    from orchestrator.searchers.optuna_search import ConfigurationSearch

WARM_START = "warm_start.json"


def make_searcher(plan: Plan, record: SearchRecord, folder: Path) -> tuple[ConfigurationSearch, list[str]]:
    """The searcher of a search that learns, and what to tell its user.

    Args:
        record: of this search.
        folder: of the search.

    Raises:
        TrackingError: the tracking store cannot be read.
    """
    from orchestrator.searchers.distributions import Distributions
    from orchestrator.searchers.optuna_search import ConfigurationSearch, Tried  # they bring a library

    distributions = Distributions(plan.space, plan.facts.width, plan.max_source_length, plan.sizes)
    searcher = ConfigurationSearch(distributions, plan.settings.searcher, plan.settings.seed, plan.samples)
    if not plan.settings.warm_start:
        return searcher, []
    file = folder / WARM_START
    if file.exists():
        kept = decode(json.loads(file.read_text(encoding="utf-8")))
        searcher.earlier = [Tried(**tried) for tried in kept["earlier"]]
        searcher.first = kept["first"]
        return searcher, []
    from orchestrator.summarizer.results.mlflow_searches import read_store

    earlier = [found.record for found in read_store(plan.settings.tracking_uri).searches]
    sentences = searcher.learn_from([one for one in earlier if one.name != record.name], record)
    problems: list[str] = []
    plain = encode({"earlier": [asdict(t) for t in searcher.earlier], "first": searcher.first}, "", problems)
    write_atomically(file, json.dumps(plain, indent=1, allow_nan=False) + "\n")
    return searcher, [f"warm start: {sentence}" for sentence in sentences] or ["warm start: no earlier search is there"]
