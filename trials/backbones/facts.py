"""What a backbone is, read without loading it: name, architecture, sizes. Importing this needs no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from trials.backbones.revisions import weights_fingerprint
from trials.config import Architecture
from trials.errors import BackboneError, did_you_mean

EMBEDDED = Path(__file__).parents[1] / "embedded"
DEFAULT = "t5-nano"
PROJECTIONS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("t5", "mt5", "umt5"), ("q", "v")),
    **dict.fromkeys(("codegen", "phi3"), ("qkv_proj",)),
    **dict.fromkeys(("gpt_neox", "bloom", "persimmon"), ("query_key_value",)),
    **dict.fromkeys(("gpt2", "openai-gpt", "gpt_bigcode", "falcon", "mpt"), ()),  # transposed, or of another order
}
"""`Facts.projections` by the config's model type, as published: queries and values of T5 (LST, rank 32; 35 on T5-3B),
queries, keys and values of decoder-only models (rank 16: 1.3M on CodeGen-350M, 9.4M on Llama3-8B; ADePT, Table 7)."""

LLAMAS = ("q_proj", "k_proj", "v_proj")
"""`Facts.projections` of model types that are not in the table."""

UNKNOWN_REVISION = "main"  # of a model of the hub, until it is loaded
EMBEDDED_REVISION = "5e0016d32b56936c"
"""Of the embedded backbone, which comes with this package: other weights in its place need another name here."""


POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx", "context_length")
"""Keys of a config that say how many tokens a row may have."""


@dataclass(frozen=True)
class Facts:
    """A backbone's description.

    Attributes:
        name: short, for tables and file names: ``t5-nano``, ``t5-base``, the last part of a folder or hub id.
        location: what transformers loads: a folder or a hub id.
        width: of the input embeddings, d.
        layers: of encoder and decoder; a decoder-only model has no encoder.
        inner: heads times head width. ff: feed-forward width (of a gated one, counted for two matrices).
        values: heads of keys and values times head width, where those are fewer; 0: as ``inner``.
        projections: what transformers' model calls the projections of an attention that LoRA changes: two names where
            they are those of queries and values, three with the keys' between them, one where all are one matrix, none
            where it is kept in a way that is not known here.
        hidden: width of the layers, where it is not that of the embeddings; 0: as ``width``.
        positions: tokens that a row may have, prompt and answer included; 0: as many as fit, or not known.
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


@cache
def published() -> dict[str, Facts]:
    """The paper's backbones by their short names."""
    table = yaml.safe_load((Path(__file__).parent / "backbones.yaml").read_text(encoding="utf-8"))
    for row in table.values():
        row |= {key: tuple(value) for key, value in row.items() if isinstance(value, list)}
    return {name: Facts(name=name, location=row.pop("hub"), **row) for name, row in table.items()}


def backbone_names() -> list[str]:
    """Names that need neither a folder nor a hub id."""
    return [DEFAULT, *published()]


def is_known(name: str) -> bool:
    """Whether it is a backbone's name or the hub id of one of the paper's, whatever folders there are."""
    return name in backbone_names() or any(facts.location == name for facts in published().values())


def describe(name: str) -> Facts:
    """Facts about a backbone given as a known name, a folder or a hub id.

    A folder is checked for config, tokenizer and weights; a hub id that is not a known name needs the network or the
    local cache of the hub.

    Raises:
        BackboneError: naming what is missing and what to give instead.
    """
    if name == DEFAULT:
        return from_folder(EMBEDDED / DEFAULT, DEFAULT, EMBEDDED_REVISION)
    if name in published():
        return published()[name]
    known = next((f for f in published().values() if f.location == name), None)
    if known:
        return known
    folder = Path(name).expanduser().resolve()  # an adapter is used in other working folders
    if folder.is_dir():
        return from_folder(folder, folder.name)
    if "/" not in name or name.startswith((".", "/", "~")) or name.count("/") > 1:
        rule = f"it is neither a known backbone ({', '.join(backbone_names())}), an existing folder, nor a hub id"
        raise BackboneError([f"--backbone {name!r}: {rule}{did_you_mean(name, backbone_names())}"])
    return from_hub(name)


def from_folder(folder: Path, name: str, revision: str | None = None) -> Facts:
    """Facts about a model saved in a folder, after checking that everything is there; its fingerprint if need be."""
    problems = []
    config: dict[str, Any] = {}
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        problems.append(f"--backbone {folder}: no config.json; give a folder written by save_pretrained")
    except ValueError as error:
        problems.append(f"--backbone {folder}: config.json is not JSON ({error})")
    if not any((folder / f).exists() for f in ("tokenizer.json", "spiece.model", "tokenizer.model", "vocab.json")):
        problems.append(
            f"--backbone {folder}: no tokenizer (tokenizer.json or spiece.model); save it there with "
            "tokenizer.save_pretrained"
        )
    problems += missing_weights(folder)
    if problems:
        raise BackboneError(problems)
    return replace(from_config(config, name, str(folder)), revision=revision or weights_fingerprint(folder))


