"""An engine: one accelerator, one backbone, one task's data, and the trials that train on them together."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path

from trials.adapters import describe_adapter
from trials.backbones import Backbone
from trials.checkpoints import restore_trial, save_trial
from trials.config import Report, TrialConfig
from trials.data import PreparedTask
from trials.methods import make_method
from trials.stack import Stack, score
from trials.trial import Trial


class Engine:
    """Holds trials in slots and trains all of them in one stack.

    A caller asks for one trial's next report; meanwhile the other trials advance with it, each until it has a report
    that nobody has fetched yet. A trial never runs ahead of a decision about it.

    >>> engine = Engine(load_backbone("t5-nano"), data)
    >>> engine.start("a", TrialConfig("adept", {...}, steps=400, eval_every=50))
    >>> engine.next_report("a").score
    """

    def __init__(self, backbone: Backbone, data: PreparedTask) -> None:
        self.backbone = backbone
        self.data = data
        self.stack = Stack(backbone, data.split("train"))
        self.slots: dict[str, Trial] = {}
        self.waiting: dict[str, deque[Report]] = {}

    def start(self, trial_id: str, config: TrialConfig, checkpoint: Path | None = None) -> None:
        """Put a trial in a slot, fresh or from its checkpoint folder."""
        method = make_method(config, self.backbone.surroundings(self.data.max_source_length))
        trial = Trial(config, method.to(self.backbone.device))
        if checkpoint is not None:
            restore_trial(checkpoint, trial)
        self.slots[trial_id] = trial
        self.waiting[trial_id] = deque()

    def stop(self, trial_id: str) -> None:
        """Free a trial's slot. The others go on as they were."""
        del self.slots[trial_id], self.waiting[trial_id]

    def next_report(self, trial_id: str) -> Report:
        """Train until this trial's next report is there, and hand it over."""
        while not self.waiting[trial_id]:
            running = {key: trial for key, trial in self.slots.items() if not self.waiting[key]}
            self.stack.step(list(running.values()))
            for key, trial in running.items():
                if trial.due or (trial.loss_count % self.check_every == 0 and trial.diverged):
                    self.waiting[key].append(self._evaluate(trial))
        return self.waiting[trial_id].popleft()

    @property
    def check_every(self) -> int:
        """Updates between two looks at whether a loss is finite: each look makes an accelerator wait."""
        return 1 if self.backbone.device.type == "cpu" else 25

    def save(self, trial_id: str, folder: Path) -> None:
        """Write a trial's checkpoint, with its best adapter, into a folder."""
        trial = self.slots[trial_id]
        data = self.data
        description = describe_adapter(
            trial.config, data.task, self.backbone, data.max_source_length, data.max_target_length
        )
        save_trial(folder, trial, {**description, "data_fingerprint": data.fingerprint})

    def _evaluate(self, trial: Trial) -> Report:
        selection, *_ = metrics = self.data.task.metrics
        if trial.diverged:
            return trial.report(None, selection)
        started = time.perf_counter()
        scored = score(self.backbone, trial.method, self.data.split("validation"), metrics, self.data.max_target_length)
        return trial.report(scored.metrics, selection, time.perf_counter() - started)
