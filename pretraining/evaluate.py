"""What the embedded tasks are worth: simple baselines, and full fine-tuning of the backbone.

Prompt-tuning scores come from the project's own search command, not from here.

python -m pretraining.evaluate --tasks trials/embedded --model trials/embedded/t5-nano
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow.parquet as pq
import torch
import typer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB
from transformers import AutoTokenizer, T5ForConditionalGeneration

TASKS = ("debsec", "debmatch")
HELD = ("validation", "test")
MAX_LENGTH = 96
BATCH, WARMUP = 32, 30

Rows = list[dict[str, Any]]
Scores = dict[str, float]  # accuracy in per cent, by split


def read_task(folder: Path) -> dict[str, Rows]:
    """The rows of a task's three splits."""
    return {name: pq.read_table(folder / f"{name}.parquet").to_pylist() for name in ("train", *HELD)}


def text_of(row: dict[str, Any]) -> str:
    """The input text, pairs in the template of GLUE's tasks for T5."""
    return row["text"] if "text" in row else f"sentence1: {row['sentence1']} sentence2: {row['sentence2']}"


def accuracy(guesses: np.ndarray, rows: Rows) -> float:
    """Share of right guesses, in per cent."""
    return round(100 * float(np.mean(guesses == np.array([row["label"] for row in rows]))), 1)


def majority(task: dict[str, Rows]) -> Scores:
    """The commonest label of train, for every row."""
    label = Counter(row["label"] for row in task["train"]).most_common(1)[0][0]
    return {name: accuracy(np.full(len(task[name]), label), task[name]) for name in HELD}


def naive_bayes(task: dict[str, Rows]) -> Scores:
    """Multinomial naive Bayes on the presence of words."""
    words = CountVectorizer(binary=True, token_pattern=r"[a-z]{3,}")
    model = MultinomialNB(alpha=0.2)
    model.fit(words.fit_transform([text_of(row) for row in task["train"]]), [row["label"] for row in task["train"]])
    return {
        name: accuracy(model.predict(words.transform([text_of(row) for row in task[name]])), task[name])
        for name in HELD
    }


def word_overlap(task: dict[str, Rows]) -> Scores:
    """Match where the share of ``sentence2``'s words that ``sentence1`` has too reaches a threshold set on train."""

    def shares(rows: Rows) -> np.ndarray:
        pairs = [
            [set(re.findall(r"[a-z]{3,}", row[key].lower())) for key in ("sentence1", "sentence2")] for row in rows
        ]
        return np.array([len(a & b) / max(1, len(b)) for a, b in pairs])

    train = shares(task["train"])
    threshold = max(np.unique(train), key=lambda t: accuracy((train >= t).astype(int), task["train"]))
    return {name: accuracy((shares(task[name]) >= threshold).astype(int), task[name]) for name in HELD}


def fine_tuned(task: dict[str, Rows], folder: Path, steps: int, rate: float, seed: int) -> Scores:
    """Train every weight for ``steps`` steps of 32 rows; the label is the likeliest digit at the first decoder step.

    AdamW without weight decay, linear warm-up and decay, gradients clipped at norm 1. The last weights count.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = T5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    ids = {
        name: tokenizer([text_of(r) for r in rows], truncation=True, max_length=MAX_LENGTH)["input_ids"]
        for name, rows in task.items()
    }
    answers = torch.tensor([tokenizer(str(k))["input_ids"] for k in range(1 + max(r["label"] for r in task["train"]))])
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)

    def forward(name: str, rows: np.ndarray) -> Any:
        batch = tokenizer.pad({"input_ids": [ids[name][i] for i in rows]}, return_tensors="pt")
        labels = answers[[task[name][i]["label"] for i in rows]]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return model(**batch, labels=labels)

    model.train()
    order = np.concatenate([rng.permutation(len(ids["train"])) for _ in range(1 + steps * BATCH // len(ids["train"]))])
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min((step + 1) / WARMUP, (steps - step) / steps)
        forward("train", order[step * BATCH : (step + 1) * BATCH]).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
    scores: Scores = {}
    for name in HELD:
        with torch.no_grad():
            logits = [forward(name, part).logits[:, 0, answers[:, 0]] for part in chunks(len(ids[name]), 100)]
        scores[name] = accuracy(torch.cat(logits).argmax(-1).numpy(), task[name])
    return scores


def chunks(n: int, size: int) -> list[np.ndarray]:
    """The numbers below ``n`` in runs of ``size``."""
    return [np.arange(i, min(i + size, n)) for i in range(0, n, size)]


def main(
    tasks: Annotated[Path, typer.Option(help="folder with debsec/ and debmatch/")] = Path("trials/embedded"),
    model: Annotated[Path, typer.Option(help="the backbone's folder")] = Path("trials/embedded/t5-nano"),
    steps: Annotated[int, typer.Option(help="of fine-tuning; 0 leaves it out")] = 300,
    rate: float = 1e-3,
    threads: int = 1,
    seed: int = 0,
) -> None:
    """Print one JSON line per task and method: accuracy in per cent on validation and test."""
    torch.set_num_threads(threads)
    for name in TASKS:
        task = read_task(tasks / name)
        scores = {"majority": majority(task), "naive Bayes": naive_bayes(task)}
        if "sentence2" in task["train"][0]:
            scores["word overlap"] = word_overlap(task)
        if steps:
            scores[f"full fine-tuning, {steps} steps"] = fine_tuned(task, model, steps, rate, seed)
        for method, found in scores.items():
            typer.echo(json.dumps({"task": name, "method": method, **found}))


if __name__ == "__main__":
    typer.run(main)
