"""What Ray offers no public call for, in one place. Read in Ray 2.60; look here first when another version is taken.

Nothing else of the project touches a name of Ray's or Tune's that begins with an underscore, but for the start of a Ray
of one's own (`_temp_dir`, a documented argument of `ray.init`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING

from ray._common.utils import get_default_system_temp_dir
from ray._private import state, worker
from ray._private.node import Node

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial


def draining_nodes() -> set[str]:
    """Ids of the hosts that are about to be taken away; `ray.nodes` does not say so. Ray Train asks here, too."""
    return set(state.state.get_draining_nodes())


def has_own_ray() -> bool:
    """Whether this process has started its Ray itself: on this machine alone, where no other host ever joins."""
    return bool(worker.global_worker.node.is_head())


def system_temporary_folder() -> str:
    """Where Ray puts its folder unless it is given one."""
    return get_default_system_temp_dir()


def end_half_started(trace: TracebackType | None) -> None:
    """End the processes of a Ray that did not come up: they would run beside the next one, and Ray forgets them.

    Args:
        trace: of what `ray.init` raised; the node that was being started is in one of its frames.
    """
    while trace is not None:
        node = trace.tb_frame.f_locals.get("self")
        if isinstance(node, Node):
            with suppress(Exception):
                node.kill_all_processes(check_alive=False, allow_graceful=False)
        trace = trace.tb_next


@contextmanager
def lean_head() -> Iterator[None]:
    """Start a Ray without three of its processes, which cost two seconds and serve nobody where a search is alone.

    One reads all logs ten times a second to show them, one adds hosts to a cluster, and what is left of the dashboard
    where that is not wanted counts usage. `ray.init` has no option for any of them.
    """
    unneeded = ("start_log_monitor", "start_monitor", "start_api_server")
    before = {name: getattr(Node, name) for name in unneeded if hasattr(Node, name)}
    for name in before:
        setattr(Node, name, lambda node, **options: None)
    try:
        yield
    finally:
        for name, start in before.items():
            setattr(Node, name, start)


def hold(tune_controller: TuneController, trial: Trial) -> None:
    """Let a trial that is tried again wait for its turn, as a new one does.

    Where an actor dies while it takes a trial over, Tune learns of it twice, from the actor and from the call. Of a
    trial that is pending again by then it makes a failure for good, in spite of its retries; of one that is paused
    nothing. And it would go on believing that the trial is being taken over, and never start an actor for it.
    """
    tune_controller._set_trial_status(trial, trial.PAUSED)
    whole = getattr(tune_controller, "_tune_controller", tune_controller)  # schedulers are given a part of it
    getattr(whole, "_resetting_trials", set()).discard(trial)
