"""Answers that end at a text."""

from __future__ import annotations

import pytest
import torch

from tests.trials.code_models import code_tokenizer, save_code_model
from tests.trials.making import config, inputs_of, trial
from trials.backbones.loading import Backbone, load_backbone
from trials.backbones.stops import EVERY, Stops
from trials.data.tokens import encode_source, encode_target
from trials.evaluation import answers
from trials.tasks import get_task

MBPP = get_task("mbpp")


@pytest.fixture(scope="module")
def coder(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    return load_backbone(save_code_model(tmp_path_factory.mktemp("coder") / "tiny-coder"))


def test_an_answer_ends_at_its_first_stop_and_keeps_its_indentation() -> None:
    stops = Stops(MBPP.stops, None)
    assert stops.cut("    return 1\n\n\ndef g():\n    pass\nprint(1)") == "    return 1"
    assert stops.cut("\tif x:\n\t\treturn 1\n```") == "\tif x:\n\t\treturn 1"
    assert stops.cut("  return 1  \n") == "  return 1"
    assert stops.cut("\ndef f(): pass") == ""


@pytest.mark.parametrize("shift", range(EVERY))
def test_a_stop_is_seen_wherever_it_stands(shift: int) -> None:
    tokenizer = code_tokenizer()
    stops = Stops(MBPP.stops, tokenizer)
    with_stop = "x" * (20 + shift) + "\nassert y" + "z" * 30
    rows = torch.tensor([tokenizer(text)["input_ids"][:50] for text in (with_stop, "x" * 90)])
    seen = [stops.reached(list(rows[:, :n].T)) for n in range(1, 51) if stops.due(n)]
    assert any(first for first, _ in seen) and not any(second for _, second in seen)


def test_code_goes_through_the_tokens_unchanged_and_no_separator_is_read() -> None:
    tokenizer = code_tokenizer()
    body = "\tif x:\n\t\treturn 'é'  # two\n\n\treturn 1"
    ids = encode_target(body, tokenizer, "decoder-only")
    assert tokenizer.decode(ids, skip_special_tokens=True) == body
    prompt = '\n\ndef f(x):\n\t"""\n\t"""\n'
    assert tokenizer.decode(encode_source(prompt, tokenizer, "decoder-only", 325, "{prompt}", "")) == prompt
    assert str(tokenizer.decode(encode_source(prompt, tokenizer, "decoder-only", 325))).endswith("answer: ")


def test_stopping_early_changes_no_answer(coder: Backbone) -> None:
    """A random model writes few letters, so one of them is the stop; the answers up to it are those of the whole."""
    method = trial(coder, config("pt")).method
    sources = [encode_source(text, coder.tokenizer, "decoder-only", 64, "", "") for text in ("def f", "class C:", "x")]
    whole = answers(coder, [method], sources, 40, stops=["no text holds this"])[0]
    stop = whole[0][5]
    ended = answers(coder, [method], sources, 40, stops=[stop])[0]
    assert ended == [text[: text.find(stop)].rstrip() if stop in text else text for text in whole]
    rows = [list(source) for source in sources[:1]]
    inputs = inputs_of(coder, method, rows, [[]])
    embed = lambda tokens, _: method.offset(coder.embedding[tokens[:, None]])  # noqa: E731
    assert coder.greedy(inputs, 40, embed, Stops((stop,), coder.tokenizer)).shape[1] == EVERY
    assert coder.greedy(inputs, 40, embed).shape[1] == 40
