"""The stacked trainer: any number of trials, one batch, one frozen backbone.

Each trial brings its own rows with its own prompt and offsets in front of the backbone; the backbone sees rows of
similar length, of any trials. The loss is the sum of the trials' losses, so no gradient of one trial touches
another's parameters, and a trial gets the numbers that it would get alone (to float32 rounding), whatever its
neighbours do. One trial is a stack of one, and a trial that can share no pass (`Method.shares_passes`) is always one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor

from trials.backbones.loading import IGNORED, Backbone, Inputs
from trials.batching.dropout import Dropout
from trials.batching.passes import PassCost, passes, passes_by_trial
from trials.batching.transfers import sent
from trials.errors import UserError
from trials.stack.embedding_table import EmbeddingTable, Group, Part, grouped
from trials.stack.low_rank_updates import LowRankUpdates
from trials.stack.optimizer import Moments, adamw, clip
from trials.stack.weight_updates import WeightUpdates
from trials.trial import Split, Trial


class TrainingGroup(Group):
    """A group of trials in training. While it lasts the trials' own tensors are views of its stacked ones."""

    def __init__(self, members: Sequence[int], trials: Sequence[Trial]) -> None:
        super().__init__(members, [trial.method for trial in trials])
        self.trials = list(trials)
        self.moments: dict[str, Moments] = {
            name: (torch.stack([t.moments[name][0] for t in trials]), torch.stack([t.moments[name][1] for t in trials]))
            for name in self.parameters
        }
        for k, trial in enumerate(trials):
            for name, stacked in self.parameters.items():
                trial.method.get_parameter(name).data = stacked[k]
                trial.moments[name] = (self.moments[name][0][k], self.moments[name][1][k])

    @property
    def whole(self) -> bool:
        """Whether the trials' parameters are still these."""
        return all(
            trial.method.get_parameter(name).data_ptr() == stacked[k].data_ptr()
            for k, trial in enumerate(self.trials)
            for name, stacked in self.parameters.items()
        )

    def update(self, gradients: Mapping[str, Tensor]) -> None:
        """Clip each trial's gradients over all its parameters together, then AdamW at each trial's own rates."""
        clip(gradients, self.recipe.max_grad_norm)
        device, first = self.device, self.trials[0].method
        rates = [trial.learning_rates() for trial in self.trials]
        by_group = {g: sent(torch.tensor([r[g] for r in rates]), device) for g in rates[0]}
        by_name = {name: by_group[first.group_of(name)] for name in self.parameters}
        adamw(self.parameters, gradients, self.moments, by_name, [t.step + 1 for t in self.trials], self.recipe)


