"""Texts that end an answer, such as a line of a program that begins at the left margin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

EVERY = 8
"""Tokens between two looks at the answers of a pass: decoding them costs as much as a token of a small model."""


@dataclass(frozen=True)
class Stops:
    """Ends answers at the first of some texts, which is no part of them.

    Attributes:
        texts: each ends an answer.
        tokenizer: turns an answer's tokens into text.
    """

    texts: tuple[str, ...]
    tokenizer: Any

    def cut(self, answer: str) -> str:
        """An answer up to the first stop, with its indentation, without blanks at its end."""
        places = [place for text in self.texts if (place := answer.find(text)) >= 0]
        return answer[: min(places, default=len(answer))].rstrip()

    def due(self, number: int) -> bool:
        """Whether to look after so many tokens."""
        return number % EVERY == 0

    def reached(self, tokens: Sequence[Tensor]) -> list[bool]:
        """Whether each row has a stop among its last tokens; to be asked whenever it is `due`.

        Args:
            tokens: one tensor of shape (rows,) a place of the answer, all places so far.
        """
        window = EVERY + max(map(len, self.texts))  # a token spells one character at least
        last = [
            [int(token) for token in row] for row in zip(*(place.tolist() for place in tokens[-window:]), strict=True)
        ]
        texts = self.tokenizer.batch_decode(last, skip_special_tokens=True)
        return [any(stop in text for stop in self.texts) for text in texts]