def missing_weights(folder: Path) -> list[str]:
    """What is wrong with a folder's weights, in words; an empty list where nothing is."""
    index = folder / "model.safetensors.index.json"
    if index.exists():
        shards = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        gone = [s for s in shards if not (folder / s).exists()]
        return [f"--backbone {folder}: weight files missing: {', '.join(gone)}"] if gone else []
    file = folder / "model.safetensors"
    if not file.exists():
        return [
            f"--backbone {folder}: no weights (model.safetensors, or model.safetensors.index.json with its shards); "
            "convert older formats with save_pretrained"
        ]
    with file.open("rb") as stream:
        header = int.from_bytes(stream.read(8), "little")
        whole = 8 + header
        if whole <= file.stat().st_size:
            entries = json.loads(stream.read(header))
            whole += max((e["data_offsets"][1] for k, e in entries.items() if k != "__metadata__"), default=0)
    if whole != file.stat().st_size:
        return [f"--backbone {folder}: model.safetensors is truncated or damaged ({file.stat().st_size:,} bytes)"]
    return []


def from_hub(model: str) -> Facts:
    """Facts about a model of the hub, from its config there or in the local cache."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(model, trust_remote_code=False).to_dict()
    except (OSError, ValueError) as error:
        refuse_own_code(model, error)
        raise BackboneError(
            [
                f"--backbone {model!r}: its config could not be read from the hub ({str(error).splitlines()[0]}); "
                "check the id and the network, or give a folder"
            ]
        ) from error
    return from_config(config, model.split("/")[-1], model)


def refuse_own_code(location: str, error: Exception) -> None:
    """Say what is the matter where a model wants Python files of its own to be run; else do nothing.

    transformers itself would ask at the terminal, for 15 seconds, whether to run them.

    Raises:
        BackboneError: that is what the error says.
    """
    if "trust_remote_code" in str(error):
        raise BackboneError(
            [
                f"--backbone {location!r}: this model brings Python code of its own (auto_map in its config), which is "
                "never run here: whoever wrote it could do with this machine what they like. Choose a model of an "
                "architecture that transformers has itself"
            ]
        ) from error


def from_config(config: dict[str, Any], name: str, location: str) -> Facts:
    """Facts from a transformers config.

    Raises:
        BackboneError: it is none of a language model that is known here.
    """
    inner = config.get("text_config")  # of a model that reads pictures or sound as well
    if isinstance(inner, Mapping):
        config = {**config, **{key: value for key, value in inner.items() if value is not None}}
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
    if both and kind not in {"t5", "mt5", "umt5"}:
        raise BackboneError(
            [f"--backbone {name}: encoder-decoder models other than T5's are not known here ({kind!r})"]
        )
    layers = int(first("num_layers", "num_hidden_layers", "n_layer", default=1))
    heads = first("num_heads", "num_attention_heads", "n_head", default=1) or 1
    head = first("d_kv", "head_dim", default=hidden // heads)
    ff = first("d_ff", "intermediate_size", "ffn_dim", "n_inner", default=4 * hidden)
    ff = int(max(ff)) if isinstance(ff, list) else int(ff)  # some have one for each layer
    gated = bool(config.get("is_gated_act")) or config.get("hidden_act") == "silu"
    eos = first("eos_token_id", default=1)
    eos = eos[0] if isinstance(eos, list) else eos
    return Facts(
        name=name,
        location=location,
        architecture="encoder-decoder" if both else "decoder-only",
        width=int(width),
        layers=(layers, int(first("num_decoder_layers", default=layers))) if both else (0, layers),
        inner=int(heads * head),
        ff=ff * 3 // 2 if gated else ff,
        vocabulary=int(vocabulary),
        pad_token_id=int(first("pad_token_id", default=eos)),
        eos_token_id=int(eos),
        values=int(first("num_key_value_heads", default=heads) * head),
        projections=PROJECTIONS.get(kind, LLAMAS),
        hidden=0 if hidden == width else int(hidden),
        positions=0 if both else min((int(config[key]) for key in POSITIONS if _counts(config.get(key))), default=0),
    )


def _counts(value: Any) -> bool:
    return isinstance(value, int) and value > 0


def load_tokenizer(facts: Facts, *, local: bool = False) -> Any:
    """The backbone's tokenizer (transformers' fast one); with `local`, only where no network is needed.

    Raises:
        BackboneError: there is none, or the hub cannot be reached.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(facts.location, trust_remote_code=False, local_files_only=local)
    except (OSError, ValueError) as error:
        refuse_own_code(facts.location, error)
        raise BackboneError(
            [
                f"--backbone {facts.name}: its tokenizer could not be loaded from {facts.location} "
                f"({str(error).splitlines()[0]}); check the network, or give a folder that holds it"
            ]
        ) from error
