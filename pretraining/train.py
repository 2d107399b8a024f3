"""Pretrain the small T5 on a CPU, stage by stage; the schedule follows the step count, never the clock.

python -m pretraining.train --text build/text --model build/t5-nano [--stage NAME] [--threads 1]
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
import yaml
from transformers import AutoTokenizer, PreTrainedTokenizerBase, T5ForConditionalGeneration

from pretraining.answers import AnswerTasks, Document, Example, TagTable
from pretraining.corruption import (
    EOS,
    IGNORED_LABEL,
    TOP_SENTINEL,
    Pair,
    Tokens,
    batches,
    collate,
    corrupt,
    shuffled_forever,
)
from pretraining.model import new_model, save, seed_heads, step_size

STAGES_FILE = Path(__file__).with_name("stages.yaml")
SUMMARIZE = "summarize: "
Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class BatchPlan:
    """One batch of every step: about ``tokens`` padded source tokens of an objective drawn by ``shares``."""

    tokens: int
    shares: dict[str, float]
    weight: float = 1.0


@dataclass(frozen=True)
class Stage:
    """One row of ``stages.yaml``, defaults filled in."""

    name: str
    steps: int
    peak: float
    warmup: int
    floor: float
    seed: int
    max_length: int
    batches: list[BatchPlan]
    answers: dict[str, float]
    text_words: tuple[int, int]
    named_pairs: float
    seed_heads: bool
    free_attention: bool

    def scale(self, step: int) -> float:
        """Learning-rate factor of ``step``: linear warm-up, then half a cosine from the peak down to ``floor``."""
        down = self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return min((step + 1) / self.warmup, 1.0) * down


def load_stages(file: Path = STAGES_FILE) -> list[Stage]:
    """The stages of a YAML file, in order."""
    spec: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    stages = []
    for row in spec["stages"]:
        full = {**spec["defaults"], **row}
        full["batches"] = [BatchPlan(**plan) for plan in full["batches"]]
        full["text_words"] = tuple(full["text_words"])
        stages.append(Stage(**full))
    return stages


def read_documents(path: Path) -> list[Document]:
    """Documents of a JSON-lines file that ``build`` wrote."""
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [Document(row["short"], row["long"], frozenset(row["tags"])) for row in rows]


def closed(ids: list[int]) -> Tokens:
    """``ids`` with ``</s>`` at the end."""
    return np.array([*ids, EOS])


class Corpus:
    """Token ids of a list of documents: whole texts for span corruption, long and short for ``summarize``."""

    def __init__(self, documents: list[Document], tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
        def ids(texts: list[str]) -> list[list[int]]:
            return tokenizer(texts, add_special_tokens=False)["input_ids"]

        whole = ids([f"{d.short}. {d.long}" for d in documents])
        prefix = ids([SUMMARIZE])[0]
        self.pieces: list[Tokens] = [
            np.array(w[i : i + max_length]) for w in whole for i in range(0, len(w), max_length) if len(w) - i >= 16
        ]
        self.summaries: list[Pair] = [
            (closed((prefix + long)[: max_length - 1]), closed(short[:40]))
            for long, short in zip(ids([d.long for d in documents]), ids([d.short for d in documents]), strict=True)
            if len(long) >= 12
        ]


class Encoder:
    """Turns drawn examples into token ids, a block at a time (the tokenizer is faster so)."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
        self.tokenizer, self.max_length = tokenizer, max_length

    def __call__(self, examples: list[Example]) -> list[Pair]:
        """Source and target ids of ``examples``, sources cut at the longest length."""
        sources = self.tokenizer([e.source for e in examples], add_special_tokens=False)["input_ids"]
        targets = self.tokenizer([e.target for e in examples], add_special_tokens=False)["input_ids"]
        return [(closed(s[: self.max_length - 1]), closed(t)) for s, t in zip(sources, targets, strict=True)]

    def stream(self, tasks: AnswerTasks, seed: int, block: int = 256) -> Iterator[Pair]:
        """Fresh examples without end."""
        rng = random.Random(seed)
        while True:
            yield from self([tasks.draw(rng) for _ in range(block)])


