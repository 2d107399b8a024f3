"""What a store holds of a search's runs, as it was read and as it was changed since."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.tracking.projection import KEY, RERUNS

if TYPE_CHECKING:
    from mlflow.entities import Run

    from orchestrator.tracking.runs import Runs

RUNNING = "RUNNING"  # MLflow's own word


@dataclass
class KnownRun:
    """What the store holds of a run, as it was read and as it was changed since.

    Attributes:
        status: MLflow's own. last_step: of the last report that is there whole.
    """

    run_id: str
    status: str = RUNNING
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    last_step: int = -1

    @classmethod
    def of(cls, run: Run) -> KnownRun:
        """From MLflow's own."""
        data = run.data
        last = int(data.metrics.get("step", -1))
        return cls(run.info.run_id, run.info.status, dict(data.tags), dict(data.params), dict(data.metrics), last)

    @property
    def is_search(self) -> bool:
        """Whether it is the search's own run, and no trial's."""
        return self.tags.get("kind") == "search"

    @property
    def key(self) -> str:
        """Of a trial's run: see `projection.by_key`."""
        return self.tags.get(KEY) or self.tags.get("mlflow.runName", "")

    @property
    def reruns(self) -> int:
        """How often its trial had been trained from the start again."""
        return int(self.tags.get(RERUNS, 0))

    def contradicts(self, params: Mapping[str, str]) -> bool:
        """Whether it is of a training with other parameters than these, which the record has lost."""
        return any(self.params.get(name, text) != text for name, text in params.items())

    def lacks(self, tags: Mapping[str, str]) -> dict[str, str]:
        """Those of some tags that it has not got; an empty one is as good as none."""
        return {name: value for name, value in tags.items() if self.tags.get(name, "") != value}


@dataclass
class KnownRuns:
    """The runs of one search.

    Attributes:
        parent: the search's own; None where it has none.
        trials: by their keys.
        deleted: the keys of deleted runs, the search's own as the empty one, and their latest `KnownRun.reruns`.
    """

    parent: KnownRun | None = None
    trials: dict[str, KnownRun] = field(default_factory=dict)
    deleted: dict[str, int] = field(default_factory=dict)

    def read(self, runs: Runs, uid: str, earlier: str) -> None:
        """See what the store holds.

        Of several runs of one trial, or of the search, that one stays which was known before; else the one with the
        most reports; else the first one.

        Args:
            uid, earlier: of the search, see `Sync`.
        """
        found = runs.of_search(uid)
        if earlier:
            ids = {run.run_id for run in found}
            found += [run for run in runs.below(earlier) if run.run_id not in ids]
        ours = {run.run_id for run in (self.parent, *self.trials.values()) if run is not None}
        self.deleted = {}
        for run in runs.of_search(uid, deleted=True):
            key = "" if run.is_search else run.key
            self.deleted[key] = max(run.reruns, self.deleted.get(key, 0))
        self.parent, self.trials = None, {}
        found.reverse()
        for run in sorted(found, key=lambda run: (run.run_id not in ours, -run.last_step)):
            if run.is_search:
                self.parent = self.parent or run
            else:
                self.trials.setdefault(run.key, run)

    def doubles(self, found: Iterable[KnownRun]) -> Iterator[KnownRun]:
        """Those of some runs that stand for the same trial as a known one, or for the search."""
        ours = {run.run_id for run in (self.parent, *self.trials.values()) if run is not None}
        return (run for run in found if run.run_id not in ours and (run.is_search or run.key in self.trials))
