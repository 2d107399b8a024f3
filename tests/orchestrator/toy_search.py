"""A search without a language model: what a trial does follows from its number."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
from pathlib import Path
from typing import Any

from ray import cloudpickle, tune
from ray.tune.result import DONE
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from orchestrator.tune.callback import SearchCallback

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # Ray's workers cannot import this file

BUDGET = 400
EVERY = 100
GOOD, WEAK, DIVERGES, RAISES, RAISES_ONCE = "good", "weak", "diverges", "raises", "raises once"
KINDS = {1: GOOD, 2: GOOD, 3: WEAK, 4: WEAK, 5: DIVERGES, 6: RAISES, 7: RAISES_ONCE}


class ToyTrial(tune.Trainable):
    """Reports as a real trial does, and keeps an adapter in every checkpoint."""

    def setup(self, config: dict[str, Any]) -> None:
        self.at = 0
        self.restored = False

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        self.at += EVERY
        kind = self.config["kind"]
        if self.at == 200 and (kind == RAISES or (kind == RAISES_ONCE and not self.restored)):
            raise ValueError(f"the toy broke at {self.at}\nand says more")
        diverged = kind == DIVERGES and self.at >= 200
        score = (20.0 if kind == WEAK else 70.0) + self.at / 100
        status = "diverged" if diverged else "finished" if self.at >= BUDGET else "running"
        return {
            "step": self.at,
            "score": score,
            "best_score": score,
            "best_step": self.at,
            "train/loss": math.nan if diverged else 100 / self.at,
            "validation/accuracy": score,
            "learning_rate/prompt": 0.3 * (1 - self.at / BUDGET),
            "seconds/train": 0.1,
            "seconds/evaluation": 0.01,
            "status": status,
            DONE: status != "running",
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        folder = Path(checkpoint_dir)
        (folder / "at.json").write_text(json.dumps(self.at))
        (folder / "adapter").mkdir()
        (folder / "adapter" / "adapter_config.json").write_text(json.dumps({"step": self.at}))
        (folder / "adapter" / "adapter_model.safetensors").write_bytes(b"\0" * 40_000)

    def load_checkpoint(self, checkpoint_dir: str) -> None:  # type: ignore[override]
        self.at = json.loads((Path(checkpoint_dir) / "at.json").read_text())
        self.restored = True


class Shown:
    """A display that remembers what it was told, and may press Ctrl-C when a trial starts."""

    def __init__(self, interrupt_at: int | None = None) -> None:
        self.interrupt_at = interrupt_at
        self.started: list[int] = []
        self.steps: list[tuple[int, int]] = []
        self.ends: dict[int, tuple[str, str]] = {}

    def trial_started(self, number: int, configuration: dict[str, Any], step: int = 0) -> None:
        self.started.append(number)
        if number == self.interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)

    def reported(self, number: int, report: dict[str, Any]) -> None:
        self.steps.append((number, report["step"]))

    def ended(self, number: int, status: str, reason: str = "") -> None:
        self.ends[number] = (status, reason)

    def tick(self) -> None:
        pass


class StopTheWeak(FIFOScheduler):
    """Stops the same trials as ASHA would, but needs no memory of the others, which Ray's ASHA loses in a restart."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        return TrialScheduler.STOP if trial.config["kind"] == WEAK else TrialScheduler.CONTINUE


def asha() -> ASHAScheduler:
    """Halves the trials after each report."""
    return ASHAScheduler("step", metric="score", mode="max", max_t=BUDGET, grace_period=EVERY, reduction_factor=2)


def trial_of(number: int) -> dict[str, Any]:
    """The part of a Tune config that says what is trained."""
    return {"hyperparameters": {"prompt_lr": number / 10, "prompt_length": 20 * number}, "seed": 42}


def make_tuner(folder: Path, callback: SearchCallback, numbers: list[int], scheduler: TrialScheduler) -> tune.Tuner:
    """All trials with these numbers, two at a time, in their order."""
    return tune.Tuner(
        tune.with_resources(ToyTrial, {"cpu": 1}),
        param_space={
            "number": tune.grid_search(numbers),
            "kind": tune.sample_from(lambda config: KINDS[config["number"]]),
            "trial": tune.sample_from(lambda config: trial_of(config["number"])),
        },
        tune_config=tune.TuneConfig(scheduler=scheduler, reuse_actors=True),
        run_config=tune.RunConfig(
            name="toy",
            storage_path=str(folder),
            callbacks=[callback],
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=1),
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1, num_to_keep=2, checkpoint_at_end=True),
        ),
    )
