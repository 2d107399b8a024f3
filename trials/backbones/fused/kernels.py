"""The kernels, in Triton. Nothing but `trials.backbones.fused.launch` imports this file: a processor never does.

All of them compute in float32, whatever they read and write, and make their dropout masks where they need them: a mask
is no tensor. Its bits are those of `trials.batching.dropout`, from the same words:

- of a row at a place of the network, scramble(key + site * PLACE);
- of a pair of features, mixed(row's word ^ scramble(counter * COUNT)), the even one in the lower half.

``word`` is site * PLACE as int32; a half of a word below ``drops``, in 65,536ths, drops; ``scale`` multiplies the rest.
"""

from __future__ import annotations

import triton
import triton.language as tl

from trials.batching import dropout

FIRST, SECOND, COUNT = (tl.constexpr(number & 0xFFFFFFFF) for number in (dropout.FIRST, dropout.SECOND, dropout.COUNT))
NOT_SPECIALISED = ["word", "drops", "length", "firsts", "seconds", "total"]
"""Numbers that differ between places and passes: one compiled kernel serves all of them."""


@triton.jit
def mixed(words):
    """See `trials.batching.dropout`; uint32, whose shifts fill up with zeros."""
    words = words * FIRST
    words = words ^ (words >> 15)
    words = words * SECOND
    return words ^ (words >> 16)


@triton.jit
def scrambled(words):
    """See `trials.batching.dropout.scramble`."""
    return mixed(words ^ (words >> 16))


@triton.jit
def row_words(of_rows, word):
    """The words of some rows at a place of the network, of their keys."""
    return scrambled(of_rows.to(tl.uint32, bitcast=True) + word.to(tl.uint32, bitcast=True))


@triton.jit
def mask_of(words, counters, column, drops, scale):
    """A mask: 0 or the scale. ``counters`` are those of the first feature."""
    column = column.to(tl.uint32)
    pairs = mixed(words ^ scrambled((counters + (column >> 1)) * COUNT))
    halves = (pairs >> ((column & 1) << 4)) & 0xFFFF
    return tl.where((halves ^ 0x8000) >= drops.to(tl.uint32), scale, 0.0)


@triton.jit
def tile_of_tokens(first, total, width, TOKENS: tl.constexpr, BLOCK: tl.constexpr):
    """Tokens and features from the first feature on, where they are, and which of them there are."""
    token = tl.program_id(0) * TOKENS + tl.arange(0, TOKENS)
    column = first + tl.arange(0, BLOCK)
    at = token.to(tl.int64)[:, None] * width + column[None, :]
    return token, column, at, (token < total)[:, None] & (column < width)[None, :]


