"""Every family that transformers can build small: right, or refused; and what docs/backbones.md says of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoTokenizer
from transformers.utils import logging

from tests.trials.backbones import families
from tests.trials.making import Rows, config, inputs_of, trial
from trials.backbones.facts import EMBEDDED
from trials.backbones.loading import IGNORED, Backbone
from trials.backbones.stock import embed_scale, start_token
from trials.evaluation import answers
from trials.methods.base.module import MethodModule

DOCS = Path(__file__).parents[3] / "docs/backbones.md"
BEGIN, END = "<!-- made by tests/trials/backbones/test_families.py -->\n\n", "\n<!-- end -->\n"
PROMPT = list(range(100, 107))
LABELS = [[30 + n, 1] for n in range(4)]


def theirs(model: Any, backbone: Backbone, source: Sequence[int], answer: Sequence[int]) -> Tensor:
    """Logits before each token of an answer and after the last, by a model as anyone would call it."""
    if backbone.embeds_answers:
        plain = {"use_cache": False} if "use_cache" in signature(model.forward).parameters else {}
        return model(input_ids=torch.tensor([[*source, *answer]]), **plain).logits[0, len(source) - 1 :]
    decoder = torch.tensor([[start_token(model), *answer]])
    return model(input_ids=torch.tensor([list(source)]), decoder_input_ids=decoder).logits[0]


def losses_differ(model: Any, backbone: Backbone, method: MethodModule, rows: Rows) -> list[str]:
    """What is not equal of losses and gradients, the prompt being the embeddings of some tokens."""
    sources, targets, _ = rows.batch(range(3))
    inputs = inputs_of(backbone, method, sources, targets)
    inputs.embeddings.requires_grad_()
    ours = backbone.token_losses(inputs, backbone.padded(targets, IGNORED))
    ours.sum().backward()
    assert inputs.embeddings.grad is not None
    found: list[str] = []
    for i, (source, target) in enumerate(zip(sources, targets, strict=True)):
        embedded: list[Tensor] = []

        def keep(module: Any, given: Any, output: Tensor, embedded: list[Tensor] = embedded) -> Tensor | None:
            embedded.append(output.detach().requires_grad_())
            return None if len(embedded) > 1 else embedded[0] + 0

        inner = model if backbone.embeds_answers else model.get_encoder()
        hook = inner.get_input_embeddings().register_forward_hook(keep)
        logits = theirs(model, backbone, [*PROMPT, *source], target)[:-1]
        hook.remove()
        expected = F.cross_entropy(logits.float(), torch.tensor(target), reduction="none")
        expected.sum().backward()
        assert embedded[0].grad is not None
        gradient = embedded[0].grad / (1.0 if backbone.embeds_answers else embed_scale(model))
        if not torch.allclose(ours[i].detach(), expected.detach(), rtol=1e-5, atol=1e-6):
            found.append(f"losses {ours[i].tolist()} and {expected.tolist()}")
        tokens = inputs.embeddings.grad[i, : gradient.shape[1]]
        if float((tokens - gradient[0]).norm()) > 2e-5 * float(
            gradient.norm()
        ):  # Gemma 4 itself is 1.9e-5 from float64
            found.append(f"gradients differ by {float((tokens - gradient[0]).norm() / gradient.norm()):.1e}")
    return found


@torch.no_grad()
def answers_differ(model: Any, backbone: Backbone, method: MethodModule, rows: Rows) -> list[str]:
    """What is not equal of the answers by the tree of labels and by greedy decoding."""
    sources, _, _ = rows.batch(range(4))
    expected = []
    for source in sources:
        told: list[int] = []
        while len(told) < 3 and told[-1:] != [backbone.facts.eos_token_id]:
            logits = theirs(model, backbone, [*PROMPT, *source], told)[-1]
            forced = None if told else backbone.first_token
            told.append(int(logits.argmax()) if forced is None else forced)
        expected.append(told)
    of_model = [[first, 1] for first in {answer[0] for answer in expected}]  # a tree that rows do not leave at once
    return [
        f"answers of {len(labels)} labels"
        for labels in ([], LABELS, [*LABELS, *of_model])
        if answers(backbone, [method], sources, 3, labels)[0] != backbone.text(expected)
    ]


@pytest.mark.slow
def test_every_family_is_right_or_refused_and_listed_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run with ADEPT_WRITE_DOCS=1 it writes the list."""
    logging.set_verbosity_error()
    tokenizer, rows = AutoTokenizer.from_pretrained(EMBEDDED / "t5-nano"), Rows()
    listed: dict[str, families.Verdict] = {}
    wrong: dict[str, list[str]] = {}
    for name in families.names():
        found = families.verdict(name, tokenizer)
        if found.backbone is not None:
            method = trial(found.backbone, config("pt")).method
            method.prompt.data.copy_(found.backbone.embedding[torch.tensor(PROMPT)])
            differing = losses_differ(found.model, found.backbone, method, rows)
            differing += answers_differ(found.model, found.backbone, method, rows)
            wrong |= {name: differing} if differing else {}
        listed[name] = families.Verdict(found.state, found.why)
    assert not wrong
    before, _, rest = DOCS.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    made = before + BEGIN + families.page(listed) + END + after
    if os.environ.get("ADEPT_WRITE_DOCS"):
        DOCS.write_text(made)
    assert DOCS.read_text() == made
