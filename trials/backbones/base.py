"""What every frozen backbone offers to a stack: the interface that `loading` gives, and the input of a pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trials.backbones.answers import AnswerTree
from trials.backbones.facts import Facts
from trials.backbones.low_rank import LowRank
from trials.backbones.precision import Precision, in_halves
from trials.backbones.stock_model import embedding_table
from trials.backbones.stops import Stops
from trials.batching.dropout import Dropout
from trials.batching.padding import padded
from trials.batching.passes import ANY, COARSE, Grain
from trials.batching.transfers import Reading, sent
from trials.methods.base.module import INIT_TEXT, Surroundings

IGNORED = -100
"""Fills target rows beyond their last token, as in transformers."""


@dataclass
class Inputs:
    """Rows of a pass, of one trial or of many.

    Attributes:
        embeddings: prompt first, tokens next, padding last, float32, shape (rows, length, d).
        lengths: prompt and tokens in each row, shape (rows,).
        starts: prompt and source positions in each row, shape (rows,): the answer begins there.
    """

    embeddings: Tensor
    lengths: Tensor
    starts: Tensor

    @property
    def mask(self) -> Tensor:
        """1 for prompt and tokens, shape (rows, length)."""
        places = torch.arange(self.embeddings.shape[1], device=self.lengths.device)
        return (places < self.lengths[:, None]).long()


Embed = Callable[[Tensor, int], Tensor]
"""Answer token ids (rows,) and their number in the answer -> embeddings (rows, 1, d) with their trial's offset."""

Decode = Callable[[Sequence[int], int], Tensor]
"""Numbers of rows of a pass and tokens at most -> their greedy answers as of `Backbone.greedy`."""


