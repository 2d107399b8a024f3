"""A sweep's run as MLflow shows it, above the runs of its searches."""

from __future__ import annotations

from pathlib import Path

from orchestrator.record.status import TrialStatus
from orchestrator.store.layout import PAGE
from orchestrator.sweep.report import REPORT
from orchestrator.sweep.state import STATE, SearchStatus, SweepState
from orchestrator.tracking.sweep_run import SweepRun, SweepShown


def open_sweep_run(tracking_uri: str | None, state: SweepState, folder: Path, begun: bool) -> SweepRun:
    """Make or find the run of a sweep, in the experiment that is called as the sweep.

    Args:
        folder: of the run. begun: as of `SweepRun.open`.

    Raises:
        TrackingError: the store cannot be used.
    """
    name = f"{state.sweep} {state.run}"
    return SweepRun.open(tracking_uri, state.sweep, name, state.uid, shown_of(state, folder), begun=begun)


def shown_of(state: SweepState, folder: Path, interrupted: bool = False) -> SweepShown:
    """What MLflow is to show of a state.

    Args:
        folder: of the run. interrupted: its process ends before the run does.
    """
    counts = {status.value: len(state.those(status)) for status in SearchStatus}
    status = TrialStatus.INTERRUPTED if interrupted else TrialStatus.RUNNING
    if state.ended is not None:
        status = TrialStatus.FINISHED if state.measured else TrialStatus.FAILED
    started = state.started.timestamp()
    return SweepShown(
        params={"sweep": state.sweep, "run": state.run, "searches": len(state.searches)},
        tags={key: text for key, text in state.provenance.items() if not key.startswith("memory")},
        headline=", ".join(f"{count} {name}" for name, count in counts.items() if count),
        figures={f"searches/{name.replace(' ', '_')}": count for name, count in counts.items()},
        artifacts=[path for path in (folder / STATE, folder / REPORT / PAGE) if path.exists()] if state.ended else [],
        status=status,
        started=started,
        at=state.ended.timestamp() if state.ended else started + state.seconds,
    )
