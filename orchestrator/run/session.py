"""What the searches of one process have in common: a Ray, and engines on it that stay loaded between them."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.engines.kept import KeptEngines
    from orchestrator.tracking.sweep_run import SweepRun


class Session:
    """Given to `orchestrator.run.run.run_search` for one search after the other; as a context it is closed at its end.

    Args:
        headline: what is above the searches at the moment, on one line ("sweep demo: search 3 of 12"); each search's
            display begins with it. Called from the search's own thread, several times a second.
        alone: it is for one search, and ends with it.
        sweep_run: the run in MLflow that the searches' runs are nested below; None: they are below none.

    Attributes:
        engines: those that the searches hand on; None before `connect`.
        has_own_ray: whether Ray was started or joined here, and ends with the session.
    """

    def __init__(
        self,
        *,
        headline: Callable[[], str] | None = None,
        sweep_run: SweepRun | None = None,
        alone: bool = False,
    ) -> None:
        self.headline = headline
        self.sweep_run = sweep_run
        self.alone = alone
        self.engines: KeptEngines | None = None
        self.has_own_ray = False

    def connect(self, debug: bool) -> None:
        """Join or start a Ray (`orchestrator.tune.cluster.connect`), unless that has been done.

        Raises:
            UserError: there is none to be had.
        """
        import ray

        from orchestrator.engines.kept import KeptEngines
        from orchestrator.tune import cluster

        self.has_own_ray = self.has_own_ray or not ray.is_initialized()
        cluster.connect(debug)
        self.engines = self.engines or KeptEngines()

    def close(self) -> None:
        """End what the searches had in common; a second call does nothing."""
        import ray

        kept, self.engines = self.engines, None
        if self.has_own_ray:
            self.has_own_ray = False
            ray.shutdown()  # engines end with it
        elif kept is not None:
            kept.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
