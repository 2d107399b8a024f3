"""What a backbone is, read from its config: name, architecture, lane, sizes. Importing this needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trials.config import Architecture, Lane
from trials.errors import BackboneError

EMBEDDED = Path(__file__).parents[1] / "embedded"
DEFAULT = "t5-nano"
PROJECTIONS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("t5", "mt5", "umt5", "longt5", "switch_transformers"), ("q", "v")),
    **dict.fromkeys(("codegen", "phi3"), ("qkv_proj",)),
    **dict.fromkeys(("gpt_neox", "bloom", "persimmon"), ("query_key_value",)),
    **dict.fromkeys(("gpt2", "openai-gpt", "gpt_bigcode", "falcon", "mpt"), ()),  # transposed, or of another order
}
"""`Facts.projections` by the config's model type, as published: queries and values of T5 (LST, rank 32; 35 on T5-3B),
queries, keys and values of decoder-only models (rank 16: 1.3M on CodeGen-350M, 9.4M on Llama3-8B; ADePT, Table 7)."""

OTHERS: dict[Architecture, tuple[str, ...]] = {
    "encoder-decoder": ("q_proj", "v_proj"),
    "decoder-only": ("q_proj", "k_proj", "v_proj"),
}
"""`Facts.projections` of model types that are not in the table: as of T5 and Llama, under the usual names."""

FAST = ("t5", "mt5", "umt5")
"""Model types with a forward pass of our own (`trials.backbones.t5`)."""

UNKNOWN_REVISION = "main"  # of a model of the hub, until it is loaded
EMBEDDED_REVISION = "5e0016d32b56936c"
"""Of the embedded backbone, which comes with this package: other weights in its place need another name here."""

POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx", "context_length")
ENCODER_POSITIONS = ("max_encoder_position_embeddings", "max_position_embeddings")
"""Keys of a config that say how many tokens a row may have."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A backbone's description.

    Attributes:
        name: short, for tables and file names: ``t5-nano``, ``t5-base``, the last part of a folder or hub id.
        location: what transformers loads: a folder or a hub id.
        copy_of: the user's folder, where ``location`` is a host's copy of it; adapters name their backbone by it.
        width: of the input embeddings, d.
        layers: of encoder and decoder; a decoder-only model has no encoder.
        inner: heads times head width. ff: feed-forward width (of a gated one, counted for two matrices).
        values: heads of keys and values times head width, where those are fewer; 0: as ``inner``.
        projections: what transformers' model calls the projections of an attention that LoRA changes: two names where
            they are those of queries and values, three with the keys' between them, one where all are one matrix, none
            where it is kept in a way that is not known here.
        hidden: width of the layers, where it is not that of the embeddings; 0: as ``width``.
        positions: tokens that a row may have, prompt included, and the answer where it stands in the row; 0: as many as
            fit, or not known.
        lane: what computes it: ``fast`` is T5's forward pass of this project, ``stock`` the model of transformers.
        revision: fingerprint of a folder (`trials.backbones.revisions`); of a model of the hub, ``main`` until it is
            loaded.
    """

    name: str
    location: str
    architecture: Architecture
    width: int
    layers: tuple[int, int]
    inner: int
    ff: int
    vocabulary: int
    revision: str = UNKNOWN_REVISION
    pad_token_id: int = 0
    eos_token_id: int = 1
    values: int = 0
    projections: tuple[str, ...] = ("q", "v")
    hidden: int = 0
    positions: int = 0
    lane: Lane = "stock"
    copy_of: str = ""

    @property
    def is_embedded(self) -> bool:
        """Whether it is the backbone that comes with this package: a folder of the user's may be called like it."""
        return self.revision == EMBEDDED_REVISION  # no fingerprint of a folder looks so any more

    @property
    def inside(self) -> int:
        """Width of the layers."""
        return self.hidden or self.width

    def projection_shapes(self) -> list[tuple[int, int]]:
        """Outputs and inputs of the `projections` of every attention."""
        values = self.values or self.inner
        outputs = [[], [self.inner + 2 * values], [self.inner, values], [self.inner, values, values]]
        attentions = self.layers[0] + 2 * self.layers[1] if self.layers[0] else self.layers[1]
        return [(size, self.inside) for size in outputs[len(self.projections)]] * attentions

    def layer_weights(self) -> tuple[int, int]:
        """Weights that a source token and a target token multiply with, embeddings and head apart."""
        one = 4 * self.inside * self.inner + 2 * self.inside * self.ff
        cross = 4 * self.inside * self.inner if self.layers[0] else 0
        decoder = self.layers[1] * (one + cross)
        return (self.layers[0] * one, decoder) if self.layers[0] else (decoder, decoder)

    def step_flops(self, rows: int, source: float, target: int = 2, *, inner: bool = False) -> float:
        """Floating-point operations of one training update.

        Two a weight forward, two for the gradient of the activations; none for the weights', which are frozen, but two
        for those of queries, keys and values in self-attention where a method changes them.

        Args:
            rows: of the batch. source: prompt and source tokens in a row. target: answer tokens in a row.
            inner: whether queries and values are changed.
        """
        # As if there were more weights: the gradient of one costs half of what its products forward and back do.
        more = self.inside * (self.inner + 2 * (self.values or self.inner)) / 2 if inner else 0
        encoder, decoder = (w + n * more for w, n in zip(self.layer_weights(), self.layers, strict=True))
        attention = 4 * self.inner * source**2 * (self.layers[0] or self.layers[1])
        head = target * self.inside * self.vocabulary
        if not self.layers[0]:
            return 4 * rows * ((source + target) * decoder + head) + 2 * rows * attention
        return 4 * rows * (source * encoder + target * decoder + head) + 2 * rows * attention


