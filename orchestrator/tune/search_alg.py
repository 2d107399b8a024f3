"""Tune's search algorithm: hands out a search's trials one by one, when there is a worker that would train them.

Tune's own grid makes all trials at once, and then throws a worker away with each trial that ends ("the search is
over"). Handed out one by one, trials take over the workers of those before them, and a searcher is asked for the next
configuration only when everything is known that can be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ray.tune.search import Searcher

from orchestrator.record.status import TrialStatus
from orchestrator.tune.scheduler import TuneScheduler


class TuneSearch(Searcher):
    """Tune's view of where trials come from. Use with ``num_samples=-1``.

    Args:
        next_config: the Tune config of the next trial; None where there is none left.
        scheduler: of the same Tune run.
        observe: given each report and end of a trial: its number, the result (empty where there is none), its status as
            `TuneScheduler.status` has it. For searchers that learn.
    """

    def __init__(
        self,
        next_config: Callable[[], dict[str, Any] | None],
        scheduler: TuneScheduler,
        observe: Callable[[int, Mapping[str, Any], TrialStatus], None] = lambda number, result, status: None,
    ) -> None:
        super().__init__()
        self._next_config = next_config
        self._scheduler = scheduler
        self._observe = observe
        self._numbers: dict[str, int] = {}

    def suggest(self, trial_id: str) -> Any:
        """The next trial's config; None for "not now"."""
        if self._scheduler.exhausted:
            return Searcher.FINISHED if self._scheduler.all_over() else None
        if not self._scheduler.has_room():
            return None
        config = self._next_config()
        if config is None:
            self._scheduler.exhausted = True
            return self.suggest(trial_id)
        self._numbers[trial_id] = config["number"]
        return config

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """A trial reported and was not stopped."""
        number = self._numbers[trial_id]
        self._observe(number, result, self._scheduler.status(number))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A trial is over; it has no result where it failed or was ended while it waited."""
        number = self._numbers[trial_id]
        self._observe(number, result or {}, TrialStatus.FAILED if error else self._scheduler.status(number))

    def save(self, checkpoint_path: str) -> None:
        """Nothing: a resumed search makes its own from the search's record."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: see `save`."""

    def __reduce__(self) -> tuple[type[Searcher], tuple[()]]:
        # Tune pickles it with the run; that copy is never used.
        return Searcher, ()
