"""The answers that a task allows, as a tree: one decoder step tells whether greedy decoding gives one of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

MOST_NODES = 64
"""Above this a tree is more work than decoding token by token."""


class AnswerTree:
    """Label sequences that share their beginnings.

    Greedy decoding follows a label exactly if at each of its prefixes the most likely next token is the label's own.
    The tree's nodes are those prefixes; after one decoder step over all of them, each row's path is a walk.

    Args:
        labels: token ids of each label, the end-of-sequence token last.

    Attributes:
        tokens: the last token of each node's prefix; the root (the empty prefix) has none and is left out.
        depths: length of each node's prefix, the root's 0 first.
        visible: which nodes each node comes after, itself included, root first, bool, shape (1 + nodes, 1 + nodes).
    """

    def __init__(self, labels: Iterable[Sequence[int]]) -> None:
        self.labels = [tuple(int(token) for token in label) for label in labels]
        prefixes = sorted({label[:n] for label in self.labels for n in range(len(label))}, key=lambda p: (len(p), p))
        self._node = {prefix: number for number, prefix in enumerate(prefixes)}
        self._prefixes = prefixes
        self.tokens = [prefix[-1] for prefix in prefixes[1:]]
        self.depths = [len(prefix) for prefix in prefixes]
        self.visible = np.array([[long[: len(short)] == short for short in prefixes] for long in prefixes])

    @property
    def worthwhile(self) -> bool:
        """Whether it is small enough to be computed whole; a tree without labels is not."""
        return bool(self.labels) and len(self.tokens) <= MOST_NODES

    def paths(self) -> list[list[int]]:
        """The nodes from below the root to each leaf, so that all nodes are on one of them; one empty path for none."""
        leaves = [p for p in self._prefixes if not any(q[:-1] == p for q in self._prefixes if q)]
        return [[self._node[leaf[:n]] for n in range(1, len(leaf) + 1)] for leaf in leaves] or [[]]

    def path(self, label: Sequence[int]) -> list[tuple[int, int]] | None:
        """Each node that the label passes, with its next token there; None where it is no label of the tree."""
        tokens = tuple(int(token) for token in label)
        if tokens not in self.labels:
            return None
        return [(self._node[tokens[:n]], token) for n, token in enumerate(tokens)]

    @classmethod
    def small(cls, labels: Iterable[Sequence[int]]) -> list[AnswerTree]:
        """Trees that hold all labels, in their order, each small enough to be computed whole where that can be."""
        parts: list[list[Sequence[int]]] = [[]]
        for label in labels:
            if parts[-1] and not cls([*parts[-1], label]).worthwhile:
                parts.append([])
            parts[-1].append(label)
        return [cls(part) for part in parts]

    def followed(self, choices: Sequence[int]) -> tuple[int, ...] | None:
        """The label that greedy decoding gives, or None where it leaves the tree.

        Args:
            choices: the most likely next token after each node, the root first.
        """
        prefix: tuple[int, ...] = ()
        while (node := self._node.get(prefix)) is not None:
            prefix = (*prefix, choices[node])
        return prefix if prefix in self.labels else None
