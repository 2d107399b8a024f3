"""The list of stages and the tokenizer must fit the code that reads them."""

from __future__ import annotations

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from pretraining.answers import AnswerTasks, TagTable
from pretraining.model import seed_heads, step_size
from pretraining.tokenizer import EXTRA, train
from pretraining.train import Stage, load_stages

STAGES = load_stages()


@pytest.mark.parametrize("stage", STAGES, ids=[s.name for s in STAGES])
def test_a_stage_names_known_objectives_with_shares_of_one(stage: Stage) -> None:
    for plan in stage.batches:
        assert sum(plan.shares.values()) == pytest.approx(1)
        assert set(plan.shares) <= {"span", "summarize", "answers"}
        assert ("answers" not in plan.shares) or sum(stage.answers.values()) == pytest.approx(1)
    AnswerTasks([], TagTable({}, {}), stage.answers)  # raises on an unknown task


@pytest.mark.parametrize("stage", STAGES, ids=[s.name for s in STAGES])
def test_the_rate_rises_to_its_peak_and_falls_to_its_floor(stage: Stage) -> None:
    scales = [stage.scale(step) for step in range(stage.steps + 1)]
    top = scales.index(max(scales))
    assert top == pytest.approx(stage.warmup, abs=1)
    assert scales[top:] == sorted(scales[top:], reverse=True)
    assert scales[-1] == pytest.approx(stage.floor)


def test_digits_and_sentinels_are_single_tokens_even_if_the_text_has_no_digit() -> None:
    words = ["package", "sound", "library", "editor", "window", "server", "program", "archive", "compiler", "viewer"]
    tokenizer = train([" ".join(words[i:] + words[:i]) for i in range(10)] * 20, size=60)
    for digit in "0123456789":
        ids = tokenizer.encode(digit).ids
        assert len(ids) == 2
        assert ids[1] == 1
        assert 2 not in ids
    assert tokenizer.token_to_id(EXTRA[0]) == tokenizer.get_vocab_size() - 1


def test_a_seeded_head_looks_at_the_same_word_far_away() -> None:
    torch.manual_seed(0)
    model = T5ForConditionalGeneration(
        T5Config(vocab_size=60, d_model=256, d_kv=64, num_heads=4, d_ff=64, num_layers=4, num_decoder_layers=1)
    ).eval()
    model.set_attn_implementation("eager")
    with torch.no_grad():
        model.shared.weight.normal_()
    seed_heads(model)
    ids = torch.arange(3, 33)[None]
    ids[0, 25] = ids[0, 2]
    with torch.no_grad():
        first_layer = model.encoder(input_ids=ids, output_attentions=True).attentions[0]  # (1, head, query, key)
    assert int(first_layer[0, -1, 2].argmax()) == 25
    assert int(first_layer[0, -1, 25].argmax()) == 2


def test_free_attention_lets_position_biases_move_by_whole_units() -> None:
    bias = torch.full((32, 4), 0.01)
    name = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    assert step_size(name, bias, free_attention=False) == pytest.approx(0.01)
    assert step_size(name, bias, free_attention=True) == 1.0
