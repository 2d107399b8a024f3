"""The peer: a grid search for prompt tuning, written from the documentation of Ray Tune, transformers and PEFT.

    python -m benchmarks.peer --task rte --data-dir DATA --backbone t5-nano --out peer.json

Tune runs 24 trials, each in a process of its own on one CPU core (or a share of a GPU), each with its own copy of the
model; every trial is a `Seq2SeqTrainer` over a PEFT prompt on the encoder's side, with sources padded to the task's
256 tokens. What the libraries' settings can do for its speed is done: the rows are tokenised once and shared through
the object store, nothing is written (no checkpoint, no log, no progress bar), the optimizer is the fused one, labels
are as short as they are, generation stops after the longest label, one thread a process. `--padding longest`,
`--reuse-actors`, `--bf16` and `--asha` go beyond the plain script, to see what each of them is worth.

Only the task (rows, template, split) and the metric come from this project, so that the work is equal to ours.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import os
import tempfile
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import ray
import torch
from datasets import Dataset, disable_progress_bars
from peft import PromptTuningConfig, PromptTuningInit, TaskType, get_peft_model
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from rich.console import Console
from rich.table import Table
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    EvalPrediction,
    PreTrainedTokenizerBase,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    TrainerCallback,
    set_seed,
)
from transformers.utils import logging as transformers_logging

from benchmarks.memory import PeakMemory
from benchmarks.peer_figures import PeerRun, PeerTrial, figures
from trials.backbones.describe import describe as describe_backbone
from trials.data.rows import load_rows
from trials.data.sources import find_source
from trials.errors import UserError
from trials.tasks import get_task
from trials.tasks.metrics import compute

# The prompt lengths of our grid (benchmarks/spaces/t5-nano-24.yaml) and as many rates as make it 24 configurations. The
# length changes fastest, so that the first few trials show every length.
LEARNING_RATES = (3e-1, 1e-1, 3e-2, 1.0, 1e-2, 3e-3)
PROMPT_LENGTHS = (20, 40, 60, 80)
POINTS = itertools.product(LEARNING_RATES, PROMPT_LENGTHS)
GRID = [{"learning_rate": rate, "prompt_length": length} for rate, length in POINTS]

QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no CSV, JSON and TensorBoard files, which nobody here reads
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TOKENIZERS_PARALLELISM": "false",
}
FOLDERS = ("out", "data_dir", "location", "task", "backbone")
REPORTED = ("score", "step", "train_seconds", "evaluation_seconds", "started", "training_started", "ended")


def tokenised(args: argparse.Namespace, tokenizer: PreTrainedTokenizerBase) -> dict[str, Dataset]:
    """The task's training and validation rows, tokenised by the map that the documentation of datasets shows."""
    task = get_task(args.task)
    rows = load_rows(task, find_source(task, args.data_dir))

    def tokenise(batch: dict[str, list[str]]) -> Any:
        padding = "max_length" if args.padding == "max_length" else False
        encoded = tokenizer(batch["source"], padding=padding, truncation=True, max_length=args.max_source_length)
        encoded["labels"] = tokenizer(text_target=batch["target"])["input_ids"]
        return encoded

    texts = {s: {"source": rows[s].sources, "target": rows[s].targets} for s in ("train", "validation")}
    return {
        split: Dataset.from_dict(columns).map(tokenise, batched=True, remove_columns=["source", "target"])
        for split, columns in texts.items()
    }


def metrics_of(task: str, tokenizer: PreTrainedTokenizerBase, answers: EvalPrediction) -> dict[str, float]:
    """The task's selection metric (0 to 100) of generated answers."""
    predictions, targets = (
        tokenizer.batch_decode(np.where(np.asarray(ids) >= 0, ids, tokenizer.pad_token_id), skip_special_tokens=True)
        for ids in (answers.predictions, answers.label_ids)
    )
    known = get_task(task)
    metric = known.selection_metric
    return {"score": compute([metric], predictions, targets, known.answers)[metric]}


