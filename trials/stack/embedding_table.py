"""In front of the backbone: the prompts and shifted tokens of many trials in one table, and gradients on the way back.

Trials whose parameters have equal shapes form a group and are computed in batched matrix products; groups stand below
each other in the table. The backbone reads rows of the table and returns gradients of them; it never sees a trial.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trials.batching.dropout import keep, scramble
from trials.batching.padding import padded
from trials.batching.passes import ANY, Grain
from trials.config import Recipe
from trials.methods import Method
from trials.methods.base.module import MethodModule

SUMMARISED = 64
"""Rows whose tokens are embedded together to be summed up."""


@dataclass
class Part:
    """What one trial embeds.

    Attributes:
        tokens: ids of each row, each an int array.
        keys: dropout's word of each row, int32, shape (rows,); None in evaluation.
        positions: each token's place in its source, row by row; None where they count from 0.
        lengths: tokens of each row's source, where an answer may stand behind it; None: all are.
    """

    tokens: Sequence[np.ndarray]
    keys: np.ndarray | None = None
    positions: Sequence[np.ndarray] | None = None
    lengths: Sequence[int] | None = None


class Group:
    """Trials of one method and recipe with equally shaped parameters.

    Attributes:
        members: their places among all trials.
        parameters: by name, stacked, shape (K, ...).
        constants: likewise; they are not trained.
    """

    def __init__(self, members: Sequence[int], methods: Sequence[MethodModule]) -> None:
        self.members = list(members)
        self.method: Method = methods[0].method
        self.embed = methods[0].embed
        self.recipe: Recipe = methods[0].recipe
        names = [name for name, _ in methods[0].named_parameters()]
        self.parameters = {n: torch.stack([m.get_parameter(n).detach() for m in methods]) for n in names}
        fixed = [name for name, _ in methods[0].named_buffers()]
        self.constants = {n: torch.stack([m.get_buffer(n) for m in methods]) for n in fixed}

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Parameters and constants, shape (K, ...)."""
        return {**self.parameters, **self.constants}

    def prompts(self, parts: Sequence[Part], embedding: Tensor) -> Tensor:
        """Shape (K, m, d); where each row has a prompt of its own, (K, rows, m, d)."""
        if not self.method.prompts_by_row:
            return self.method.prompt(self.tensors)
        return self.method.row_prompts(self.tensors, _summaries(parts, embedding))

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.parameters["prompt"].device


def grouped(methods: Sequence[MethodModule]) -> list[list[int]]:
    """Places of the methods that can be stacked with each other."""
    groups: dict[object, list[int]] = {}
    for place, method in enumerate(methods):
        shapes = tuple((name, tuple(tensor.shape)) for name, tensor in method.state_tensors())
        groups.setdefault((method.method.name, method.recipe, shapes), []).append(place)
    return list(groups.values())