class Backbone(ABC):
    """A frozen language model, its tokenizer, and what a stack needs from it.

    Attributes:
        facts: name, architecture, width and revision.
        tokenizer: the model's own.
        model_type: what transformers calls its family.
        embedding: what each token is embedded as, shape (vocabulary, d): its weights, with its own scale if any.
        precision: of the model's arithmetic; embeddings and everything trained are float32.
        ends: tokens that end an answer: the tokenizer's, with which every target ends, and those that the config names.
        filler: the token behind an end, which is no text.
        first_token: what each greedy answer begins with, whatever its logits (a forced beginning of sequence); None:
            the most likely token.
    """

    first_token: int | None = None

    embeds_answers: bool
    """Whether an answer's tokens are embedded behind the source, and shifted like it."""

    def __init__(self, model: Any, tokenizer: Any, facts: Facts, precision: Precision) -> None:
        self.tokenizer, self.facts, self.precision = tokenizer, facts, precision
        model.eval().requires_grad_(False)
        self.model_type = str(model.config.model_type)
        self.ends = _ends(model.config, tokenizer) or {facts.eos_token_id}
        special = getattr(tokenizer, "all_special_ids", [])
        self.filler: int = next((t for t in (facts.pad_token_id, *self.ends) if t in special), facts.pad_token_id)
        self.embedding: Tensor = embedding_table(model.get_input_embeddings())

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.embedding.device

    @property
    def grain(self) -> Grain:
        """What the shapes of its passes are multiples of.

        On a CPU bfloat16 products run on kernels that oneDNN compiles for each shape, in 0.5 ms or, where the processor
        has a matrix unit (AMX), in 3 ms; a pass has forty products. Without a grain few shapes would come twice.
        """
        return COARSE if self.device.type == "cpu" and in_halves(self.precision) else ANY

    def surroundings(self, max_source_length: int) -> Surroundings:
        """What a new method may look at."""
        text = self.tokenizer(INIT_TEXT)["input_ids"]
        return Surroundings(self.embedding.float(), text, max_source_length, self.projections)

    @property
    @abstractmethod
    def projections(self) -> dict[str, tuple[int, int]]:
        """See `Surroundings.projections`; none where they are not those that the config lets expect."""

    @abstractmethod
    def updated_weights(self, additions: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What `with_weights` takes, float32, by names of its own; gradients flow back to the additions.

        Args:
            additions: to each of the `projections`, of its shape (outputs, inputs).
        """

    @abstractmethod
    def with_weights(self, weights: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        """Compute with weights that `updated_weights` has made, or leaves of theirs, while the context lasts."""

    def stacked_factors(self, factors: Mapping[str, tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """On the fast lane: A and B of K trials as `with_low_rank` takes them; gradients flow back.

        Args:
            factors: A and B by the names of the `projections`, of shapes (K, r, inputs) and (K, outputs, r).

        Returns:
            Of shapes (K, n, r, inputs) and (K, n, outputs, r).
        """
        raise NotImplementedError

    def with_low_rank(self, low_rank: LowRank) -> AbstractContextManager[None]:
        """On the fast lane: add what the trials of a pass add, in training, while the context lasts."""
        raise NotImplementedError

    def room(self, prompt: int, prefix: int, answer: int) -> int | None:
        """Tokens that a source may have, by the positions that there are; None: as many as fit, or not known.

        Args:
            prompt: rows of it.
            prefix, answer: places before a row, and tokens of the longest answer; counted where answers are embedded.
        """
        if not self.facts.positions:
            return None
        return self.facts.positions - prompt - (prefix + answer if self.embeds_answers else 0)

    def padded(self, rows: Sequence[Any], value: int) -> Tensor:
        """Token rows as one tensor on the device, padded on the right, shape (rows, longest)."""
        return padded(rows, value, self.device)

    def numbers(self, values: Sequence[int]) -> Tensor:
        """Whole numbers on the device, shape (len(values),)."""
        return sent(torch.tensor(list(values)), self.device)

    def token_losses(self, inputs: Inputs, targets: Tensor, dropout: Dropout | None = None) -> Tensor:
        """Cross-entropy in nats of each target token, 0 where there is none.

        Args:
            inputs: rows with their whole answers, where those are embedded.
            targets: answers, shape (rows, target length), `IGNORED` beyond them.
            dropout: masks of the rows; None drops nothing.

        Returns:
            Shape (rows, target length), float32.
        """
        return losses_of(self.answer_logits(inputs, targets, dropout), targets)

    @abstractmethod
    def answer_logits(self, inputs: Inputs, targets: Tensor, dropout: Dropout | None = None) -> Tensor:
        """Teacher-forced logits at each target position, float32, shape (rows, target length, vocabulary)."""

    @abstractmethod
    def tree_logits(self, inputs: Inputs, tree: AnswerTree) -> tuple[Tensor, Decode | None]:
        """Logits after the source and after each node of a tree of answers, in one decoder step.

        Args:
            inputs: rows; where answers are embedded, the tree's nodes stand behind each source.

        Returns:
            Shape (rows, 1 + nodes, vocabulary), the root first; and what answers rows that leave the tree without
            reading their sources again, None where `greedy` has to.
        """

    @abstractmethod
    def greedy(self, inputs: Inputs, max_new_tokens: int, embed: Embed, stops: Stops | None = None) -> Tensor:
        """Greedy answers, shape (rows, at most max_new_tokens), padding after the end-of-sequence token.

        Args:
            stops: an answer that holds one of these may end there; what is behind it is of no use.
        """

    def choices(self, logits: Tensor) -> Tensor:
        """Greedy decoding's token at each node of a tree, the root first, shape (rows, nodes) of `tree_logits`."""
        chosen = logits.argmax(-1)
        if self.first_token is not None:
            chosen[:, 0] = self.first_token
        return chosen

    def text(self, tokens: Any, stops: Stops | None = None) -> list[str]:
        """Decoded answers without special tokens, stripped (the released code's post-processing), or cut at a stop."""
        texts = self.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return [text.strip() if stops is None else stops.cut(text) for text in texts]

    def _greedy(
        self,
        logits: Tensor,
        max_new_tokens: int,
        advance: Callable[[Tensor, int], Tensor],
        stops: Stops | None = None,
    ) -> Tensor:
        """The loop that both architectures share: ``advance`` takes tokens (rows,) and their number in the answer."""
        # An accelerator makes the next token while it is read whether the last one has ended all answers.
        behind = 0 if logits.device.type == "cpu" else 1
        ended: list[Reading] = []
        done = torch.zeros(len(logits), dtype=torch.bool, device=logits.device)
        answer: list[Tensor] = []
        for n in range(max_new_tokens):
            token = logits.argmax(-1).masked_fill(done, self.filler)
            if n == 0 and self.first_token is not None:
                token = torch.full_like(token, self.first_token)
            answer.append(token)
            for end in self.ends:
                done = done | (token == end)
            if stops is not None and stops.due(n + 1):
                done = done | sent(torch.tensor(stops.reached(answer)), done.device)
            ended.append(Reading(done.all()))
            if n + 1 == max_new_tokens or (len(ended) > behind and ended.pop(0).look()):
                break
            logits = advance(token, n)
        return torch.stack(answer, dim=1)


def _ends(config: Any, tokenizer: Any) -> set[int]:
    """See `Backbone.ends`: a chat model's tokenizer ends with another token than the first that its config names."""
    named = getattr(config.get_text_config(decoder=True), "eos_token_id", None)
    of_config = named if isinstance(named, list) else [named]
    return {int(end) for end in (getattr(tokenizer, "eos_token_id", None), *of_config) if end is not None}


def losses_of(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy in nats of each target token, 0 at `IGNORED`, shape of the targets."""
    losses = nn.functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none"
    )
    return losses.view_as(targets)
