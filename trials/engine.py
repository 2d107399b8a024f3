"""An engine: one accelerator, one backbone, one task's data, and the trials that train on them together."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from trials.backbones.loading import Backbone
from trials.backbones.t5.choice import choose
from trials.checkpoint import restore_trial, save_trial
from trials.config import Report, TrialConfig
from trials.data import PreparedTask
from trials.data.few_shot import few_shot_rows
from trials.errors import UserError
from trials.evaluation import Scored, score
from trials.export.adapters import describe_adapter
from trials.methods import get_method
from trials.methods.base.module import MethodModule, SourceAdapter, make_method
from trials.stack.measuring import FEWEST_SLOTS, Measured, measure
from trials.stack.step import Stack
from trials.tasks.base import SPLITS, SplitName
from trials.trial import Trial


@dataclass(frozen=True)
class EngineSettings:
    """How an engine uses its device.

    Attributes:
        memory_limit: bytes that the engine may use; None: what the device has.
        slots: trials held at once; None: found by measuring.
        deterministic: compute each trial as if it were alone, in passes of a fixed size, so that its numbers are the
            same to the last bit whatever its neighbours do and however often it is resumed; slower.
    """

    memory_limit: int | None = None
    slots: int | None = None
    deterministic: bool = False


class Engine:
    """Holds trials in slots and trains all of them in one stack.

    A caller asks for one trial's next report; meanwhile the other trials advance with it, each until it has a report
    that nobody has fetched yet. A trial never runs ahead of a decision about it.

    >>> engine = Engine(load_backbone("t5-nano"), data)
    >>> engine.start("a", TrialConfig("adept", {...}, steps=400, eval_every=50))
    >>> engine.next_report("a").score

    Args:
        typical: a trial like those to come, to measure the device with at once; else the first one that starts.
        measured: what measuring has found before, on this backbone, with these data and such a trial.
        sources: source prompts that trials may start from, by name, each of shape (rows, d).
        adapters: what was learnt beside them, of those that are whole adapters.

    Attributes:
        slots: the trials by their ids.
        reports: a report of a trial that nobody has fetched yet, by the trial's id; such a trial waits.
        measured: what measuring the device has found; None before.
        alone: whether the trials to come can share no pass of the backbone.
        note: what a user may want to know of the device; often empty.
    """

    def __init__(
        self,
        backbone: Backbone,
        data: PreparedTask,
        settings: EngineSettings | None = None,
        typical: TrialConfig | None = None,
        measured: Measured | None = None,
        sources: Mapping[str, Tensor] | None = None,
        adapters: Mapping[str, SourceAdapter] | None = None,
    ) -> None:
        self.settings = settings or EngineSettings()
        self.backbone = backbone
        self.data = data
        self.sources, self.adapters = dict(sources or {}), dict(adapters or {})
        self.stack = Stack(backbone, data.split("train"))
        self.slots: dict[str, Trial] = {}
        self.reports: dict[str, Report] = {}
        self._drawn: dict[tuple[int, int], list[int]] = {}
        self.measured: Measured | None = None
        if measured is not None:
            self._use(measured)
        self.alone = typical is not None and not self._shares(typical)
        self.note = choose(backbone, self.settings.deterministic)
        if typical is not None:
            self._refuse_long_rows(typical)
            if self.measured is None and not self.settings.deterministic:
                self.measure(typical)

    def measure(self, typical: TrialConfig) -> None:
        """Find out on the device how large passes should be and how many trials fill it.

        Raises:
            UserError: the memory limit leaves no room for a single row.
        """
        self._use(measure(self.backbone, self.data.split("train"), typical, self.settings.memory_limit))

    def _use(self, measured: Measured) -> None:
        self.measured, self.stack.cost = measured, measured.cost

    @property
    def slots_to_fill(self) -> int:
        """How many trials to hold at once: as asked for, or as measured; one of those that can share no pass."""
        if self.alone or not all(self._shares(trial.config) for trial in self.slots.values()):
            return 1
        return self.settings.slots or (self.measured.slots if self.measured else FEWEST_SLOTS)

    def start(self, trial_id: str, config: TrialConfig, checkpoint: Path | None = None) -> None:
        """Put a trial in a slot, fresh or from its checkpoint folder.

        Raises:
            UserError: the checkpoint is of another trial, other data or another backbone, or the backbone has no
                positions for the longest rows. DataError: there is no row to draw for a few-shot trial.
        """
        self._refuse_long_rows(config)
        if self.measured is None and not self.settings.deterministic:
            self.measure(config)
        around = self.backbone.surroundings(self.data.max_source_length)
        around = replace(around, sources=self.sources, adapters=self.adapters)
        method = make_method(config, around)
        trial = Trial(config, method.to(self.backbone.device), self._few_shot_rows(config))
        if checkpoint is not None:
            restore_trial(checkpoint, trial, self.data.fingerprint, self.backbone.facts)
        self.slots[trial_id] = trial
        self.reports.pop(trial_id, None)

    def _few_shot_rows(self, config: TrialConfig) -> list[int] | None:
        if config.shots is None:
            return None
        asked = (config.shots, config.seed)
        if asked not in self._drawn:  # the trials of a search share a few seeds
            self._drawn[asked] = few_shot_rows(self.data.task, self.data.split("train").targets, *asked)
        return self._drawn[asked]

    def _refuse_long_rows(self, config: TrialConfig) -> None:
        method, positions = get_method(config.method), self.backbone.facts.positions
        prefix, answer = method.prefix_length(config.hyperparameters), self.data.max_target_length
        room = self.backbone.room(config.prompt_length, prefix, answer)
        if room is None:
            return
        longest = max(int(self.data.split(split).lengths.max()) for split in SPLITS)
        if longest > room:
            answer = answer if self.backbone.embeds_answers else 0
            prompt = positions - room - answer
            way = f"--max-source-length {room} cuts them" if room > 0 else "choose a shorter prompt"
            raise UserError(
                [
                    f"{self.backbone.facts.name} has positions for {positions:,} tokens, and the longest row needs "
                    f"{prompt + longest + answer:,} ({prompt} of the prompt, {longest:,} of the text, {answer} of the "
                    f"answer); {way}, or choose another backbone"
                ]
            )

    def stop(self, trial_id: str) -> None:
        """Free a trial's slot. The others go on as they were."""
        del self.slots[trial_id]
        self.reports.pop(trial_id, None)
        self.stack.let_go()

    @property
    def busy(self) -> bool:
        """Whether `advance` would train anything."""
        return any(trial_id not in self.reports for trial_id in self.slots)

    def advance(self) -> list[str]:
        """One update of every trial that has no unfetched report, and the evaluation of those due, all at once.

        Returns:
            The trials that have a report now.
        """
        running = {key: trial for key, trial in self.slots.items() if key not in self.reports}
        if not running:
            return []
        for together in self._apart(list(running.values())):
            self.stack.step(together)
        due = {k: t for k, t in running.items() if t.due or (t.loss_count % self.check_every == 0 and t.diverged)}
        if due:
            self.reports |= zip(due, self._evaluated(list(due.values())), strict=True)
        return list(due)

    def take(self, trial_id: str) -> Report | None:
        """A trial's report, if it is there; the trial goes on with the next `advance`."""
        return self.reports.pop(trial_id, None)

    def next_report(self, trial_id: str) -> Report:
        """Train until this trial's next report is there, and hand it over."""
        while trial_id not in self.reports:
            self.advance()
        return self.reports.pop(trial_id)

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

    def score(self, method: MethodModule, split: SplitName) -> Scored:
        """Greedy answers of a method on a split, and their metrics in percent."""
        return self._scored([method], split)[0]

    def _scored(self, methods: Sequence[MethodModule], split: SplitName) -> list[Scored]:
        data, labels = self.data, list(self.data.label_token_ids.values())
        rows, task, longest = data.split(split), data.task, data.max_target_length
        while True:
            try:
                return score(
                    self.backbone, methods, rows, task.metrics, longest, labels, self.stack.cost, task.answers,
                    rows.groups, task.stops,
                )  # fmt: skip
            except torch.OutOfMemoryError as error:
                self.stack.shrink(error)

    def _shares(self, config: TrialConfig) -> bool:
        return get_method(config.method).shares_passes(self.backbone.facts.lane)

    def _apart(self, trials: Sequence[Trial]) -> list[list[Trial]]:
        """The trials to compute together: all of them, or each for itself."""
        apart = self.settings.deterministic or not all(self._shares(trial.config) for trial in trials)
        return [[trial] for trial in trials] if apart else [list(trials)] if trials else []

    def _evaluated(self, trials: Sequence[Trial]) -> list[Report]:
        selection = self.data.task.metrics[0]
        healthy = [trial for trial in trials if not trial.diverged]
        started = time.perf_counter()
        scored = [s for part in self._apart(healthy) for s in self._scored([t.method for t in part], "validation")]
        seconds = (time.perf_counter() - started) / max(1, len(healthy))
        found = {
            id(trial): trial.report(of_trial.metrics, selection, of_trial.loss, seconds)
            for trial, of_trial in zip(healthy, scored, strict=True)
        }
        return [found.get(id(trial)) or trial.report(None, selection) for trial in trials]
