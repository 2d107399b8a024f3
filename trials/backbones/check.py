"""Does a backbone compute what transformers computes? Asked once, on made-up rows, before anything is trained on it.

A stack never gives a model token ids: it embeds them itself, shifts them, packs or pads rows of several trials, and
scores a tree of answers in one step. Whatever a model does with token ids beside that would be lost in silence. So
losses, gradients at the input, the tree's and greedy decoding's answers are compared with those of the model's own
forward pass on ``input_ids``, one row at a time; where they differ by more than rounding, the backbone is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor
from torch.nn import functional as F

from trials.backbones.base import IGNORED, Backbone, Inputs
from trials.backbones.check_rows import Rows
from trials.backbones.decoder_only import DecoderOnly
from trials.backbones.reference import Reference
from trials.backbones.stock import StockBackbone, embed_scale, start_token
from trials.batching.dropout import Dropout, row_keys
from trials.data.cache import cached, default_cache_dir, facts_of
from trials.errors import BackboneError, PrecisionError, UserError

NEW_TOKENS = 3
LOSSES, GRADIENTS = 1e-4, 1e-3
"""Differences that are no rounding any more, of float32: of a token's loss or logits to the largest, and of a row's
gradient to its norm. A tenth of that is what deep models reach; a scale that is lost is a hundred times as much."""
HALF = 0.1  # the same of losses in bfloat16, which has 8 bits, and whose errors add up along the layers


@dataclass(frozen=True)
class Finding:
    """What is known of a backbone that is right.

    Attributes:
        trees: `DecoderOnly.trees`. drops: `StockModel.drops`.
        losses: of the made-up rows, in float32.
    """

    trees: bool
    drops: bool
    losses: tuple[float, ...]

    def apply(self, backbone: Backbone) -> None:
        """Let the backbone work as it was found to be right."""
        if isinstance(backbone, DecoderOnly):
            backbone.trees = self.trees
        if isinstance(backbone, StockBackbone):
            backbone.stock.drops = self.drops


class Differs(Exception):  # noqa: N818  (no error yet: another way of computing may be right)
    """What is not as transformers has it, and by how much."""


def found_once(
    described: Sequence[str], device: torch.device, find: Callable[[], Finding], cache_dir: Path | None
) -> Finding:
    """The finding about a model, from the cache if it was made there with all that decides it.

    A check that fails is not kept.

    Args:
        described: what decides it beside the device, the versions of libraries and this code.
    """
    made: list[Finding] = []

    def build(folder: Path) -> dict[str, Any]:
        made.append(find())
        return asdict(made[0])

    try:
        _, facts = cached(cache_dir or default_cache_dir(), _kept_as(described, device), build)
    except BackboneError:
        raise
    except UserError:  # a cache that cannot be written costs a check each time
        return made[0] if made else find()
    return Finding(**facts)


def known(described: Sequence[str], device: torch.device, cache_dir: Path | None) -> Finding | None:
    """The finding of `found_once` where it was made before; None: it was not, or is not what was written."""
    facts = facts_of((cache_dir or default_cache_dir()) / _kept_as(described, device))
    return None if facts is None else Finding(**facts)


def _kept_as(described: Sequence[str], device: torch.device) -> str:
    parts = [*described, device.type, _code(), torch.__version__, transformers.__version__]
    return f"backbone-{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()[:16]}"


@cache
def _code() -> str:
    """Of all that computes: a change in it is looked at again."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def check(backbone: Backbone, model: Any) -> Finding:
    """Compare a backbone in float32 with the model that it was made from.

    Raises:
        BackboneError: naming the family, what differs and by how much.
    """
    ways = [True, False] if isinstance(backbone, DecoderOnly) and backbone.trees else [False]
    last: Exception | None = None
    for trees in ways:
        try:
            return _found(backbone, model, trees)
        except (torch.OutOfMemoryError, MemoryError):
            raise
        except Exception as error:  # whatever a model of a family that nobody has tried may raise
            last = error
    assert last is not None
    raise refusal(backbone, last) from last


def check_half(backbone: Backbone, model: Any, finding: Finding) -> None:
    """See whether the losses in bfloat16 are those of float32 but for rounding.

    Raises:
        PrecisionError: they are not.
    """
    try:
        rows = Rows(backbone, model.config)
        losses, gradient = _training(backbone, rows)
        for ours, theirs in zip(_sums(losses), finding.losses, strict=True):
            _same("losses in bfloat16", ours, theirs, HALF)
        if not bool(gradient.isfinite().all()):
            raise Differs("gradients in bfloat16 are not finite")
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:
        remedy = "use --precision float32, or choose another backbone"
        raise PrecisionError(refusal(backbone, error, remedy).problems) from error


def refusal(backbone: Backbone, error: Exception, remedy: str = "") -> BackboneError:
    """One sentence for a backbone that is not computed right."""
    if isinstance(error, Differs | BackboneError):
        what = str(error)
    else:
        what = f"transformers' {type(error).__name__}: {(str(error).strip() or 'no words').splitlines()[0][:160]}"
    return unsupported(backbone.facts.name, backbone.model_type, what, remedy)


def unsupported(name: str, kind: str, what: str, remedy: str = "") -> BackboneError:
    """The sentence."""
    remedy = remedy or "choose another backbone (docs/backbones.md has the list)"
    return BackboneError([f"--backbone {name}: models of the type {kind!r} are not supported: {what}; {remedy}"])


