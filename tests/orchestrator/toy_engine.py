"""An engine without a language model: what its trials report follows from their configs and steps."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from ray import cloudpickle

from trials.config import Report, TrialConfig

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # Ray's workers cannot import this file

BREAKS = 13.0  # a prompt rate with which an update raises
REFUSED = 14.0  # a prompt rate with which a trial cannot start
PAUSE = 0.01  # seconds of an update


def config_of(prompt_lr: float = 0.1, steps: int = 4, eval_every: int = 1) -> TrialConfig:
    return TrialConfig("adept", {"prompt_lr": prompt_lr}, steps, eval_every)


class ToyEngine:
    """A trial's score at a step is a hundred times its rate plus its step; its checkpoint holds the step."""

    def __init__(self, slots: int = 4) -> None:
        self.slots_to_fill = slots
        self.trials: dict[str, TrialConfig] = {}
        self.steps: dict[str, int] = {}
        self.waiting: dict[str, Report] = {}
        self.note = ""
        self.most = 0

    @property
    def busy(self) -> bool:
        return len(self.waiting) < len(self.trials)

    def start(self, trial_id: str, config: TrialConfig, checkpoint: Path | None = None) -> None:
        if config.hyperparameters["prompt_lr"] == REFUSED:
            raise ValueError("no such rate")
        self.trials[trial_id] = config
        self.steps[trial_id] = json.loads((checkpoint / "training.json").read_text())["step"] if checkpoint else 0
        self.most = max(self.most, len(self.trials))

    def stop(self, trial_id: str) -> None:
        del self.trials[trial_id]
        self.waiting.pop(trial_id, None)

    def advance(self) -> list[str]:
        time.sleep(PAUSE)
        reported = []
        for key, config in self.trials.items():
            if key in self.waiting:
                continue
            if config.hyperparameters["prompt_lr"] == BREAKS:
                raise ValueError("the toy broke")
            self.steps[key] += 1
            step = self.steps[key]
            if step % config.eval_every == 0:
                score = 100 * float(config.hyperparameters["prompt_lr"]) + step
                status: Any = "finished" if step >= config.steps else "running"
                self.waiting[key] = Report(
                    step=step,
                    score=score,
                    best_score=score,
                    best_step=step,
                    train_loss=1.0,
                    validation_loss=None,
                    validation={"accuracy": score},
                    status=status,
                )
                reported.append(key)
        return reported

    def take(self, trial_id: str) -> Report | None:
        return self.waiting.pop(trial_id, None)

    def save(self, trial_id: str, folder: Path) -> None:
        (folder / "adapter").mkdir()
        (folder / "adapter" / "step.json").write_text(str(self.steps[trial_id]))
        facts = {"step": self.steps[trial_id], "pid": os.getpid(), "config": self.trials[trial_id].as_dict()}
        (folder / "training.json").write_text(json.dumps(facts))


def build_toy(spec: Any, device: str) -> ToyEngine:
    return ToyEngine(spec.slots or 4)
