"""How often a champion changes hands with nothing better about the winner, and how soon a better one is crowned.

Nights are made up: each trains the same thing again and answers the same test rows. Rows differ in how hard they are; a
training shifts all of them a little (its noise), and each row falls as it falls. After so many quiet nights one change
makes the winners better by so many points. `orchestrator.nights.beyond_noise` decides, as in a night.

Example: python -m benchmarks.champion_rates
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.made_nights import answers, key, made_cell, made_night
from orchestrator.nights.beyond_noise import margin, night_noise
from orchestrator.nights.night import Night
from orchestrator.record.record import SearchRecord, TestResult, TrialRecord
from orchestrator.record.status import TrialStatus
from orchestrator.summarizer.results.found_search import FoundSearch

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Setting:
    """What is made up.

    Attributes:
        noise: standard deviation of a training's score from night to night, in points, beside that of its rows.
        gain: points by which winners are better from night ``quiet`` on.
    """

    rows: int
    quiet: int
    nights: int
    noise: float
    gain: float


def history(setting: Setting, seed: int) -> list[int]:
    """The nights in which the champion changed, the first one left out."""
    dice = np.random.default_rng(seed)
    hardness = dice.beta(2.0, 0.8, setting.rows)  # chance that a row is answered right: most are easy, mean 71 %
    nights: list[Night] = []
    champion, changed = None, []
    for day in range(setting.nights):
        shift = dice.normal(0, setting.noise / 100) + (setting.gain / 100 if day >= setting.quiet else 0.0)
        right = dice.random(setting.rows) < np.clip(hardness + shift, 0, 1)
        score = 100.0 * float(right.mean())
        winner = searched(right.tolist(), score)
        if champion is None:
            champion = winner
        else:
            found = margin(winner, champion, night_noise(key(), nights[-21:]))
            if not isinstance(found, str) and found.is_better:
                champion = winner
                changed.append(day)
        nights.append(made_night(day, [made_cell(scores=[score], n=setting.rows)]))
    return changed


def searched(right: Sequence[bool], score: float) -> FoundSearch:
    """A search of one trial, tested on these rows."""
    trial = TrialRecord("t1", 1, {"prompt_lr": 0.3}, 42, TrialStatus.FINISHED)
    test = TestResult(1, score, {"accuracy": score}, len(right), 100.0 / len(right), 100)
    record = SearchRecord(
        name="made",
        task="made",
        method="adept",
        backbone="t5-nano",
        recipe="released_code",
        metric="accuracy",
        trials=[trial],
        test=test,
        predictions="made",
    )
    return FoundSearch(record, None, "made", lambda: {1: answers(right)})


def main() -> None:
    """Simulate, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--quiet", type=int, default=50, help="nights before anything is better")
    parser.add_argument("--after", type=int, default=10, help="nights after it")
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 1.0, 2.0])
    parser.add_argument("--gain", type=float, nargs="+", default=[4.0, 8.0])
    args = parser.parse_args()
    table = Table(title=f"{args.rows} test rows, {args.repeats} histories each")
    columns = ("noise", "gain", f"changes in {args.quiet} quiet nights", "crowned after 1 night", "5 nights", "never")
    for column in columns:
        table.add_column(column, justify="right")
    found = []
    with ProcessPoolExecutor() as pool:
        for noise in args.noise:
            for gain in args.gain:
                setting = Setting(args.rows, args.quiet, args.quiet + args.after, noise, gain)
                runs = list(pool.map(partial(history, setting), range(args.repeats), chunksize=5))
                quiet = sum(day < args.quiet for days in runs for day in days) / args.repeats
                first = [min((d for d in days if d >= args.quiet), default=None) for days in runs]
                within = [sum(d is not None and d < args.quiet + n for d in first) / args.repeats for n in (1, 5)]
                never = sum(d is None for d in first) / args.repeats
                found.append([noise, gain, quiet, *within, never])
                table.add_row(
                    f"{noise:g}", f"{gain:g}", f"{quiet:.2f}", *(f"{100 * one:.0f} %" for one in (*within, never))
                )
    Console().print(table)
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / "champion-rates.json"
    settings = {name: getattr(args, name) for name in ("repeats", "rows", "quiet", "after")}
    file.write_text(json.dumps({"settings": settings, "columns": columns, "found": found}, indent=1) + "\n")
    print(f"wrote {file}")


if __name__ == "__main__":
    main()
