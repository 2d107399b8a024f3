"""Span corruption must lose nothing: source and target together are the text."""

from __future__ import annotations

import numpy as np
import pytest

from pretraining.corruption import EOS, IGNORED_LABEL, TOP_SENTINEL, batches, collate, corrupt

LOWEST_SENTINEL = TOP_SENTINEL - 99


def restored(source: np.ndarray, target: np.ndarray) -> list[int]:
    """Put every dropped span back in the place of its sentinel."""
    spans: dict[int, list[int]] = {}
    current = -1
    for token in target[:-1].tolist():
        if token >= LOWEST_SENTINEL:
            current = token
            spans[current] = []
        else:
            spans[current].append(token)
    out: list[int] = []
    for token in source[:-1].tolist():
        out += spans.get(token, [token])
    return out


@pytest.mark.parametrize("length", [2, 3, 7, 20, 128])
@pytest.mark.parametrize("seed", range(5))
def test_the_text_can_be_put_together_again(length: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    tokens = rng.integers(3, 8000, length)
    source, target = corrupt(tokens, rng)
    assert restored(source, target) == tokens.tolist()
    assert source[-1] == target[-1] == EOS


def test_fifteen_per_cent_are_dropped_in_spans_of_three() -> None:
    rng = np.random.default_rng(0)
    _, target = corrupt(rng.integers(3, 8000, 100), rng)
    sentinels = int((target >= LOWEST_SENTINEL).sum())
    assert len(target) - 1 - sentinels == 15
    assert sentinels == 5


def test_batches_hold_about_the_tokens_asked_for_and_every_row_whole() -> None:
    rng = np.random.default_rng(0)
    pairs = [(np.array([*range(3, 3 + int(n)), EOS]), np.array([9, EOS])) for n in rng.integers(4, 60, 400)]
    found = list(batches(iter(pairs), 512))
    assert len(found) > 5
    sources = {tuple(s.tolist()) for s, _ in pairs}
    for batch in found:
        rows, width = batch["input_ids"].shape
        assert 512 - width < rows * width <= 512
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True):
            assert tuple(ids[mask.bool()].tolist()) in sources


def test_short_answers_are_not_padded_and_long_targets_ignore_the_padding() -> None:
    short = collate([(np.array([5, EOS]), np.array([9, EOS]))])
    assert short["labels"].tolist() == [[9, EOS]]
    long = collate([(np.array([5, EOS]), np.array([9, 8, 7, EOS]))])
    assert (long["labels"][0, 4:] == IGNORED_LABEL).all()