class ReportToTune(TrainerCallback):
    """Hands each evaluation to Tune, with the time that the steps before it and the evaluation itself took."""

    def __init__(self, started: float) -> None:
        self.started = started  # seconds since the epoch, as all times here: they come from many processes

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """The model is loaded; the first step follows."""
        self.training_started = self.left_off = time.time()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Before an evaluation: wait for the device, so that its steps are not counted as evaluation."""
        if control.should_evaluate:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.evaluation_started = time.time()

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """After an evaluation."""
        now = time.time()
        tune.report(
            {
                "score": kwargs["metrics"]["eval_score"],
                "step": state.global_step,
                "train_seconds": self.evaluation_started - self.left_off,
                "evaluation_seconds": now - self.evaluation_started,
                "started": self.started,
                "training_started": self.training_started,
                "ended": now,
            }
        )
        self.left_off = time.time()


def train(config: dict[str, Any], args: argparse.Namespace, data: dict[str, Dataset]) -> None:
    """One trial: what Tune runs in a process of its own."""
    started = time.time()
    configuration = config["configuration"]
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    set_seed(args.seed)  # the prompt is drawn before the trainer sets its seed
    tokenizer = AutoTokenizer.from_pretrained(args.location)
    model = AutoModelForSeq2SeqLM.from_pretrained(args.location, dtype=torch.float32)
    model.generation_config.max_new_tokens = max(len(ids) for ids in data["train"]["labels"])
    prompt = PromptTuningConfig(
        task_type=TaskType.SEQ_2_SEQ_LM,
        num_virtual_tokens=configuration["prompt_length"],
        prompt_tuning_init=PromptTuningInit.SAMPLE_VOCAB,
        num_transformer_submodules=1,  # the default of 2 adds rows for a decoder's prompt that are never read
    )
    trainer = Seq2SeqTrainer(
        model=get_peft_model(model, prompt),
        args=Seq2SeqTrainingArguments(
            output_dir=tune.get_context().get_trial_dir(),
            max_steps=args.steps,
            warmup_steps=args.warmup_steps,
            learning_rate=configuration["learning_rate"],
            per_device_train_batch_size=args.batch_size,
            per_device_eval_batch_size=args.eval_batch_size,
            eval_strategy="steps",
            eval_steps=args.eval_every,
            predict_with_generate=True,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
            bf16=args.bf16,
            tf32=torch.cuda.is_available() or None,
            dataloader_pin_memory=torch.cuda.is_available(),
            seed=args.seed,
        ),
        train_dataset=data["train"],
        eval_dataset=data["validation"],
        data_collator=DataCollatorForSeq2Seq(tokenizer),
        processing_class=tokenizer,
        compute_metrics=partial(metrics_of, args.task, tokenizer),
        callbacks=[ReportToTune(started)],
    )
    trainer.train()


class Recorder(tune.Callback):
    """Keeps what the trials report, and when Tune began to start them."""

    def __init__(self) -> None:
        self.trials: dict[str, PeerTrial] = {}
        self.loop_began = 0.0

    def on_step_begin(self, iteration: int, trials: list[Any], **_: Any) -> None:
        """Tune goes round its loop."""
        self.loop_began = self.loop_began or time.time()

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        """A trial reports."""
        kept = self.trials.setdefault(trial.trial_id, PeerTrial(trial.config["configuration"]))
        kept.reports.append({key: result[key] for key in REPORTED})


def search(args: argparse.Namespace) -> PeerRun:
    """Run the grid, or its first trials."""
    began = psutil.Process().create_time()
    data = tokenised(args, AutoTokenizer.from_pretrained(args.location))
    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    have = ray.cluster_resources()
    gpus, at_once = int(have.get("GPU", 0)), int(have["CPU"])
    share = {"cpu": 1.0}
    if gpus:
        share["gpu"], at_once = 1 / args.trials_per_gpu, min(at_once, gpus * args.trials_per_gpu)
    recorder = Recorder()
    with tempfile.TemporaryDirectory() as storage:
        results = tune.Tuner(
            tune.with_resources(tune.with_parameters(train, args=args, data=data), share),
            param_space={"configuration": tune.grid_search(GRID[: args.trials])},
            tune_config=tune.TuneConfig(
                metric="score",
                mode="max",
                scheduler=ASHAScheduler() if args.asha else None,
                reuse_actors=args.reuse_actors,
            ),
            run_config=tune.RunConfig(storage_path=storage, verbose=0, callbacks=[recorder]),
        ).fit()
    if results.errors:
        raise SystemExit(f"error: {len(results.errors)} trials failed, the first with:\n{results.errors[0]}")
    trials = list(recorder.trials.values())
    for trial in trials:
        trial.stopped = bool(trial.reports) and trial.reports[-1]["step"] < args.steps
    return PeerRun(len(GRID), min(at_once, len(trials)), began, recorder.loop_began, time.time(), trials)


def rooted(name: str) -> str:
    """The absolute path where the name is one of a file or folder."""
    return str(Path(name).resolve()) if Path(name).exists() else name


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; the defaults are those of the space that our searches use (`benchmarks/spaces`)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="rte")
    parser.add_argument("--data-dir", type=Path, help="the task's data in the hub's layout [the hub]")
    parser.add_argument("--backbone", default="t5-nano", help="t5-nano, a hub id or a folder")
    for name, default in {"steps": 480, "eval-every": 60, "batch-size": 16, "warmup-steps": 40, "seed": 42}.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"[{default}]")
    parser.add_argument("--eval-batch-size", type=int, help="[32; 256 on a GPU]")
    parser.add_argument("--max-source-length", type=int, help="tokens that sources are padded to [the task's]")
    parser.add_argument("--trials", type=int, default=len(GRID), help="the first N of the grid; best a multiple of "
                        "the trials that run at once")  # fmt: skip
    parser.add_argument("--trials-per-gpu", type=int, default=1, help="trials that share a GPU, each a process")
    parser.add_argument("--padding", choices=("max_length", "longest"), default="max_length")
    parser.add_argument("--reuse-actors", action="store_true", help="Tune's option to keep a process for more trials")
    parser.add_argument("--bf16", action="store_true", help="the Trainer's mixed precision")
    parser.add_argument("--asha", action="store_true", help="Ray's ASHA with its defaults")
    parser.add_argument("--out", type=Path, help="write everything measured here, as JSON")
    args = parser.parse_args(arguments)
    try:
        facts, task = describe_backbone(args.backbone), get_task(args.task)
    except UserError as error:
        parser.error(str(error))
    if facts.architecture != "encoder-decoder":
        parser.error(f"--backbone {args.backbone}: the peer trains encoder-decoder models only")
    if not 1 <= args.trials <= len(GRID):
        parser.error(f"--trials {args.trials}: the grid has {len(GRID)} configurations")
    if args.steps % args.eval_every:
        parser.error(f"--steps {args.steps}: must be a multiple of --eval-every ({args.eval_every})")
    # Tune gives every trial a working folder of its own: what lies in a folder is named from the root.
    args.location, args.task = rooted(facts.location), rooted(args.task)
    args.eval_batch_size = args.eval_batch_size or (256 if torch.cuda.is_available() else 32)
    args.max_source_length = args.max_source_length or task.max_source_length
    return args


def main() -> None:
    """Measure, print, write."""
    args = options()
    os.environ |= QUIET | os.environ
    logging.getLogger("ray").setLevel(logging.ERROR)
    disable_progress_bars()
    with PeakMemory() as memory:
        run = search(args)
    found = figures(run)
    table = Table("peer", "measured", title=f"{args.task} on {args.backbone}, {found.trials} of {len(GRID)} trials")
    for name, value in found.as_dict().items():
        table.add_row(name.replace("_", " "), f"{value:.3f}" if isinstance(value, float) else str(value))
    for name, size in memory.as_dict().items():
        table.add_row(f"memory: {name.replace('_', ' ')}", f"{size / 2**20:.0f} MiB" if size > 2**16 else str(size))
    Console().print(table)
    if args.out:
        settings = {key: value for key, value in vars(args).items() if key not in FOLDERS}
        document = {"settings": settings, "figures": found.as_dict(), "memory": memory.as_dict(), "run": asdict(run)}
        args.out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
