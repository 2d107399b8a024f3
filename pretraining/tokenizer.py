"""Train the tokenizer of t5-nano: 8,000 unigram pieces in T5's layout.

Ids: pad 0, ``</s>`` 1, ``<unk>`` 2, the 100 sentinels last.

python -m pretraining.tokenizer --text build/text/train.jsonl --output build/t5-nano
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

PIECES, SENTINELS = 8000, 100
SPECIAL = ("<pad>", "</s>", "<unk>")
EXTRA = [f"<extra_id_{i}>" for i in range(SENTINELS)]
DIGITS = [f"▁{digit}" for digit in range(10)]
DIGIT_SCORE = -9.0  # about that of a common short piece

Piece = tuple[str, float]


def with_pipeline(tokenizer: Tokenizer) -> Tokenizer:
    """T5's text handling: NFKC, one blank between words, blanks shown as ``▁``."""
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " ")])
    metaspace = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace])
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    return tokenizer


def with_digits(pieces: list[Piece]) -> list[Piece]:
    """Make every lone digit one piece, so that digits can serve as labels.

    Missing ones replace the rarest long pieces, or are added where there is none.
    """
    pieces = list(pieces)
    for digit in DIGITS:
        if digit in {piece for piece, _ in pieces}:
            continue
        spare = [i for i, (piece, _) in enumerate(pieces) if i >= len(SPECIAL) and len(piece) > 3]
        if spare:
            pieces[min(spare, key=lambda i: pieces[i][1])] = (digit, DIGIT_SCORE)
        else:
            pieces.append((digit, DIGIT_SCORE))
    return pieces


def train(texts: Iterable[str], size: int = PIECES) -> Tokenizer:
    """The tokenizer for ``texts``: ``size`` pieces and the sentinels, ``<extra_id_0>`` the highest id as in T5."""
    raw = with_pipeline(Tokenizer(models.Unigram()))
    raw.train_from_iterator(
        texts,
        trainers.UnigramTrainer(
            vocab_size=size, special_tokens=list(SPECIAL), unk_token="<unk>", max_piece_length=16, show_progress=False
        ),
    )
    learnt: list[Piece] = [(piece, score) for piece, score in json.loads(raw.to_str())["model"]["vocab"]]
    pieces = [(piece, 0.0 if i < len(SPECIAL) else score) for i, (piece, score) in enumerate(with_digits(learnt))]
    pieces += [(sentinel, 0.0) for sentinel in reversed(EXTRA)]
    tokenizer = with_pipeline(Tokenizer(models.Unigram(pieces, unk_id=2)))
    tokenizer.add_special_tokens([*SPECIAL, *EXTRA])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=["$A", "</s>"], pair=["$A", "</s>", "$B", "</s>"], special_tokens=[("</s>", 1)]
    )
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path) -> None:
    """Write the files that ``AutoTokenizer`` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "additional_special_tokens": EXTRA}
    config = {
        **names, "tokenizer_class": "T5Tokenizer", "extra_ids": SENTINELS, "model_max_length": 512,
        "clean_up_tokenization_spaces": False,
    }  # fmt: skip
    (folder / "special_tokens_map.json").write_text(json.dumps(names, indent=1) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def main(
    text: Annotated[Path, typer.Option(help="training documents, as `build` writes them")] = Path(
        "build/text/train.jsonl"
    ),
    output: Annotated[Path, typer.Option(help="folder of the model to be")] = Path("build/t5-nano"),
) -> None:
    """Train and save the tokenizer."""
    with text.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    tokenizer = train(part for row in rows for part in (row["short"], row["long"]))
    save(tokenizer, output)
    typer.echo(f"{tokenizer.get_vocab_size()} pieces in {output}")


if __name__ == "__main__":
    typer.run(main)