def _found(backbone: Backbone, model: Any, trees: bool) -> Finding:
    if isinstance(backbone, DecoderOnly):
        backbone.trees = trees
    rows, reference = Rows(backbone, model.config), Reference(model, **_called(backbone, model))
    losses, gradient = _training(backbone, rows)
    theirs = _compare_training(rows, reference, losses, gradient)
    with torch.no_grad():
        drops = _compare_dropout(backbone, rows, theirs)
        _compare_answers(backbone, rows, reference)
    return Finding(trees, drops, tuple(_sums(losses)))


def _called(backbone: Backbone, model: Any) -> dict[str, Any]:
    """How `Reference` is to call the model."""
    if backbone.embeds_answers:
        return {"embeds_answers": True}
    return {"embeds_answers": False, "start": start_token(model), "scale": embed_scale(model)}


def _training(backbone: Backbone, rows: Rows) -> tuple[Tensor, Tensor]:
    """Losses of each row's answer, shape (rows, longest answer), and their gradient, shape of the embeddings."""
    inputs = rows.inputs(backbone, rows.labels)
    losses = backbone.token_losses(inputs, backbone.padded(rows.labels, IGNORED))
    losses.sum().backward()
    assert inputs.embeddings.grad is not None
    return losses.detach(), inputs.embeddings.grad


def _sums(losses: Tensor) -> list[float]:
    return losses.sum(1).tolist()


def _compare_training(rows: Rows, reference: Reference, losses: Tensor, gradient: Tensor) -> list[float]:
    """The rows' losses by transformers."""
    found = []
    for i, (source, answer) in enumerate(zip(rows.sources, rows.labels, strict=True)):
        theirs, at_input = reference.training(source, answer)
        _same("training losses", losses[i, : len(answer)], theirs, LOSSES)
        _same("gradients at the input", gradient[i, : len(at_input)], at_input, GRADIENTS, norm=True)
        found.append(float(theirs.sum()))
    return found


def _compare_dropout(backbone: Backbone, rows: Rows, theirs: Sequence[float]) -> bool:
    """Whether there is dropout; where there is, nothing else may change in training, and masks belong to rows."""
    if not isinstance(backbone, StockBackbone):
        return True
    inputs, targets = rows.inputs(backbone, rows.labels), backbone.padded(rows.labels, IGNORED)
    calm, places = backbone.losses_in_training(inputs, targets)
    for row, known in zip(_sums(calm), theirs, strict=True):
        _same("losses in training, dropout apart (a router's noise, layers left out),", row, known, LOSSES)
    if not places:
        return False
    backbone.stock.drops = True
    keys = torch.from_numpy(row_keys(0, 0, len(rows.sources))).to(backbone.device)
    together = backbone.token_losses(inputs, targets, Dropout(keys))
    for i in range(len(keys)):
        one = slice(i, i + 1)
        length = int(inputs.lengths[i])
        alone = Inputs(inputs.embeddings[one, :length], inputs.lengths[one], inputs.starts[one])
        answer = targets[one, : len(rows.labels[i])]
        expected = backbone.token_losses(alone, answer, Dropout(keys[one]))[0]
        _same("dropout beside other rows", together[i, : len(expected)], expected, LOSSES)
    if torch.equal(together, calm):
        raise Differs("dropout is asked for and drops nothing")
    return True


def _compare_answers(backbone: Backbone, rows: Rows, reference: Reference) -> None:
    """The tree's logits and greedy answers; and whether tokens to come change what is before them."""
    nothing: list[list[int]] = [[] for _ in rows.sources]
    nodes = [list(rows.tree.tokens)] * len(rows.sources)
    ours, decode = backbone.tree_logits(rows.inputs(backbone, nodes), rows.tree)

    def embed(tokens: Tensor, number: int) -> Tensor:
        return F.embedding(tokens[:, None], backbone.embedding).float()

    answers = [backbone.greedy(rows.inputs(backbone, nothing), NEW_TOKENS, embed)]
    answers += [decode(range(len(rows.sources)), NEW_TOKENS)] if decode else []
    for i, source in enumerate(rows.sources):
        for label in rows.labels:
            forced, path = reference.logits(source, label[:-1]), rows.tree.path(label)
            for n, (node, _) in enumerate(path or ()):
                if i == 0:
                    last = reference.logits(source, label[:n])[-1]
                    _same("logits once more tokens follow (it is no causal model)", forced[n], last, LOSSES)
                _same("logits of a tree of answers", ours[i, node], forced[n], LOSSES)
        for answer in answers:
            _same_greedy(answer[i].tolist(), source, reference, backbone)


def _same_greedy(answer: Sequence[int], source: Sequence[int], reference: Reference, backbone: Backbone) -> None:
    """Greedy decoding by repeated forward passes; where two tokens are equal but for rounding, either is right."""
    before: list[int] = []
    for token in answer:
        logits = reference.logits(source, before)[-1]
        forced = backbone.first_token if not before else None
        best = int(logits.argmax()) if forced is None else forced
        if token != best:
            _same("greedy answers", logits[token], logits[best], LOSSES)
            return
        if token in backbone.ends:
            return
        before.append(token)


def _same(what: str, ours: Tensor | float, theirs: Tensor | float, most: float, *, norm: bool = False) -> None:
    ours, theirs = (torch.as_tensor(x).detach().double().cpu() for x in (ours, theirs))
    if not bool(ours.isfinite().all() and theirs.isfinite().all()):
        raise Differs(f"{what} are not finite")
    difference = (ours - theirs).norm() if norm else (ours - theirs).abs().max()
    scale = theirs.norm() if norm else theirs.abs().max().clamp(min=1.0)
    if float(difference) > most * float(scale):
        by = f"{100 * float(difference / scale.clamp(min=1e-30)):.2g} %"
        raise Differs(f"{what} differ by {by} from those that transformers computes from token ids")
