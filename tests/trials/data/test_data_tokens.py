from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.trials.made_data import decoder_tokenizer, made_task, nano_tokenizer, write_splits
from trials.data import SEPARATOR, encode_source, encode_target, prepare
from trials.data.tokens import SourceEncoder, encode_labels, encode_sources, tokenizer_fingerprint
from trials.errors import BackboneError, DataError, UserError

LONG = " ".join(f"w{i}" for i in range(50))


def test_encoder_decoder_ends_with_the_end_token() -> None:
    tokenizer = nano_tokenizer()
    short = encode_source("a short text", tokenizer, "encoder-decoder", 64)
    assert short == tokenizer("a short text")["input_ids"]
    assert short[-1] == tokenizer.eos_token_id
    assert encode_target("1", tokenizer, "encoder-decoder") == tokenizer("1")["input_ids"]


@pytest.mark.parametrize("length", [2, 5, 17])
def test_truncation_cuts_on_the_right_and_keeps_the_end(length: int) -> None:
    tokenizer = nano_tokenizer()
    ids = encode_source(LONG, tokenizer, "encoder-decoder", length)
    assert ids == tokenizer(LONG, truncation=True, max_length=length)["input_ids"]
    assert len(ids) == length
    assert ids[-1] == tokenizer.eos_token_id


@pytest.mark.parametrize("begin", [True, False])
def test_decoder_only_ends_with_the_separator(begin: bool) -> None:
    tokenizer = decoder_tokenizer(begin=begin)
    separator = tokenizer(SEPARATOR, add_special_tokens=False)["input_ids"]
    first = [tokenizer.bos_token_id] if begin else []
    ids = encode_source("row w0 w1", tokenizer, "decoder-only", 64)
    words = tokenizer("row w0 w1", add_special_tokens=False)["input_ids"]
    assert ids == [*first, *words, *separator]
    assert tokenizer.eos_token_id not in ids
    assert encode_target("1", tokenizer, "decoder-only") == [
        *tokenizer("1", add_special_tokens=False)["input_ids"],
        tokenizer.eos_token_id,
    ]


@pytest.mark.parametrize("begin", [True, False])
def test_truncation_keeps_the_separator_whole(begin: bool) -> None:
    tokenizer = decoder_tokenizer(begin=begin)
    separator = tokenizer(SEPARATOR, add_special_tokens=False)["input_ids"]
    ids = encode_source(LONG, tokenizer, "decoder-only", 10)
    assert len(ids) == 10
    assert ids[-len(separator) :] == separator
    assert tokenizer.decode(ids, skip_special_tokens=True).startswith("w0w1")


def test_a_decoder_whose_tokenizer_ends_texts_loses_that_end() -> None:
    tokenizer = nano_tokenizer()  # ends each text with "</s>"
    ids = encode_source("a text", tokenizer, "decoder-only", 64)
    assert tokenizer.eos_token_id not in ids
    assert tokenizer.decode(ids).strip().endswith("answer:")


@pytest.mark.parametrize(
    ("tokenizer", "architecture", "least"),
    [(nano_tokenizer, "encoder-decoder", 2), (decoder_tokenizer, "decoder-only", 4)],
)
def test_a_length_without_room_for_text_is_refused(tokenizer: Any, architecture: Any, least: int) -> None:
    assert len(encode_source(LONG, tokenizer(), architecture, least)) == least
    with pytest.raises(UserError, match=f"at least {least}"):
        encode_source(LONG, tokenizer(), architecture, least - 1)


def test_a_tokenizer_without_an_end_token_is_refused() -> None:
    with pytest.raises(BackboneError, match="end-of-sequence"):
        encode_target("1", decoder_tokenizer(end=False), "decoder-only")


def test_a_label_that_the_tokenizer_cannot_write_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        encode_labels(["0", "yes", "w3"], decoder_tokenizer(), "decoder-only")
    assert caught.value.problems[0].startswith("the tokenizer reads the label text 'yes' back as")
    assert len(caught.value.problems) == 1


def test_one_by_one_and_together_are_the_same() -> None:
    texts = ["", "one", LONG]
    for tokenizer, architecture in ((nano_tokenizer(), "encoder-decoder"), (decoder_tokenizer(), "decoder-only")):
        together = encode_sources(texts, tokenizer, architecture, 12)  # type: ignore[arg-type]
        assert together == [encode_source(text, tokenizer, architecture, 12) for text in texts]  # type: ignore[arg-type]


def test_the_fingerprint_is_of_the_tokenizer_and_not_of_its_last_call() -> None:
    tokenizer = decoder_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    before = tokenizer_fingerprint(tokenizer)
    tokenizer(["row", "row row"], padding=True, truncation=True, max_length=5)
    assert tokenizer_fingerprint(tokenizer) == before
    tokenizer.add_tokens(["extra"])
    assert tokenizer_fingerprint(tokenizer) != before


def test_a_misspelt_architecture_gets_a_hint(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'decoder-only'"):
        prepare(made_task(), nano_tokenizer(), architecture="decoder_only")  # type: ignore[arg-type]


def test_a_prepared_decoder_task(tmp_path: Path) -> None:
    tokenizer = decoder_tokenizer()
    prepared = prepare(
        made_task(),
        tokenizer,
        architecture="decoder-only",
        data_dir=write_splits(tmp_path),
        cache_dir=tmp_path / "cache",
    )
    ids, targets, texts = prepared.split("validation").batch([1])
    assert ids[0].tolist() == encode_source("text: row 11", tokenizer, "decoder-only", 16)
    assert targets[0].tolist() == prepared.label_token_ids["1"] == encode_target("1", tokenizer, "decoder-only")
    assert texts == ["1"]
    assert prepared.max_target_length == 2


def chat_tokenizer() -> Any:
    """A byte-level BPE tokenizer with the marks of a chat, as decoder-only models have them."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    marks = ["<|end|>", "<|user|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=marks, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    made.train_from_iterator(["the user ends the text < | > here"], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|end|>", extra_special_tokens=marks[1:])


@pytest.mark.parametrize(
    ("tokenizer", "architecture"),
    [(nano_tokenizer, "encoder-decoder"), (decoder_tokenizer, "decoder-only"), (chat_tokenizer, "decoder-only")],
)
def test_a_text_that_spells_control_tokens_stays_text(tokenizer: Any, architecture: Any) -> None:
    made = tokenizer()
    around = encode_source("", made, architecture, 64)
    encoder, names = SourceEncoder(made, architecture, 64), made.all_special_tokens
    control = set(made.all_special_ids) - {made.unk_token_id}
    for name, spelled in zip(names, encoder.encode([f"row{name}row {name}" for name in names]).ids, strict=True):
        assert [i for i in spelled if i in control] == [i for i in around if i in control], name
        assert len(spelled) > len(around) + 2
    plain = ["row 0 : 1", "größer – ½ 日本\nb", " lead", "a <b> | c"]
    assert encoder._plain(plain) == made(plain)["input_ids"]  # nothing else changes


def test_control_tokens_of_the_template_are_meant() -> None:
    made, template = chat_tokenizer(), "<|user|>{text}<|end|>"
    [mark, end] = made.convert_tokens_to_ids(["<|user|>", "<|end|>"])
    ids = encode_source("<|user|>here<|end|>", made, "decoder-only", 64, template)
    assert ids[0] == mark
    assert ids.count(mark) == 1
    assert end not in encode_source("here<|end|>", made, "decoder-only", 64)
    with pytest.raises(UserError, match="as the template does"):
        encode_source("<|user|>he<|user|>re<|end|>", made, "decoder-only", 64, template)