@triton.jit
def token_mask(keys, token, column, word, drops, scale, total, length):
    """Of the features of some tokens."""
    of_rows = tl.load(keys + token // length, mask=token < total, other=0)
    counters = (token % length).to(tl.uint32) << 16
    return mask_of(row_words(of_rows, word)[:, None], counters[:, None], column[None, :], drops, scale)


@triton.jit(do_not_specialize=NOT_SPECIALISED)
def add_norm(
    x, added, total_out, y_out, inverse_out, keys, word, drops, scale, total, length, width, eps,
    ADDS: tl.constexpr, DROPS: tl.constexpr, TOKENS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """s = x + mask * added and s / sqrt(mean(s**2) + eps)."""
    token, column, at, inside = tile_of_tokens(0, total, width, TOKENS, BLOCK)
    stream = tl.load(added + at, mask=inside, other=0.0).to(tl.float32)
    if DROPS:
        stream = stream * token_mask(keys, token, column, word, drops, scale, total, length)
    if ADDS:
        stream = stream + tl.load(x + at, mask=inside, other=0.0)
    tl.store(total_out + at, stream, mask=inside)
    stream = tl.where(inside, stream, 0.0)
    inverse = 1.0 / tl.sqrt(tl.sum(stream * stream, axis=1) / width + eps)
    tl.store(inverse_out + token, inverse, mask=token < total)
    tl.store(y_out + at, (stream * inverse[:, None]).to(y_out.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=NOT_SPECIALISED)
def add_norm_backward(
    along, g, y, inverse, stream_out, added_out, keys, word, drops, scale, total, length, width,
    ALONG: tl.constexpr, STREAM: tl.constexpr, ADDED: tl.constexpr, DROPS: tl.constexpr,
    TOKENS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """d/ds = g_s + (g - y mean(g y)) / sqrt(mean(s**2) + eps), for the stream and, masked, for what was added."""
    token, column, at, inside = tile_of_tokens(0, total, width, TOKENS, BLOCK)
    of_y = tl.load(g + at, mask=inside, other=0.0).to(tl.float32)
    normed = tl.load(y + at, mask=inside, other=0.0).to(tl.float32)
    across = of_y - normed * (tl.sum(of_y * normed, axis=1) / width)[:, None]
    found = across * tl.load(inverse + token, mask=token < total, other=0.0)[:, None]
    if ALONG:
        found = found + tl.load(along + at, mask=inside, other=0.0)
    if STREAM:
        tl.store(stream_out + at, found, mask=inside)
    if ADDED:
        if DROPS:
            found = found * token_mask(keys, token, column, word, drops, scale, total, length)
        tl.store(added_out + at, found.to(added_out.dtype.element_ty), mask=inside)


@triton.jit
def place_of_lines(line, total, firsts, seconds):
    """Row, first and second axis of lines of scores, and which of them there are."""
    return line // (firsts * seconds), line // seconds % firsts, line % seconds, line < total


@triton.jit
def mask_of_lines(keys, word, row, first, second, there, column, drops, scale):
    """The mask of lines of weights, whose places on both axes are counted before those on the last."""
    counters = (first.to(tl.uint32) << 26) + (second.to(tl.uint32) << 13)
    words = row_words(tl.load(keys + row, mask=there, other=0), word)
    return mask_of(words[:, None], counters[:, None], column[None, :], drops, scale)


@triton.jit(do_not_specialize=NOT_SPECIALISED)
def softmax_dropout(
    scores, bias, blocked, weights_out, dropped_out, keys, word, drops, scale, total, firsts, seconds, width,
    bias_row, bias_first, bias_second, blocked_row,
    BIAS: tl.constexpr, BLOCKED: tl.constexpr, DROPS: tl.constexpr, LINES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """softmax(scores + bias + blocked) and the same masked; scores of shape (rows, firsts, seconds, width)."""
    line = tl.program_id(0) * LINES + tl.arange(0, LINES)
    column = tl.arange(0, BLOCK)
    row, first, second, there = place_of_lines(line, total, firsts, seconds)
    inside = there[:, None] & (column < width)[None, :]
    at = line.to(tl.int64)[:, None] * width + column[None, :]
    values = tl.load(scores + at, mask=inside, other=0.0).to(tl.float32)
    if BIAS:
        start = row.to(tl.int64) * bias_row + first * bias_first + second * bias_second
        values += tl.load(bias + start[:, None] + column[None, :], mask=inside, other=0.0).to(tl.float32)
    if BLOCKED:
        start = row.to(tl.int64) * blocked_row
        values += tl.load(blocked + start[:, None] + column[None, :], mask=inside, other=0.0).to(tl.float32)
    values = tl.where((column < width)[None, :], values, float("-inf"))
    powers = tl.exp(values - tl.max(values, axis=1)[:, None])
    weights = powers / tl.sum(powers, axis=1)[:, None]
    tl.store(weights_out + at, weights.to(weights_out.dtype.element_ty), mask=inside)
    if DROPS:
        mask = mask_of_lines(keys, word, row, first, second, there, column, drops, scale)
        tl.store(dropped_out + at, (weights * mask).to(dropped_out.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=NOT_SPECIALISED)
def softmax_dropout_backward(
    g, weights, scores_out, dropped_out, keys, word, drops, scale, total, firsts, seconds, width,
    DROPS: tl.constexpr, LINES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Of the scores, w (g - sum(g w)) with g masked; and the masked weights again, which nothing has kept."""
    line = tl.program_id(0) * LINES + tl.arange(0, LINES)
    column = tl.arange(0, BLOCK)
    row, first, second, there = place_of_lines(line, total, firsts, seconds)
    inside = there[:, None] & (column < width)[None, :]
    at = line.to(tl.int64)[:, None] * width + column[None, :]
    kept = tl.load(weights + at, mask=inside, other=0.0).to(tl.float32)
    of_weights = tl.load(g + at, mask=inside, other=0.0).to(tl.float32)
    if DROPS:
        mask = mask_of_lines(keys, word, row, first, second, there, column, drops, scale)
        of_weights = of_weights * mask
        tl.store(dropped_out + at, (kept * mask).to(dropped_out.dtype.element_ty), mask=inside)
    found = kept * (of_weights - tl.sum(of_weights * kept, axis=1)[:, None])
    tl.store(scores_out + at, found.to(scores_out.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=NOT_SPECIALISED)
def dropped(
    x, out, keys, word, drops, scale, total, length, width,
    RELU: tl.constexpr, DROPS: tl.constexpr, TOKENS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Masked tokens, or their positive parts; some features a program."""
    token, column, at, inside = tile_of_tokens(tl.program_id(1) * BLOCK, total, width, TOKENS, BLOCK)
    values = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
    if RELU:
        values = tl.where(values > 0, values, tl.where(values == values, 0.0, values))  # as torch: NaN stays
    if DROPS:
        values = values * token_mask(keys, token, column, word, drops, scale, total, length)
    tl.store(out + at, values.to(out.dtype.element_ty), mask=inside)


@triton.jit
def relu_backward(g, y, out, scale, total, BLOCK: tl.constexpr):
    """g where the result was positive, scaled as dropout had scaled it."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < total
    positive = tl.load(y + at, mask=inside, other=0.0) > 0
    found = tl.where(positive, tl.load(g + at, mask=inside, other=0.0).to(tl.float32) * scale, 0.0)
    tl.store(out + at, found.to(out.dtype.element_ty), mask=inside)
