"""Train trials, nothing stopped, and keep which validation rows each report answers right, and what that costs.

    python -m benchmarks.answers --task debsec
    python -m benchmarks.answers --task sst2 --data-dir DATA --trials 12
    python -m benchmarks.answers --task sst2 --data-dir DATA --backbone smollm2-135m --space decoder-only-search
        --trials 4 --steps 30 --rows 300

Curves hold scores; whether a part of the rows would have done depends on how alike two trials' answers are, row by row.
Each command adds a grid to ``benchmarks/answers.parquet``, in the place of one of the same task, backbone and seed:
``right`` has a bit a validation row (numpy's ``packbits``), ``train_seconds`` and ``evaluation_seconds`` are processor
time that the report's own trial took, on one thread (of a stack's step or pass each trial counts the same part).
`benchmarks.partial_evaluation` reads it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from benchmarks.units import with_units
from benchmarks.whole import train
from search_spaces import load_space
from trials.backbones.loading import load_backbone
from trials.config import Report, TrialConfig
from trials.data import prepare
from trials.data.prepared import Split
from trials.engine import Engine, EngineSettings
from trials.evaluation import Scored, score
from trials.tasks import get_task
from trials.tasks.base import SplitName
from trials.trial import Trial

ANSWERS = Path(__file__).with_name("answers.parquet")
SPACE = Path(__file__).with_name("spaces") / "t5-nano-24.yaml"
KEY = ("task", "backbone", "seed")


class SomeRows:
    """Rows of a split, drawn once, in the split's order."""

    def __init__(self, split: Split, count: int | None) -> None:
        every = np.random.default_rng(0).permutation(len(split))
        self.split, self.rows = split, sorted(every[:count].tolist())
        self.groups: list[str] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, rows: Sequence[int]) -> Any:
        """See `Split.batch`."""
        return self.split.batch([self.rows[row] for row in rows])


class Recorder(Engine):
    """An engine that evaluates on some rows and keeps the answers to each.

    Attributes:
        kept: by trial, of each report: what was right (bool, rows), seconds of training and of evaluation.
    """

    def __init__(self, *args: Any, rows: int | None, **more: Any) -> None:
        self.some: SomeRows | None = None
        self.count = rows
        self.kept: dict[str, list[tuple[np.ndarray, float, float]]] = {}
        self.trained: dict[str, float] = {}
        self.given: list[Scored] = []
        super().__init__(*args, **more)

    def advance(self) -> list[str]:
        """See `Engine.advance`."""
        running = [key for key in self.slots if key not in self.reports]
        started, self.evaluation = time.process_time(), 0.0
        done = super().advance()
        part = (time.process_time() - started - self.evaluation) / max(1, len(running))
        for key in running:
            self.trained[key] = self.trained.get(key, 0.0) + part
        for key in done:
            right, seconds = self.found[key]
            self.kept.setdefault(key, []).append((right, self.trained.pop(key), seconds))
        return done

    def _evaluated(self, trials: Sequence[Trial]) -> list[Report]:
        started, self.given = time.process_time(), []
        reports = super()._evaluated(trials)
        self.evaluation = time.process_time() - started
        names = {id(trial): key for key, trial in self.slots.items()}
        healthy = [trial for trial in trials if not trial.diverged]
        if len(healthy) < len(trials):
            raise SystemExit("error: a trial diverged; choose other configurations")
        self.found = {
            names[id(trial)]: (
                np.array([p == t for p, t in zip(one.predictions, one.targets, strict=True)]),
                self.evaluation / len(healthy),
            )
            for trial, one in zip(healthy, self.given, strict=True)
        }
        return reports

    def _scored(self, methods: Any, split: SplitName) -> list[Scored]:
        self.some = self.some or SomeRows(self.data.split(split), self.count)
        task, labels = self.data.task, list(self.data.label_token_ids.values())
        longest, cost = self.data.max_target_length, self.stack.cost
        self.given += score(self.backbone, methods, self.some, ["accuracy"], longest, labels, cost, task.answers)
        return [
            Scored({task.metrics[0]: one.metrics["accuracy"]}, [], [], one.loss) for one in self.given[-len(methods) :]
        ]


def grid(args: argparse.Namespace, seed: int) -> pa.Table:
    """Train the configurations to their budget."""
    on = load_backbone(args.backbone, precision=args.precision)
    data = prepare(get_task(args.task), on.tokenizer, architecture=on.facts.architecture, data_dir=args.data_dir)
    points = load_space(args.space, method="adept", d_model=on.facts.width).configurations
    chosen = sorted(np.random.default_rng(seed).permutation(len(points))[: args.trials].tolist())
    configs = {
        str(number + 1): TrialConfig(
            "adept", dict(points[number]), args.steps, args.eval_every, seed=seed, batch_size=16,
            warmup_steps=args.steps // 12,
        )
        for number in chosen
    }  # fmt: skip
    settings = EngineSettings(slots=args.together)
    engine = Recorder(on, data, settings, typical=next(iter(configs.values())), rows=args.rows)
    rows = []
    for name, reports in train(engine, configs, args.together).items():
        for report, (right, training, evaluation) in zip(reports, engine.kept[name], strict=True):
            rows.append(
                {
                    "task": args.task, "backbone": Path(args.backbone).name, "seed": seed, "trial": int(name),
                    "step": report.step, "rows": len(right), "right": np.packbits(right).tobytes(),
                    "loss": report.as_dict().get("validation/loss"),
                    "train_seconds": training, "evaluation_seconds": evaluation,
                    **{f"config/{key}": value for key, value in configs[name].hyperparameters.items()},
                }
            )  # fmt: skip
    return pa.Table.from_pylist(rows)


def add(fresh: pa.Table, path: Path) -> None:
    """Write a grid into the file, beside the others that it holds."""
    key = tuple(fresh[name][0].as_py() for name in KEY)
    if path.exists():
        held = pq.read_table(path)
        kept = [row != key for row in zip(*(held[name].to_pylist() for name in KEY), strict=True)]
        fresh = pa.concat_tables([held.filter(pa.array(kept)), fresh], promote_options="default")
    part = path.with_suffix(".part")
    pq.write_table(fresh, part, compression="zstd")
    part.replace(path)


def main(given: Sequence[str] | None = None) -> None:
    """Train, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="debsec")
    parser.add_argument("--backbone", default="t5-nano")
    parser.add_argument("--space", default=str(SPACE))
    parser.add_argument("--data-dir", type=Path, help="for tasks that are not embedded, in the hub's layout")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--trials", type=int, default=24, help="so many of the grid, drawn with the seed [%(default)s]")
    parser.add_argument("--together", type=int, default=8)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--eval-every", type=int, default=10)
    parser.add_argument("--rows", type=int, help="of validation; all by default")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--out", type=Path, default=ANSWERS)
    args = parser.parse_args(given)
    torch.set_num_threads(1)
    with_units([args.precision])
    for seed in args.seeds:
        found = grid(args, seed)
        add(found, args.out)
        training, evaluation = (sum(found[f"{name}_seconds"].to_pylist()) for name in ("train", "evaluation"))
        share = evaluation / (training + evaluation)
        print(f"{args.task} {args.backbone} seed {seed}: {found.num_rows} reports, evaluation {share:.1%} of the time")


if __name__ == "__main__":
    main()