class EmbeddingTable:
    """Prompt rows and shifted token rows of all trials, and a last row of zeros for padding.

    Args:
        groups: of the trials.
        parts: what each trial embeds, in the order of the trials.
        embedding: the backbone's, shape (vocabulary, d).
        gradients: whether `backward` will be called.

    Attributes:
        values: float32, shape (table rows, d).
        padding: number of the last row.
    """

    def __init__(
        self, groups: Sequence[Group], parts: Sequence[Part], embedding: Tensor, *, gradients: bool = False
    ) -> None:
        self.groups = groups
        self.prompts: dict[int, np.ndarray] = {}  # by trial, shape (rows, m); one row where all have the same
        self.places: dict[int, list[np.ndarray]] = {}
        self._made: list[tuple[Tensor, Tensor]] = []  # of each group: prompts and shifted tokens
        self._starts: list[int] = []
        pieces: list[Tensor] = []
        size = 0
        for group in groups:
            for parameter in group.parameters.values():
                parameter.requires_grad_(gradients)
            with torch.set_grad_enabled(gradients):
                of_group = [parts[k] for k in group.members]
                prompts = group.prompts(of_group, embedding)
                shifted, places = _shifted(group, of_group, embedding)
            (count, *own, m, d), each = prompts.shape, prompts[0].numel() // prompts.shape[-1]
            tokens = shifted.shape[1]
            for k, (member, rows) in enumerate(zip(group.members, places, strict=True)):
                self.prompts[member] = (size + k * each + np.arange(each)).reshape(own[0] if own else 1, m)
                self.places[member] = [size + count * each + k * tokens + row for row in rows]
            self._starts.append(size)
            self._made.append((prompts, shifted))
            pieces += [prompts.detach().reshape(-1, d), shifted.detach().reshape(-1, d)]
            size += count * (each + tokens)
        self.padding = size
        self.values = torch.cat([*pieces, pieces[0].new_zeros(1, pieces[0].shape[1])])

    def row(self, trial: int, row: int) -> np.ndarray:
        """EmbeddingTable rows of a trial's prompt and the tokens of one of its rows."""
        prompts = self.prompts[trial]
        return np.concatenate([prompts[row if len(prompts) > 1 else 0], self.places[trial][row]])

    def index(self, rows: Sequence[np.ndarray], grain: Grain = ANY) -> Tensor:
        """EmbeddingTable rows of several inputs, padded on the right as the grain has it, shape (rows, length)."""
        length = grain.padded(max(map(len, rows)))
        return padded(rows, self.padding, self.values.device, length=length)

    def backward(self, gradient: Tensor) -> list[dict[str, Tensor]]:
        """Gradients of each group's parameters in front of the backbone, shape (K, ...), from those of `values`."""
        found = []
        for group, made, start in zip(self.groups, self._made, self._starts, strict=True):
            sizes = [tensor.numel() // gradient.shape[1] for tensor in made]
            pieces = gradient[start : start + sum(sizes)].split(sizes)
            pairs = [(t, g.view_as(t)) for t, g in zip(made, pieces, strict=True) if t.requires_grad]
            inside = group.method.kind != "embedding"  # what it changes there has its gradients in `weight_updates`
            of_inputs = torch.autograd.grad(
                [tensor for tensor, _ in pairs],
                list(group.parameters.values()),
                [piece for _, piece in pairs],
                allow_unused=True,
                materialize_grads=not inside,
            )
            found.append({n: g for n, g in zip(group.parameters, of_inputs, strict=True) if g is not None})
        return found


def _shifted(group: Group, parts: Sequence[Part], embedding: Tensor) -> tuple[Tensor, list[list[np.ndarray]]]:
    """A group's shifted tokens, shape (K, tokens, d), and for each trial and row where its tokens stand among them.

    Without dropout equal tokens have equal offsets, unless the method looks at positions: each is shifted once.
    """
    device, drops = embedding.device, parts[0].keys is not None and group.recipe.offset_dropout > 0
    ids, positions, keys, places = [], [], [], []
    for part in parts:
        lengths = np.array([len(row) for row in part.tokens])
        ends = lengths.cumsum()
        tokens = np.concatenate([np.asarray(row, dtype=np.int64) for row in part.tokens])
        counted = np.arange(len(tokens)) - np.repeat(ends - lengths, lengths)
        position = counted if part.positions is None else np.concatenate(part.positions)
        place = np.arange(len(tokens))
        if not drops and not group.method.positional:
            tokens, place = np.unique(tokens, return_inverse=True)
            position = np.zeros_like(tokens)
        ids.append(tokens)
        positions.append(position)
        places.append([place[end - length : end] for end, length in zip(ends, lengths, strict=True)])
        if drops:
            assert part.keys is not None
            keys.append(np.repeat(part.keys, lengths))
    positions_of = padded(positions, 0, device)
    drop = _dropout(padded(keys, 0, device, np.int32), positions_of, group.recipe.offset_dropout) if drops else _same
    tokens_of = padded(ids, 0, device)
    embedded = torch.nn.functional.embedding(tokens_of, embedding).float()
    return group.embed(group.tensors, tokens_of, embedded, positions_of, drop), places


@torch.no_grad()
def _summaries(parts: Sequence[Part], embedding: Tensor) -> Tensor:
    """`Method.row_prompts`' summaries of each part's rows, shape (K, rows, d); zeros for rows that a part lacks."""
    found = embedding.new_zeros(len(parts), max(len(part.tokens) for part in parts), embedding.shape[1]).float()
    for k, part in enumerate(parts):
        lengths = part.lengths or [len(row) for row in part.tokens]
        rows = [np.asarray(row[:length], dtype=np.int64) for row, length in zip(part.tokens, lengths, strict=True)]
        for first in range(0, len(rows), SUMMARISED):
            these = rows[first : first + SUMMARISED]
            tokens = torch.nn.functional.embedding(padded(these, 0, embedding.device), embedding)
            beyond = padded([np.zeros(len(row)) for row in these], 1, embedding.device, np.bool_)
            found[k, first : first + len(these)] = tokens.masked_fill(beyond[:, :, None], -torch.inf).amax(1).float()
    return found


def _dropout(keys: Tensor, positions: Tensor, p: float):  # type: ignore[no-untyped-def]
    """Dropout of a hidden layer of shape (K, tokens, features) by the words of its tokens, shape (K, tokens)."""
    words = scramble(keys ^ scramble(positions.int() + 1))
    return lambda x: x * keep(words, x.shape[2:], p, x.dtype)


def _same(x: Tensor) -> Tensor:
    return x
