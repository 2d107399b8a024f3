"""How much a night differs from another in which nothing has changed: the noise that the gate has to live with.

    python -m benchmarks.gate_noise [--task debsec] [--steps 40] [--seeds 5]

One configuration is trained with several seeds in one stack, then again with the same seeds as another code may compute
it: in the same stack, in stacks of two, alone. Each training answers the test split. Prints, and writes to
``benchmarks/results/gate_noise-TASK.json``: whether the repetition is equal; how many answers differ between
arrangements of one seed and between seeds, the standard deviation of their scores, and how much larger that is than if
each row that changes did so on its own.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
import torch

from trials.backbones.loading import Backbone, load_backbone
from trials.config import TrialConfig
from trials.data import PreparedTask, prepare
from trials.engine import Engine, EngineSettings
from trials.tasks import get_task

RESULTS = Path(__file__).with_name("results")
POINT = {"prompt_lr": 0.3, "mlp_lr": 0.01, "prompt_length": 20, "bottleneck": 39}


def right(on: Backbone, data: PreparedTask, configs: list[TrialConfig], together: int) -> np.ndarray:
    """Which test rows each training answers right at its end, (trials, rows), when ``together`` share a stack."""
    found = []
    for part in (configs[start : start + together] for start in range(0, len(configs), together)):
        engine = Engine(on, data, EngineSettings(slots=together), typical=part[0])
        for number, config in enumerate(part):
            engine.start(str(number), config)
        trials = dict(engine.slots)
        while not all(name in engine.reports for name in trials):
            engine.advance()
        for trial in trials.values():
            scored = engine.score(trial.method, "test")
            found.append([a == b for a, b in zip(scored.predictions, scored.targets, strict=True)])
    return np.array(found)


def apart(pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """What differs between two trainings, over pairs of them."""
    differences = np.array([100 * (a.mean() - b.mean()) for a, b in pairs])
    changed = np.array([(a != b).mean() for a, b in pairs])
    rows = len(pairs[0][0])
    alone = 100**2 * changed.mean() / rows  # variance of a difference, if rows changed independently
    return {
        "pairs": len(pairs),
        "changed_rows": float(changed.mean()),
        "sd_of_a_score": float(np.sqrt((differences**2).mean() / 2)),
        "variance_over_independent_rows": float((differences**2).mean() / alone) if alone else 1.0,
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="debsec")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    on = load_backbone("t5-nano")
    data = prepare(get_task(args.task), on.tokenizer, architecture=on.facts.architecture)
    configs = [
        TrialConfig("adept", dict(POINT), args.steps, args.steps, seed=seed, batch_size=8, warmup_steps=5)
        for seed in range(args.seeds)
    ]
    whole, again, pairs, alone = (right(on, data, configs, size) for size in (args.seeds, args.seeds, 2, 1))
    arranged = {"whole": whole, "pairs": pairs, "alone": alone}
    two = itertools.combinations(arranged.values(), 2)
    found = {
        "settings": vars(args),
        "rows": int(whole.shape[1]),
        "scores": {name: (100 * one.mean(1)).tolist() for name, one in arranged.items()},
        "repeated": apart(list(zip(whole, again, strict=True))),
        "rearranged": apart([pair for one, other in two for pair in zip(one, other, strict=True)]),
        "seeds": apart(list(itertools.combinations(whole, 2))),
    }
    text = json.dumps(found, indent=1)
    print(text)
    (RESULTS / f"gate_noise-{args.task}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
