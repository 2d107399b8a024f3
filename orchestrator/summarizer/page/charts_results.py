"""Test scores of many searches in one chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from orchestrator.record import formats
from orchestrator.summarizer.page.drawing import COLOUR, METHODS, NARROW, WIDE, Canvas, both
from orchestrator.summarizer.results.seed_statistics import SeedEstimate

_MARKERS = "oDs^vPX*"  # one a method: not everyone sees colours apart, and no printer need


@dataclass(frozen=True)
class MethodScore:
    """A method's test score on a task: a cell of the matrix.

    Attributes:
        low, high: 95 % interval, of the mean over seeds where there are several; None where it is not known.
        one_example: points that one test example is worth; None where n is not known.
        standing: ``best``, ``near`` (not distinguishable from the best) or empty.
        paper: what the paper prints for the method on this backbone.
        note: what else there is to know.
    """

    method: str
    estimate: SeedEstimate
    low: float | None
    high: float | None
    one_example: float | None
    standing: str = ""
    paper: str = ""
    note: str = ""

    @property
    def text(self) -> str:
        """The mean as printed, with the deviation over seeds."""
        spread = f" ± {formats.score(self.estimate.sd)}" if self.estimate.sd is not None else ""
        return f"{formats.score(self.estimate.mean)}{spread}"

    @property
    def about(self) -> str:
        """Seeds and interval."""
        seeds = f"{self.estimate.n} seed{'s' if self.estimate.n > 1 else ''}"
        if self.low is None or self.high is None:
            return seeds
        return f"{seeds}, {formats.score(self.low)} to {formats.score(self.high)}"


def score_chart(scores: Sequence[tuple[str, MethodScore]], titles: Mapping[str, str], prefix: str) -> Markup:
    """A row a task: each method's mean as a mark on its interval.

    Args:
        scores: each with the task's name.
    """
    if not scores:
        return Markup("")
    tasks = list(dict.fromkeys(task for task, _ in scores))
    looks = {
        method: (COLOUR[METHODS[nth % len(METHODS)]], _MARKERS[nth % len(_MARKERS)])
        for nth, method in enumerate(dict.fromkeys(score.method for _, score in scores))
    }
    height = 90 + (16 * len(looks) + 14) * len(tasks)

    def draw(canvas: Canvas) -> None:
        axes = canvas.figure.subplots()
        for nth, (method, (colour, marker)) in enumerate(looks.items()):
            for task, score in (pair for pair in scores if pair[1].method == method):
                y, mean = tasks.index(task) + 0.7 * ((nth + 0.5) / len(looks) - 0.5), score.estimate.mean
                if score.low is not None and score.high is not None:
                    # Scores end at 0 and 100 (correlations at -100); Student's interval of three seeds does not know.
                    low, high = max(score.low, min(0.0, mean)), min(score.high, 100.0)
                    axes.hlines(y, low, high, colors=colour, linewidth=2)
                paint: dict[str, Any] = {"facecolors": colour, "edgecolors": COLOUR["card"], "marker": marker}
                axes.scatter([mean], [y], s=52, zorder=5, **paint)
        columns = 22 if canvas.narrow else 44
        names = [formats.shortened(task, columns).replace(" on ", "\non ", 1) for task in tasks]
        axes.set_yticks(range(len(tasks)), names, color=COLOUR["ink"])
        axes.set_ylim(len(tasks) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        for edge in range(1, len(tasks)):
            axes.axhline(edge - 0.5, color=COLOUR["line"], linewidth=1)
        axes.set_xlabel("test score (points)")
        named = [
            {"color": colour, "marker": marker, "linewidth": 2, "markersize": 7,
             "label": formats.shortened(titles.get(method, method), 24)}
            for method, (colour, marker) in looks.items()
        ]  # fmt: skip
        canvas.legend(named, columns=3 if canvas.narrow else 6, columnspacing=1.2)

    description = (
        f"Test scores with 95 % intervals of {len(looks)} methods on {len(tasks)} tasks; the table has the numbers."
    )
    return both(draw, (WIDE, height), (NARROW, height), description, prefix)
