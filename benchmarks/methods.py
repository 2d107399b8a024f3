"""Many methods under one protocol: one table of the searches of a sweep's run, kept as a file.

    adept-search sweep methods && python -m benchmarks.methods runs/methods/DAY [--name methods]

Each search has the same steps, batches and reports; its learning rates are searched on validation, and the best
configuration is trained on further seeds and tested once on each. Prints a row a method, those with the best mean over
the tasks first: its trainable parameters, and for each task the mean test score with the deviation over seeds. Writes
benchmarks/results/NAME.json; what is there already and not among the searches stays, if it was run alike.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from orchestrator.record.record import SearchRecord
from orchestrator.summarizer.results.saved_searches import read_folders
from orchestrator.summarizer.results.seed_statistics import estimate

RESULTS = Path(__file__).with_name("results")
PROTOCOL = ("steps", "eval_every", "batch_size", "warmup_steps", "max_source_length", "precision", "scheduler", "seeds")
KEPT = ("cpu", "git_commit", "version/torch", "version/transformers")


def measured(record: SearchRecord) -> dict[str, Any]:
    """What a table and its reader want of a search whose winner was tested.

    Raises:
        ValueError: it was not tested: interrupted, or nothing could win.
    """
    if record.test is None:
        raise ValueError(f"{record.name} has no test score: it was interrupted, or all of its trials failed")
    winner = next(trial for trial in record.trials if trial.number == record.test.trial_number)
    alike = [t for t in record.trials if t.configuration == winner.configuration and t.best_score is not None]
    scores = [round(test.score, 3) for test in record.tests]
    of = estimate(scores)
    return {
        "parameters": record.parameters[winner.number],
        "configuration": winner.configuration,
        "trials": len({json.dumps(t.configuration, sort_keys=True) for t in record.trials}),
        "validation": [round(trial.best_score or 0.0, 3) for trial in alike],
        "test": scores,
        "mean": round(of.mean, 3),
        "deviation": None if of.sd is None else round(of.sd, 3),
        "steps trained": sum(trial.step for trial in record.trials),
        "device seconds": round(sum(t.train_seconds + t.evaluation_seconds for t in record.trials), 1),
        "wall seconds": round(record.wall_seconds, 1),
        "provenance": {name: record.provenance[name] for name in KEPT if name in record.provenance},
    }


def of_task(records: Iterable[SearchRecord]) -> dict[str, Any]:
    """The searches of one task, by method, and what they share.

    Raises:
        ValueError: they were not run under one protocol.
    """
    records = list(records)
    first = records[0]
    protocol = {name: first.settings.get(name) for name in PROTOCOL}
    for record in records:
        differs = [name for name in PROTOCOL if record.settings.get(name) != protocol[name]]
        if differs or record.backbone != first.backbone or record.sizes != first.sizes:
            raise ValueError(
                f"{record.name} was not run as {first.name} was: {', '.join(differs) or 'backbone or rows'} differ"
            )
    return {
        "backbone": first.backbone,
        "metric": first.metric,
        "sizes": first.sizes,
        "constant answer": first.majority.get("test"),
        "protocol": protocol,
        "methods": {record.method: measured(record) for record in sorted(records, key=lambda one: one.method)},
    }


def joined(task: str, kept: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The searches of a task with those that are kept of it, of which each new one takes the place of its method's.

    Raises:
        ValueError: those were not run under the protocol of these.
    """
    differs = [key for key in new if key != "methods" and kept[key] != new[key]]
    if differs:
        raise ValueError(f"{task}: those kept were not run alike: {', '.join(differs)} differ; give another --name")
    return {**new, "methods": dict(sorted({**kept["methods"], **new["methods"]}.items()))}


def markdown(found: dict[str, Any]) -> str:
    """The table of `main`."""
    tasks = list(found)
    methods = {name: None for task in tasks for name in found[task]["methods"]}

    def mean(method: str) -> float:
        scores = [found[task]["methods"][method]["mean"] for task in tasks if method in found[task]["methods"]]
        return sum(scores) / len(scores) if len(scores) == len(tasks) else 0.0

    head = [f"{task} ({found[task]['metric']}, n = {found[task]['sizes']['test']})" for task in tasks]
    lines = [f"| method | trainable parameters | {' | '.join(head)} |", f"| --- | ---: |{' ---: |' * len(tasks)}"]
    for method in sorted(methods, key=mean, reverse=True):
        cells, counts = [], []
        for task in tasks:
            one = found[task]["methods"].get(method)
            spread = f" ± {one['deviation']:.1f}" if one and one["deviation"] is not None else ""
            cells.append(f"{one['mean']:.1f}{spread}" if one else "not run")
            counts += [one["parameters"]] if one else []
        count = f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}"
        lines.append(f"| `{method}` | {count} | {' | '.join(cells)} |")
    constant = " | ".join(f"{found[task]['constant answer']:.1f}" for task in tasks)
    return "\n".join([*lines, f"| constant best answer | 0 | {constant} |"])


def main(arguments: list[str] | None = None) -> None:
    """Print the table, and keep what is in it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, help="searches, or folders of them; none: the table as kept")
    parser.add_argument("--name", default="methods", help="of the file below benchmarks/results")
    args = parser.parse_args(arguments)
    file = RESULTS / f"{args.name}.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    records = [search.record for search in read_folders(args.folders).searches if search.record.test is not None]
    for task in dict.fromkeys(record.task for record in records):
        new = of_task(record for record in records if record.task == task)
        found[task] = joined(task, found[task], new) if task in found else new
    if records:
        file.write_text(json.dumps(found, indent=1) + "\n")
    print(markdown(found))


if __name__ == "__main__":
    main()