def loss_of(model: T5ForConditionalGeneration, batch: Batch) -> torch.Tensor:
    """Mean cross-entropy per target token, in nats, in bfloat16 autocast."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return model(**batch).loss


class HeldOut:
    """Fixed examples of documents that training never sees, and how well the model does on them."""

    def __init__(self, corpus: Corpus, tasks: AnswerTasks, encoder: Encoder, each: int = 240, seed: int = 1234) -> None:
        fixed, drawn = np.random.default_rng(seed), random.Random(seed)
        spans = [corrupt(p, fixed) for p in corpus.pieces[:256]]
        self.losses = {
            name: [collate(pairs[i : i + 32]) for i in range(0, len(pairs), 32)]
            for name, pairs in {"span": spans, "summarize": corpus.summaries[:256]}.items()
        }
        self.answers: dict[str, list[Batch]] = {}
        for task in tasks.generators:
            pairs = sorted(encoder([tasks.draw_task(task, drawn) for _ in range(each)]), key=lambda p: len(p[0]))
            self.answers[task] = [collate(pairs[i : i + 40]) for i in range(0, each, 40)]

    @torch.no_grad()
    def scores(self, model: T5ForConditionalGeneration) -> dict[str, float]:
        """Loss (nats per target token) of the two text objectives, accuracy (per cent) of each short-answer task."""
        out: dict[str, float] = {}
        for name, held in self.losses.items():
            sizes = [int((b["labels"] != IGNORED_LABEL).sum()) for b in held]
            total = sum(loss_of(model, b).item() * n for b, n in zip(held, sizes, strict=True))
            out[name] = round(total / sum(sizes), 4)
        for name, held in self.answers.items():
            right = n = 0
            for b in held:
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    guess = model(**b).logits[:, 0].argmax(-1)
                right += int((guess == b["labels"][:, 0]).sum())
                n += len(guess)
            out[name] = round(100 * right / n, 1)
        return out


def objective_streams(
    plan: BatchPlan, stage: Stage, corpus: Corpus, tasks: AnswerTasks, encoder: Encoder, rng: np.random.Generator
) -> dict[str, Iterator[Batch]]:
    """Endless batches of every objective that ``plan`` names."""
    pairs: dict[str, Iterator[Pair]] = {
        "span": shuffled_forever(corpus.pieces, corrupt, rng),
        "summarize": shuffled_forever(corpus.summaries, lambda pair, _: pair, rng),
        "answers": encoder.stream(tasks, stage.seed),
    }
    return {name: batches(pairs[name], plan.tokens) for name in plan.shares}


def run_stage(
    stage: Stage,
    model: T5ForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    text: Path,
    folder: Path,
    log: Path,
    report_every: int,
) -> None:
    """Train one stage; appends a row to ``log`` and saves the weights every ``report_every`` steps."""
    torch.manual_seed(stage.seed)
    if stage.seed_heads:
        seed_heads(model)
    rng = np.random.default_rng(stage.seed)
    documents, held_documents = read_documents(text / "train.jsonl"), read_documents(text / "heldout.jsonl")
    table = TagTable.count(documents)
    encoder = Encoder(tokenizer, stage.max_length)
    corpus = Corpus(documents, tokenizer, stage.max_length)
    held_out = HeldOut(
        Corpus(held_documents[:600], tokenizer, stage.max_length), AnswerTasks(held_documents, table), encoder
    )
    tasks = AnswerTasks(documents, table, stage.answers, stage.text_words, stage.named_pairs)
    streams = [(plan, objective_streams(plan, stage, corpus, tasks, encoder, rng)) for plan in stage.batches]
    groups = [
        {"params": [p], "peak": stage.peak * step_size(name, p, stage.free_attention)}
        for name, p in model.named_parameters()
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98), weight_decay=0.0, fused=True)

    start, inputs, targets = time.time(), 0, 0
    for step in range(stage.steps + 1):
        if step % report_every == 0 or step == stage.steps:
            row = {"stage": stage.name, "step": step, "minutes": round((time.time() - start) / 60, 1),
                   "input_tokens": inputs, "target_tokens": targets, "heldout": held_out.scores(model)}  # fmt: skip
            with log.open("a", encoding="utf-8") as out:
                out.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)
            if step:
                save(model, tokenizer, folder)
        if step == stage.steps:
            return
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * stage.scale(step)
        for plan, available in streams:
            names = list(plan.shares)
            batch = next(available[names[rng.choice(len(names), p=list(plan.shares.values()))]])
            (plan.weight * loss_of(model, batch)).backward()
            inputs += int(batch["attention_mask"].sum())
            targets += int((batch["labels"] != IGNORED_LABEL).sum())
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()


def main(
    text: Annotated[Path, typer.Option(help="the folder that `build` filled")] = Path("build/text"),
    model: Annotated[Path, typer.Option(help="holds the tokenizer; gets weights and log")] = Path("build/t5-nano"),
    stage: Annotated[str, typer.Option(help="one stage only, from the weights in --model; default: all")] = "",
    threads: Annotated[int, typer.Option(min=1)] = 1,
    report_every: Annotated[int, typer.Option(min=1, help="steps between log rows and saved weights")] = 500,
    stages: Annotated[Path, typer.Option(help="the list of stages")] = STAGES_FILE,
) -> None:
    """Run all stages, or only the one named, on the tokenizer (and weights) in the folder ``model``."""
    torch.set_num_threads(threads)
    plan = load_stages(stages)
    if stage and stage not in {s.name for s in plan}:
        raise typer.BadParameter(f"no stage {stage!r} in {stages.name}; there are {[s.name for s in plan]}")
    tokenizer = AutoTokenizer.from_pretrained(model)
    if tokenizer.convert_tokens_to_ids("<extra_id_0>") != TOP_SENTINEL or tokenizer.eos_token_id != EOS:
        raise typer.BadParameter(f"{model} holds another tokenizer; make one with `python -m pretraining.tokenizer`")
    chosen = [s for s in plan if s.name == stage] or plan
    if chosen[0] is plan[0]:
        torch.manual_seed(plan[0].seed)
        pieces = Corpus(read_documents(text / "train.jsonl"), tokenizer, plan[0].max_length).pieces
        net = new_model(pieces)
        net.set_attn_implementation("eager")
    else:  # eager is the faster one here: the fused kernel is slow with T5's learnt position bias
        net = T5ForConditionalGeneration.from_pretrained(model, dtype=torch.float32, attn_implementation="eager")
    net.train()
    for s in chosen:
        run_stage(s, net, tokenizer, text, model, model / "training_log.jsonl", report_every)


if __name__ == "__main__":
    typer.run(main)
