"""Test scores of many searches in one chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from orchestrator.record import formats
from orchestrator.summarizer.page.drawing import COLOUR, METHODS, NARROW, WIDE, Canvas, both

_MARKERS = "oDs^vPX*"  # one a method: colours alone are not told apart by everyone, nor by a printer


@dataclass(frozen=True)
class Measured:
    """A method's test score at a place of the chart, in points, with its interval where there is one."""

    place: str
    method: str
    mean: float
    low: float | None
    high: float | None


def score_chart(measured: Sequence[Measured], titles: Mapping[str, str], prefix: str) -> Markup:
    """A row a task: each method's mean as a mark on its interval."""
    if not measured:
        return Markup("")
    places = list(dict.fromkeys(one.place for one in measured))
    methods = list(dict.fromkeys(one.method for one in measured))
    band = 16 * len(methods) + 14
    height = 90 + band * len(places)

    def draw(canvas: Canvas) -> None:
        from matplotlib.lines import Line2D

        axes = canvas.figure.subplots()
        for nth, method in enumerate(methods):
            colour, marker = COLOUR[METHODS[nth % len(METHODS)]], _MARKERS[nth % len(_MARKERS)]
            for one in (one for one in measured if one.method == method):
                y = places.index(one.place) + 0.7 * ((nth + 0.5) / len(methods) - 0.5)
                if one.low is not None and one.high is not None:
                    # Scores end at 0 and 100 (correlations at -100); Student's interval of three seeds does not know.
                    axes.hlines(y, max(one.low, min(0.0, one.mean)), min(one.high, 100.0), colors=colour, linewidth=2)
                marks: dict[str, Any] = {
                    "marker": marker,
                    "facecolors": colour,
                    "edgecolors": COLOUR["card"],
                    "zorder": 5,
                }
                axes.scatter([one.mean], [y], s=52, **marks)
        columns = 22 if canvas.narrow else 44
        names = [formats.shortened(place, columns).replace(" on ", "\non ", 1) for place in places]
        axes.set_yticks(range(len(places)), names, color=COLOUR["ink"])
        axes.set_ylim(len(places) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        for edge in range(1, len(places)):
            axes.axhline(edge - 0.5, color=COLOUR["line"], linewidth=1)
        axes.set_xlabel("test score (points)")
        handles = [
            Line2D(
                [], [], color=COLOUR[METHODS[nth % len(METHODS)]], marker=_MARKERS[nth % len(_MARKERS)],
                linewidth=2, markersize=7, label=formats.shortened(titles.get(method, method), 24),
            )
            for nth, method in enumerate(methods)
        ]  # fmt: skip
        columns = 3 if canvas.narrow else 6
        canvas.figure.legend(handles=handles, loc="outside upper left", ncols=columns, columnspacing=1.2)

    told = (
        f"Test scores with 95 % intervals of {len(methods)} methods on {len(places)} tasks; the table has the numbers."
    )
    return both(draw, (WIDE, height), (NARROW, height), told, prefix)
