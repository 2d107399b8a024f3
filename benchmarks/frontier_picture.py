"""A picture of what `benchmarks.frontier` has found: steps against regret, every rule, on grids that learn.

    python -m benchmarks.frontier_picture [FIGURES.json] [PICTURE.svg]

Reads benchmarks/results/frontier.json and writes docs/frontier.svg, unless others are named. Down and to the left is
better: fewer steps, and a winner closer to the best of the whole grid.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

FIGURES = Path(__file__).parent / "results" / "frontier.json"
PICTURE = Path(__file__).parents[1] / "docs" / "frontier.svg"
DEFAULT = "promotion, grace period default, reduction factor 4"
FAMILIES = (
    ("Ray's ASHA", "Ray's ASHA", "X", "#c0392b"),
    ("freeze-thaw", "freeze-thaw", "D", "#8e44ad"),
    ("median", "median", "s", "#7f8c8d"),
    ("by score", "halving by scores", "^", "#d68910"),
    ("", "halving by losses", "o", "#2471a3"),
)
"""What a rule's name has in it, how its kind is called, and how it is drawn; the first that fits counts."""


def kind_of(rule: str) -> str:
    """How a rule's kind is called."""
    return next(called for part, called, _, _ in FAMILIES if part in rule)


def draw(rows: Mapping[str, Mapping[str, Any]], grids: int) -> Figure:
    """Each rule a point: its share of the steps in percent, and its mean regret in points."""
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    axes = figure.subplots()
    for _, called, marker, colour in FAMILIES:
        points = [(100 * row["share"], row["regret"]) for rule, row in rows.items() if kind_of(rule) == called]
        if points:
            x, y = zip(*points, strict=True)
            axes.scatter(x, y, marker=marker, c=colour, s=42, label=called, alpha=0.85)
    at = 100 * rows[DEFAULT]["share"], rows[DEFAULT]["regret"]
    axes.scatter(*at, s=190, facecolors="none", edgecolors="#2471a3", linewidths=1.6)
    axes.annotate("the default", at, xytext=(at[0] + 3, at[1] + 1.4), ha="left", arrowprops={"arrowstyle": "-"})
    axes.set_xlabel("steps that are trained, % of the whole grids")
    axes.set_ylabel("winner below the best, points")
    axes.set_title(f"Which rule loses what: {grids} recorded grids that learn", loc="left", fontsize=10)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=-0.1)
    axes.grid(visible=True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    return figure


def main() -> None:
    """Read, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", nargs="?", type=Path, default=FIGURES)
    parser.add_argument("picture", nargs="?", type=Path, default=PICTURE)
    chosen = parser.parse_args()
    learnt = json.loads(chosen.figures.read_text())["rules"]["something is learnt"]
    # The same figures are to be the same file.
    with mpl.rc_context({"svg.hashsalt": "frontier", "svg.fonttype": "none", "font.size": 9}):
        draw(learnt["rows"], len(learnt["grids"])).savefig(chosen.picture, facecolor="white", metadata={"Date": None})


if __name__ == "__main__":
    main()
