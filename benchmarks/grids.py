"""Train whole grids of 24 configurations, nothing stopped, and keep their learning curves for replay.

    python -m benchmarks.grids --tasks debsec debmatch --seeds 0 1 2
    python -m benchmarks.grids --tasks cola sst2 --data-dir FOLDER --seeds 0 1 2
    python -m benchmarks.grids --methods dept pt lora --seeds 0 --curves benchmarks/curves-methods.parquet
    adept-search replay benchmarks/curves.parquet

One grid after the other, in one engine on one core, with the space `spaces/t5-nano-24.yaml` at a smaller budget and
with more reports than a search would make: early stopping can be replayed at any of them. A grid that is in the
folder, or with its validation losses in the file of curves (``--curves``, benchmarks/curves.parquet), is not trained
again, so the command goes on where it was stopped, and several can share the work. The curves of the grids in the
folder are added to that file, in the place of those that it has of the same task, method and seed. With folders and
files of their own the grids of two precisions are kept apart; `benchmarks.precision` compares them.
"""

from __future__ import annotations

import argparse
import time
from itertools import product
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from benchmarks.units import with_units
from benchmarks.whole import train
from orchestrator.record.record import SearchRecord, TrialRecord
from orchestrator.record.status import TrialStatus
from orchestrator.schedulers.simulation.curves import KEY, read_curves, record
from search_spaces import load_space
from trials.backbones.loading import load_backbone
from trials.config import TrialConfig
from trials.data import prepare
from trials.engine import Engine, EngineSettings
from trials.tasks import get_task

SPACE = Path(__file__).with_name("spaces") / "t5-nano-24.yaml"
CURVES = Path(__file__).with_name("curves.parquet")


def grid(task: str, method: str, seed: int, args: argparse.Namespace) -> SearchRecord:
    """Train every configuration to its budget."""
    on = load_backbone("t5-nano", precision=args.precision)
    data = prepare(get_task(task), on.tokenizer, architecture=on.facts.architecture, data_dir=args.data_dir)
    points = load_space(str(SPACE), method=method, d_model=on.facts.width).configurations
    configs = {
        number: TrialConfig(
            method, dict(point), args.steps, args.eval_every, seed=seed, batch_size=16, warmup_steps=args.steps // 12
        )
        for number, point in enumerate(points, start=1)
    }
    engine = Engine(on, data, EngineSettings(slots=args.together), typical=configs[1])
    trials = []
    for name, reports in train(engine, {str(n): config for n, config in configs.items()}, args.together).items():
        trial = TrialRecord(name, int(name), configs[int(name)].hyperparameters, seed, TrialStatus(reports[-1].status))
        trial.reports += [report.as_dict() for report in reports]
        trials.append(trial)
    return SearchRecord(
        name=name_of(task, method, seed),
        task=task,
        method=method,
        backbone="t5-nano",
        recipe="released_code",
        metric=data.task.selection_metric,
        settings={"steps": args.steps, "eval_every": args.eval_every, "batch_size": 16, "precision": args.precision},
        sizes=dict(data.sizes),
        majority=data.majority(),
        trials=trials,
    )


def name_of(task: str, method: str, seed: int) -> str:
    """A grid's folder."""
    return f"{task}-{seed}" if method == "adept" else f"{task}-{method}-{seed}"


def main() -> None:
    """Train what is missing, then write the curves of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=["debsec", "debmatch"])
    parser.add_argument("--methods", nargs="+", default=["adept"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data-dir", type=Path, help="for tasks that are not embedded, in the hub's layout")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--eval-every", type=int, default=10)
    parser.add_argument("--precision", default="bfloat16", choices=["float32", "bfloat16"])
    parser.add_argument(
        "--together", type=int, default=8, help="trials that share passes: another number rounds otherwise"
    )
    parser.add_argument("--folder", type=Path, default=Path("runs/grids"))
    parser.add_argument("--curves", type=Path, default=CURVES, help="the file that the curves are added to")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with_units([args.precision])
    held = held_with_losses(args.curves)
    for seed, method, task in product(args.seeds, args.methods, args.tasks):
        file = args.folder / name_of(task, method, seed) / "search.json"
        if file.exists() or (task, method, seed) in held:
            continue
        started = time.perf_counter()
        found = grid(task, method, seed, args)
        found.wall_seconds = time.perf_counter() - started
        found.save(file)
        best = max(trial.best_score or 0.0 for trial in found.trials)
        print(f"{found.name}: best {best:.1f}, {found.wall_seconds:.0f} s", flush=True)
    print(f"{args.curves} holds {add(sorted(args.folder.glob('*/search.json')), args.curves)} grids")


def held_with_losses(curves: Path) -> set[tuple[str, str, int]]:
    """Task, method and seed of the grids that need not be trained again: early ones were recorded without losses."""
    if not curves.exists():
        return set()
    return {(one.task, one.method, one.seed) for one in read_curves(curves) if one.has_losses}


def add(files: list[Path], curves: Path) -> int:
    """Write these grids into a file of curves, beside others that it holds; returns how many there are then."""
    if files:
        part = curves.with_suffix(".part")
        fresh = pq.read_table(record([SearchRecord.load(file) for file in files], part))
        again = set(zip(*(fresh[name].to_pylist() for name in KEY), strict=True))
        if curves.exists():
            held = pq.read_table(curves)
            keys = zip(*(held[name].to_pylist() for name in KEY), strict=True)
            kept = held.filter(pa.array([key not in again for key in keys]))
            fresh = pa.concat_tables([kept, fresh], promote_options="default")
        pq.write_table(fresh, part, compression="zstd")
        part.replace(curves)
    return len(read_curves(curves))


if __name__ == "__main__":
    main()
