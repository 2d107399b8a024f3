"""The search as Ray Tune sees it: cluster, trials, resources, scheduler."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune import FailureConfig, RunConfig, TuneConfig, Tuner
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from orchestrator.checkpoint_files import attempts, to_go_on_from
from orchestrator.planning import Plan
from orchestrator.progress import Progress
from orchestrator.records import SearchRecord
from orchestrator.running import RETRIES
from orchestrator.schedulers import Asha
from orchestrator.tracking import Tracker
from orchestrator.tracking_callback import TrackingCallback
from orchestrator.trainable import TrialActor, test_winner
from trials.errors import UserError

SETTLED = ("finished", "stopped early", "diverged")  # a failed trial is tried again when its search is resumed

HEAD_OF_A_CLUSTER = Path("~/ray_bootstrap_config.yaml")
"""Left by `ray up` on a cluster's head, where `ray submit` runs the script."""

WORKER_ENVIRONMENT = {
    # Large activations would be mapped and unmapped at every step otherwise; glibc reads this at the process's start.
    "MALLOC_MMAP_THRESHOLD_": str(8 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(16 << 30),
    "PYTHONWARNINGS": "ignore",
}


def connect(debug: bool) -> None:
    """Join the cluster that $RAY_ADDRESS names or that `ray up` made this machine the head of; else start a Ray.

    A Ray that merely runs on the machine is not joined: it may be another search's own, and end with it.

    Raises:
        UserError: $RAY_ADDRESS names a cluster that does not answer.
    """
    if ray.is_initialized():
        return
    level = logging.INFO if debug else logging.ERROR
    options: dict[str, Any] = {"log_to_driver": debug, "logging_level": level, "ignore_reinit_error": True}
    address = os.environ.get("RAY_ADDRESS")
    if address != "local" and (address or HEAD_OF_A_CLUSTER.expanduser().exists()):
        try:
            ray.init(address=address or "auto", runtime_env={"env_vars": WORKER_ENVIRONMENT}, **options)
            return
        except ConnectionError as error:
            if address:
                problem = f"RAY_ADDRESS={address}: no Ray cluster answers there; unset it to run here"
                raise UserError([problem]) from error
    for key, value in WORKER_ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    ray.init(address="local", include_dashboard=False, **options)


def resources(plan: Plan) -> tuple[dict[str, float], int]:
    """What one trial asks for, and how many may run at once.

    A trial takes one slot of a device: ``1 / --slots`` of an accelerator where the cluster has any, else of a CPU core.

    Raises:
        UserError: more devices are asked for than there are.
    """
    have = ray.cluster_resources()
    kind = "GPU" if have.get("GPU") else "CPU"
    count = int(have.get(kind, 0))
    devices = plan.settings.devices or count
    if devices > count:
        raise UserError([f"--devices {devices}: Ray has {count} {kind}(s) here; ask for at most that many"])
    share = 1.0 / plan.settings.slots
    at_once = devices * plan.settings.slots
    if plan.settings.max_concurrent:
        at_once = min(at_once, plan.settings.max_concurrent)
    return ({"cpu": share} if kind == "CPU" else {"gpu": share, "cpu": share}), at_once


class Search:
    """One search's trials under Tune. Each start or resumption is a Tune run of its own ("attempt") over what is left.

    Args:
        storage: folder of the attempts.
        record: what earlier attempts have left; kept up to date while trials report.
        keep: writes the record down.
    """

    def __init__(
        self,
        plan: Plan,
        storage: Path,
        tracker: Tracker,
        progress: Progress,
        record: SearchRecord,
        keep: Callable[[], None],
    ) -> None:
        self.plan = plan
        self.storage = storage
        self.record = record
        self.keep = keep
        self.callback = RecordingCallback(
            plan.name, plan.training.steps, tracker, progress, recipe=plan.settings.recipe
        )
        self.callback.publish = self._publish
        self.callback.take_up(record.trials)
        before = {trial.number: trial for trial in record.trials}
        self.left = [t for t in plan.trials if t.number not in before or before[t.number].status not in SETTLED]
        self.recorded = {number: trial.step for number, trial in before.items()}
        self._next_save = 0.0

    def fit(self) -> None:
        """Run what has not ended yet; returns after Ctrl-C as well."""
        if not self.left:
            return
        per_trial, at_once = resources(self.plan)
        attempt = len(attempts(self.storage)) + 1
        Tuner(
            tune.with_resources(TrialActor, per_trial),
            param_space={"place": tune.grid_search(list(range(len(self.left)))), **self._configs()},
            tune_config=TuneConfig(
                scheduler=self._scheduler(),
                max_concurrent_trials=at_once,
                reuse_actors=True,
                trial_name_creator=self._name,
                trial_dirname_creator=self._name,
            ),
            run_config=RunConfig(
                name=f"attempt-{attempt}",
                storage_path=str(self.storage),
                callbacks=[self.callback],
                failure_config=FailureConfig(max_failures=RETRIES),
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1, num_to_keep=2),
                verbose=0,
            ),
        ).fit()
        self._publish(now=True)

    def _configs(self) -> dict[str, Any]:
        """The config of the trial at ``place``: looked up here, so that Tune's grid holds nothing but a number."""
        left = self.left
        starts = [to_go_on_from(self.storage, t.number, self.recorded.get(t.number, 0)) for t in left]

        def entry(find: Callable[[int], Any]) -> Any:
            return tune.sample_from(lambda config: find(config["place"]))

        return {
            "spec": self.plan.spec,
            "trial": entry(lambda i: left[i].config.as_dict()),
            "number": entry(lambda i: left[i].number),
            "checkpoint": entry(lambda i: str(starts[i]) if starts[i] else None),
        }

    @property
    def _name(self) -> Callable[[Any], str]:
        """Names a Tune trial by its place in the grid; Tune's ids end in the place among those left, from 0."""
        numbers = [trial.number for trial in self.left]
        return lambda trial: f"trial-{numbers[int(trial.trial_id.rsplit('_')[-1])]}"

    def _scheduler(self) -> TrialScheduler:
        settings, training = self.plan.settings, self.plan.training
        if settings.scheduler == "none":
            return FIFOScheduler()
        earlier = [(trial.number, list(trial.reports)) for trial in self.record.trials]
        return Asha(training.steps, self.plan.grace, settings.eta, earlier, self.callback.explain)

    def _publish(self, now: bool = False) -> None:
        """Write the record down, unless that would take more than a tenth of the time."""
        self.record.trials = list(self.callback.records.values())
        started = time.monotonic()
        if now or started >= self._next_save:
            self.keep()
            self._next_save = started + 10 * (time.monotonic() - started)


class RecordingCallback(TrackingCallback):
    """Also hands the records on after every event, to be written down."""

    publish: Callable[[], None]

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Tune's loop has gone round once."""
        self._progress.tick()
        self.publish()


def test(plan: Plan, adapter: dict[str, bytes]) -> dict[str, Any]:
    """The winner's test scores, computed where the trials ran."""
    per_trial, _ = resources(plan)
    task = ray.remote(test_winner).options(num_cpus=per_trial["cpu"], num_gpus=per_trial.get("gpu", 0))
    return ray.get(task.remote(plan.spec, adapter))