class Stack:
    """Trains trials of one task on one backbone together.

    Args:
        backbone: frozen; shared by all.
        train: the training rows; each trial goes through them in its own order.
        cost: how to cut passes; its limit is halved where a pass does not fit into memory.
    """

    def __init__(self, backbone: Backbone, train: Split, cost: PassCost | None = None) -> None:
        self.backbone, self.train, self.cost = backbone, train, cost or PassCost(grain=backbone.grain)
        self._groups: list[TrainingGroup] = []
        self._trials: list[Trial] = []

    def step(self, trials: Sequence[Trial]) -> None:
        """One update of each trial.

        A trial's loss is the mean over its batch's target tokens, as in the published runs. A trial that has diverged
        keeps its non-finite numbers to itself.

        Raises:
            UserError: one row alone does not fit into the device's memory.
            ValueError: one of several trials can share no pass.
        """
        started = time.perf_counter()
        while True:
            try:
                losses, gradients, tokens = self.gradients(trials)
                break
            except torch.OutOfMemoryError as error:
                self.shrink(error)
        for group, of_group in zip(self._groups, gradients, strict=True):
            group.update(of_group)
        seconds = time.perf_counter() - started
        for trial, loss, share in zip(trials, losses.unbind(), tokens / tokens.sum(), strict=True):
            trial.advance(loss, seconds * float(share))

    def gradients(self, trials: Sequence[Trial]) -> tuple[Tensor, list[dict[str, Tensor]], np.ndarray]:
        """What an update needs; changes nothing, so that it can be tried again in smaller passes.

        Returns:
            Each trial's loss, shape (K,); gradients of each of the `groups` by parameter's name, shape (K, ...) with
            the group's own K; each trial's tokens.
        """
        groups = self.groups(trials)
        backbone, device = self.backbone, self.backbone.device
        parts, owners, targets, starts = [], [], [], []
        for k, trial in enumerate(trials):
            numbers = trial.next_rows(len(self.train))
            sources, answers, _ = self.train.batch(numbers)
            tokens = sources
            if backbone.embeds_answers:
                tokens = [np.concatenate(pair) for pair in zip(sources, answers, strict=True)]
            parts.append(Part(tokens, trial.row_keys(len(numbers)), lengths=[len(source) for source in sources]))
            owners += [(k, i) for i in range(len(numbers))]
            targets += answers
            starts += [trial.method.prompt_length + len(source) for source in sources]
        table = EmbeddingTable(groups, parts, backbone.embedding, gradients=True)
        inside = self._inside(trials, groups)
        keys = np.concatenate([part.keys for part in parts if part.keys is not None])
        rows = [table.row(k, i) for k, i in owners]
        lengths = [len(row) for row in rows]
        owner = np.array([k for k, _ in owners])
        shares = 1 / np.bincount(owner, weights=[len(t) for t in targets])  # of one target token in its trial's mean
        gradient, losses = torch.zeros_like(table.values), torch.zeros(len(trials), device=device)
        if isinstance(inside, LowRankUpdates):
            cut = passes_by_trial(np.array(lengths), inside.places(owner), self.cost)
        else:
            cut = passes(lengths, self.cost)
        for these in cut:
            index = table.index([rows[i] for i in these], self.cost.grain)
            x = table.values[index].requires_grad_()
            inputs = Inputs(
                x, backbone.numbers([lengths[i] for i in these]), backbone.numbers([starts[i] for i in these])
            )
            dropout = Dropout(sent(torch.from_numpy(keys[these]), device))
            with inside.applied(owner[these]) if inside else nullcontext():
                wanted = backbone.padded([targets[i] for i in these], IGNORED)
                by_token = backbone.token_losses(inputs, wanted, dropout)
            share = sent(torch.from_numpy(shares[owner[these]]).float(), device)
            of_rows = by_token.sum(1) * share
            of_rows.sum().backward()
            assert x.grad is not None
            gradient.index_add_(0, index.flatten(), x.grad.flatten(0, 1))
            losses.index_add_(0, backbone.numbers(owner[these].tolist()), of_rows.detach())
        found = table.backward(gradient)
        within = [of_group for of_group, group in zip(found, groups, strict=True) if group.method.kind != "embedding"]
        for of_group, more in zip(within, inside.backward() if inside else (), strict=True):
            for name, of_name in more.items():  # a table of embeddings may be read in both places
                of_group[name] = of_group[name] + of_name if name in of_group else of_name
        return losses, found, np.bincount(owner, weights=lengths)

    def groups(self, trials: Sequence[Trial]) -> list[TrainingGroup]:
        """The trials' stacked parameters: those of the step before, unless something has changed."""
        same = len(trials) == len(self._trials) and all(a is b for a, b in zip(trials, self._trials, strict=True))
        if not (same and all(group.whole for group in self._groups)):
            self.let_go()
            places = grouped([trial.method for trial in trials])
            self._groups = [TrainingGroup(members, [trials[k] for k in members]) for members in places]
            self._trials = list(trials)
        return self._groups

    def _inside(
        self, trials: Sequence[Trial], groups: Sequence[TrainingGroup]
    ) -> WeightUpdates | LowRankUpdates | None:
        methods = [trial.method for trial in trials]
        if not any(method.inner for method in methods):
            return None
        alone = sorted({m.method.name for m in methods if not m.method.shares_passes(self.backbone.facts.lane)})
        if not alone:
            return LowRankUpdates(self.backbone, groups, methods)
        if len(trials) > 1:
            names = ", ".join(alone)
            raise ValueError(f"{names} changes weights that all rows of a pass share: step such a trial by itself")
        return WeightUpdates(self.backbone, methods[0], groups[0].parameters, gradients=True)

    def let_go(self) -> None:
        """Keep nothing of the trials of the step before: a device may not hold them beside those to come."""
        self._groups, self._trials = [], []

    def shrink(self, error: Exception) -> None:
        """Cut passes half as long from now on, after one that did not fit.

        Raises:
            UserError: they cannot be shorter.
        """
        torch.cuda.empty_cache()
        longest = self.cost.most
        if longest <= 64:
            problem = f"{self.backbone.facts.name} does not fit: one row alone needs more memory than the device has"
            raise UserError([problem]) from error
        self.cost.most = longest // 2
