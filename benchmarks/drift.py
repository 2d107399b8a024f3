"""How far a trial in a stack drifts from the same trial alone: what `adept-search verify` has to allow for.

    python -m benchmarks.drift [--task debsec] [--steps 100] [--trials 4] [--precision float32 bfloat16]

The same configurations are trained together in one engine and then each in an engine of its own. Rounding differs, as
sums are taken in another order, and training amplifies it. Prints, for each precision, the largest and the mean
difference of the validation scores over all reports, in points and in standard errors of the score (`verify` allows
`orchestrator.run.verify.DRIFT` of those), and of the training losses; writes benchmarks/results/drift-TASK.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.units import with_units
from benchmarks.whole import train
from orchestrator.run.verify import DRIFT
from search_spaces import load_space
from trials.backbones.loading import load_backbone
from trials.backbones.precision import DTYPES, Precision
from trials.config import TrialConfig
from trials.data import prepare
from trials.engine import Engine, EngineSettings
from trials.tasks import get_task

RESULTS = Path(__file__).with_name("results")
SPACE = Path(__file__).with_name("spaces") / "t5-nano-24.yaml"


def drift(args: argparse.Namespace, precision: Precision) -> dict[str, float]:
    """Differences between the trials together and alone."""
    on = load_backbone("t5-nano", precision=precision)
    data = prepare(get_task(args.task), on.tokenizer, architecture=on.facts.architecture, data_dir=args.data_dir)
    points = load_space(str(SPACE), method="adept", d_model=on.facts.width).configurations
    configs = {
        str(n): TrialConfig(
            "adept", dict(points[n]), args.steps, args.steps // 5, seed=7, batch_size=16, warmup_steps=args.steps // 10
        )
        for n in np.linspace(0, len(points) - 1, args.trials).astype(int)
    }
    settings = EngineSettings(slots=args.trials)
    together = train(Engine(on, data, settings, typical=next(iter(configs.values()))), configs)
    alone = {
        name: train(Engine(on, data, settings, typical=config), {name: config})[name]
        for name, config in configs.items()
    }
    pairs = [(a, b) for name in configs for a, b in zip(together[name], alone[name], strict=True)]
    scores = np.array([(a.score, b.score) for a, b in pairs])
    losses = np.array([(a.train_loss, b.train_loss) for a, b in pairs])
    share = scores.mean(1) / 100
    errors = 100 * np.sqrt(np.maximum(share * (1 - share), 1e-9) / data.sizes["validation"])
    points_apart, relative = np.abs(np.diff(scores, axis=1))[:, 0], np.abs(np.diff(losses, axis=1))[:, 0] / losses[:, 0]
    return {
        "reports": len(pairs),
        "largest, points": float(points_apart.max()),
        "mean, points": float(points_apart.mean()),
        "largest, standard errors": float((points_apart / errors).max()),
        "largest of the losses, relative": float(relative.max()),
        "equal scores, share": float((points_apart == 0).mean()),
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="debsec")
    parser.add_argument("--data-dir", type=Path, help="for tasks that are not embedded, in the hub's layout")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--precision", nargs="+", choices=list(DTYPES), default=["float32", "bfloat16"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = {precision: drift(args, precision) for precision in with_units(args.precision)}
    table = Table(title=f"{args.task}: {args.trials} trials together against each alone")
    for name in ("", *found):
        table.add_column(name, justify="right")
    table.add_row("allowed, standard errors", *(f"{DRIFT[precision]:g}" for precision in found))
    for key in next(iter(found.values())):
        table.add_row(key, *(f"{row[key]:.3g}" for row in found.values()))
    Console().print(table)
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"drift-{args.task}.json"
    file.write_text(json.dumps({"settings": {"steps": args.steps, "trials": args.trials}, "found": found}, indent=1))
    print(f"wrote {file}")


if __name__ == "__main__":
    main()
