"""One decoder step over a task's labels gives what greedy decoding gives."""

from __future__ import annotations

import pytest
import torch

from tests.trials.making import Rows, mixed
from trials.backbones.answers import AnswerTree
from trials.backbones.loading import Backbone, Inputs, T5Backbone
from trials.batching.passes import PassCost
from trials.evaluation import answers, score
from trials.methods.base.module import MethodModule
from trials.trial import Trial

LABELS = [[30, 1], [31, 1], [40, 41, 1], [40, 42, 43, 1], [40, 42, 1]]


def shaken(backbone: Backbone) -> list[Trial]:
    trials = mixed(backbone, 6)
    for i, t in enumerate(trials):
        for parameter in t.method.parameters():
            parameter.data += torch.randn(parameter.shape, generator=torch.Generator().manual_seed(i))
    return trials


def labels_that_occur(told: list[list[str]], backbone: Backbone) -> list[list[int]]:
    """Answers that the untrained models really give, as a task's labels, so that rows inside a tree occur."""
    some = sorted({text for texts in told for text in texts})[::2]
    return [[*backbone.tokenizer(text, add_special_tokens=False)["input_ids"], 1] for text in some]


def test_answers_with_labels_are_those_of_greedy_decoding(
    backbone: Backbone, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows inside and outside the tree, all methods together, an end that comes and one that does not."""
    methods = [t.method for t in shaken(backbone)]
    greedy = answers(backbone, methods, rows.sources[:30], 5)
    for labels in (LABELS, [[30, 1]], make_labels(backbone, methods, rows)):
        assert answers(backbone, methods, rows.sources[:30], 5, labels, PassCost(16, 300)) == greedy


def test_texts_of_a_stack_are_those_of_each_method_alone(backbone: Backbone, rows: Rows) -> None:
    """Prompts of unlike lengths and methods that look at positions share passes of token-by-token decoding."""
    methods = [t.method for t in shaken(backbone)]
    together = answers(backbone, methods, rows.sources[:20], 7, cost=PassCost(16, 300))
    assert together == [answers(backbone, [method], rows.sources[:20], 7)[0] for method in methods]
    assert len({text for texts in together for text in texts}) > 5  # not everywhere the same


def make_labels(backbone: Backbone, methods: list[MethodModule], rows: Rows) -> list[list[int]]:
    """The first tokens that greedy decoding chooses, as labels of one and two tokens without an end."""
    found: list[list[int]] = []

    def note(texts: object, stops: object = None) -> list[str]:
        found.extend(list(map(int, t)) for t in texts)  # type: ignore[attr-defined]
        return [""] * len(texts)  # type: ignore[arg-type]

    original = backbone.text
    backbone.text = note  # type: ignore[method-assign, assignment]
    try:
        answers(backbone, methods, rows.sources[:30], 5)
    finally:
        backbone.text = original  # type: ignore[method-assign]
    return [tokens[:5] for tokens in found[::3]]


def test_rows_inside_the_tree_need_no_decoding(backbone: Backbone, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    methods = [t.method for t in shaken(backbone)][:2]
    labels = make_labels(backbone, methods, rows)
    expected = answers(backbone, methods, rows.sources[:30], 5)
    decoded = []
    greedy = type(backbone).greedy
    monkeypatch.setattr(
        type(backbone),
        "greedy",
        lambda self, inputs, *rest: (decoded.append(len(inputs.lengths)), greedy(self, inputs, *rest))[1],
    )
    assert answers(backbone, methods, rows.sources[:30], 5, labels) == expected
    assert sum(decoded) < 60 and len(labels) == 20


def test_an_encoder_reads_rows_outside_the_tree_only_once(
    backbone: Backbone, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backbone.embeds_answers:
        pytest.skip("no encoder in a decoder-only model")
    reader, name = (backbone.t5, "encode") if isinstance(backbone, T5Backbone) else (backbone.stock, "encoded")  # type: ignore[attr-defined]
    methods = [t.method for t in shaken(backbone)][:2]
    expected = answers(backbone, methods, rows.sources[:30], 5)
    read, encode = [], getattr(reader, name)

    def counting(x: torch.Tensor, *rest: object) -> object:
        read.append(len(x))
        return encode(x, *rest)

    monkeypatch.setattr(reader, name, counting)
    assert answers(backbone, methods, rows.sources[:30], 5, [[30, 1]]) == expected
    assert sum(read) == 60


def test_the_loss_is_that_of_the_targets_alone(backbone: Backbone, rows: Rows) -> None:
    """As in training without dropout: the mean over all targets' tokens, whatever the pass and the neighbours."""
    methods = [t.method for t in shaken(backbone)][:3]
    labels = sorted({tuple(map(int, target)) for target in rows.targets})
    found = score(backbone, methods, rows, ["accuracy"], 5, labels, PassCost(16, 300))
    for method, scored in zip(methods, found, strict=True):
        total = tokens = 0.0
        for source, target in zip(rows.sources, rows.targets, strict=True):
            told = torch.tensor([[*source, *(target if backbone.embeds_answers else [])]])
            with torch.no_grad():
                shifted = method.offset(backbone.embedding[told].float(), torch.arange(told.shape[1])[None])
                x = torch.cat([method.prompt[None], shifted], dim=1)
                length, start = (backbone.numbers([method.prompt_length + n]) for n in (told.shape[1], len(source)))
                losses = backbone.token_losses(Inputs(x, length, start), torch.tensor([target]))
            total, tokens = total + float(losses.sum()), tokens + len(target)
        assert scored.loss == pytest.approx(total / tokens, rel=1e-5)


def test_there_is_no_loss_where_a_target_is_no_answer_of_the_tree(t5: Backbone, rows: Rows) -> None:
    method = shaken(t5)[0].method
    assert score(t5, [method], rows, ["accuracy"], 5, [[30, 1]])[0].loss is None
    assert score(t5, [method], rows, ["accuracy"], 5)[0].loss is None


def test_a_tree_shares_beginnings() -> None:
    tree = AnswerTree(LABELS)
    assert sorted(zip(tree.depths[1:], tree.tokens, strict=True)) == [
        (1, 30),
        (1, 31),
        (1, 40),
        (2, 41),
        (2, 42),
        (3, 43),
    ]
    assert int(tree.visible.sum()) == 1 + 3 * 2 + 2 * 3 + 4


@pytest.mark.parametrize(
    ("choices", "answer"),
    [
        ({(): 30, (30,): 1}, (30, 1)),
        ({(): 30, (30,): 5}, None),
        ({(): 40, (40,): 42, (40, 42): 43, (40, 42, 43): 1}, (40, 42, 43, 1)),
        ({(): 40, (40,): 42, (40, 42): 1}, (40, 42, 1)),
        ({(): 99}, None),
    ],
)
def test_a_walk_ends_at_a_label_or_leaves(choices: dict[tuple[int, ...], int], answer: tuple[int, ...] | None) -> None:
    tree = AnswerTree(LABELS)
    prefixes = sorted({tuple(x[:n]) for x in LABELS for n in range(len(x))}, key=lambda p: (len(p), p))
    assert tree.followed([choices.get(prefix, -1) for prefix in prefixes]) == answer
