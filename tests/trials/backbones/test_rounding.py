"""How far a backbone in bfloat16 is from itself in float32, on real rows."""

from __future__ import annotations

import torch

from tests.trials.making import config, inputs_of, trial
from trials.backbones.answers import AnswerTree
from trials.backbones.loading import IGNORED, Backbone, load_backbone
from trials.data import PreparedTask, prepare
from trials.tasks import get_task

ROWS = range(16)


def gradients(backbone: Backbone, data: PreparedTask) -> torch.Tensor:
    """Of the embedded rows, shape (rows, length, d), all behind the same prompt."""
    sources, targets, _ = data.split("train").batch(ROWS)
    ids = [[tokens.tolist() for tokens in side] for side in (sources, targets)]
    inputs = inputs_of(backbone, trial(backbone, config("pt")).method, *ids)
    inputs.embeddings.requires_grad_()
    backbone.token_losses(inputs, backbone.padded(targets, IGNORED)).sum().backward()
    assert inputs.embeddings.grad is not None
    return inputs.embeddings.grad


def test_gradients_in_bfloat16_are_near_those_in_float32() -> None:
    """With scores of attention in bfloat16 they are 5.5 % off: T5 does not scale them, so that they are large."""
    single, half = load_backbone("t5-nano"), load_backbone("t5-nano", precision="bfloat16")
    data = prepare(get_task("debsec"), single.tokenizer, architecture=single.facts.architecture)
    exact, rounded = (gradients(on, data).flatten(1) for on in (single, half))
    error = (rounded - exact).norm(dim=1) / exact.norm(dim=1)
    assert 0 < float(error.mean()) < 0.049


def test_answers_are_chosen_by_scores_that_bfloat16_has_not_made_equal() -> None:
    """Of two labels whose scores are rounded to the same number the first would be taken, whatever the row says."""
    half = load_backbone("t5-nano", precision="bfloat16")
    data = prepare(get_task("debsec"), half.tokenizer, architecture=half.facts.architecture)
    sources, targets, _ = data.split("validation").batch(ROWS)
    ids = [[tokens.tolist() for tokens in side] for side in (sources, targets)]
    inputs = inputs_of(half, trial(half, config("pt")).method, *ids)
    logits, _ = half.tree_logits(inputs, AnswerTree(data.label_token_ids.values()))
    assert logits.dtype == torch.float32
    assert float((logits == logits.bfloat16()).float().mean()) < 0.1