def lane_in_words(facts: Facts, changes_modules: str = "") -> str:
    """Which lane a search takes, and why.

    Args:
        changes_modules: the method, where it changes modules of transformers' model.
    """
    if facts.lane == "fast" and not changes_modules:
        return "lane: fast, T5's forward pass of this project, written for many trials at once"
    why = f"{changes_modules} changes its modules" if changes_modules else "only T5, mT5 and UMT5 have one here"
    return f"lane: stock, transformers' own forward pass ({why})"


def from_config(config: dict[str, Any], name: str, location: str) -> Facts:
    """Facts from a transformers config.

    Raises:
        BackboneError: it is none of a language model that is known here.
    """
    for key in ("text_config", "encoder"):  # of a model that reads pictures or sound as well; of one made of two
        if isinstance(inner := config.get(key), Mapping):
            whole = ("model_type", "is_encoder_decoder") if key == "encoder" else ()
            config = {**config, **{k: v for k, v in inner.items() if v is not None and k not in whole}}
    try:
        return _from_config(config, name, location)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        kind, why = config.get("model_type"), f"{type(error).__name__}: {error}"
        raise BackboneError(
            [f"--backbone {name}: the config of model type {kind!r} is not like that of a language model ({why})"]
        ) from error


def _from_config(config: Mapping[str, Any], name: str, location: str) -> Facts:
    def first(*keys: str, default: Any = None) -> Any:
        return next((config[k] for k in keys if config.get(k) is not None), default)

    hidden = first("d_model", "hidden_size", "n_embd", "emb_dim")
    width = first("word_embed_proj_dim", "embedding_size", "input_embedding_size", default=hidden)
    vocabulary = first("vocab_size", "n_words")
    if not width or not vocabulary:
        raise BackboneError([f"--backbone {name}: model type {config.get('model_type')!r} is not a language model"])
    both, kind = bool(config.get("is_encoder_decoder")), str(config.get("model_type"))
    architecture: Architecture = "encoder-decoder" if both else "decoder-only"
    of_encoder = ("encoder_layers", "num_encoder_layers") if both else ()
    layers = int(first(*of_encoder, "num_layers", "num_hidden_layers", "n_layer", default=1))
    heads = first("num_heads", "num_attention_heads", "n_head", "encoder_attention_heads", default=1) or 1
    head = first("d_kv", "head_dim", default=hidden // heads)
    ff = first("d_ff", "intermediate_size", "ffn_dim", "n_inner", "encoder_ffn_dim", default=4 * hidden)
    ff = int(max(ff)) if isinstance(ff, list) else int(ff)  # some have one for each layer
    gated = bool(config.get("is_gated_act")) or config.get("hidden_act") == "silu"
    named = first(*ENCODER_POSITIONS, default=0) if both else 0  # T5's n_positions limits nothing
    positions = int(named) if both else min((int(config[k]) for k in POSITIONS if _counts(config.get(k))), default=0)
    eos = first("eos_token_id", default=1)
    eos = eos[0] if isinstance(eos, list) else eos
    pad = first("pad_token_id", default=eos)
    return Facts(
        name=name,
        location=location,
        architecture=architecture,
        width=int(width),
        layers=(layers, int(first("num_decoder_layers", "decoder_layers", default=layers))) if both else (0, layers),
        inner=int(heads * head),
        ff=ff * 3 // 2 if gated else ff,
        vocabulary=int(vocabulary),
        pad_token_id=int(pad if 0 <= pad < vocabulary else eos),  # some configs have -1, which has no embedding
        eos_token_id=int(eos),
        values=int(first("num_key_value_heads", default=heads) * head),
        projections=PROJECTIONS.get(kind, OTHERS[architecture]),
        hidden=0 if hidden == width else int(hidden),
        positions=positions,
        lane="fast" if kind in FAST else "stock",
    )


def _counts(value: Any) -> bool:
    return isinstance(value, int) and value > 0
