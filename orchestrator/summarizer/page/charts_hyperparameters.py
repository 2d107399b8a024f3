"""Hyperparameters against score: slices, parallel coordinates and the map of two learning rates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from orchestrator.record import formats
from orchestrator.summarizer.page.drawing import BEHIND_TEXT, COLOUR, NARROW, WIDE, Canvas, both, legend
from orchestrator.summarizer.page.hyperparameters import HyperparameterAxis, label
from orchestrator.summarizer.page.search_view import SearchView, TrialView

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

PANELS = 12  # of a heat map: the best ones where there are more
_PALETTE = "cividis"  # even steps of lightness, the same for every kind of colour vision


@dataclass(frozen=True)
class RateMap:
    """The two axes of a heat map and the axes whose levels have a panel each."""

    x: HyperparameterAxis
    y: HyperparameterAxis
    rest: tuple[HyperparameterAxis, ...]

    @property
    def is_grid(self) -> bool:
        """Whether it has cells; else each trial is a mark."""
        return self.x.kind == self.y.kind == "levels"

    @property
    def title(self) -> str:
        """Which hyperparameters it shows."""
        per = f", one panel per {', '.join(axis.name for axis in self.rest)}" if self.rest else ""
        return f"{self.x.name} across, {self.y.name} upwards{per}"

    @classmethod
    def of(cls, found: Sequence[HyperparameterAxis]) -> RateMap | None:
        """Two learning rates, or one with what else there is; None where no two hyperparameters differ."""
        ordered = sorted(found, key=lambda axis: not axis.is_rate)
        if len(ordered) < 2 or not ordered[0].is_rate:
            return None
        x, y = ordered[:2]
        # A hyperparameter of many values has no panel each: its trials share one.
        return cls(x, y, tuple(axis for axis in found if axis not in (x, y) and axis.kind == "levels"))


def slices(search: SearchView, found: Sequence[HyperparameterAxis], prefix: str) -> Markup:
    """Best score against each hyperparameter, all others as they came."""
    views = search.scored
    if not found or not views:
        return Markup("")

    def draw(canvas: Canvas) -> None:
        columns = min(len(found), 1 if canvas.narrow else 4)
        rows = math.ceil(len(found) / columns)
        grid = canvas.figure.subplots(rows, columns, sharey=True, squeeze=False)
        for place, axes in enumerate(grid.flat):
            if place >= len(found):
                axes.set_visible(False)
                continue
            axis = found[place]
            canvas.points(axes, [(view, x, _score(view)) for view, x in _spread(axis, views, room=0.3)])
            ticks = axis.ticks(5 if axis.kind != "levels" or canvas.narrow else 6)
            axes.set_xticks([at for at, _ in ticks], [text for _, text in ticks])
            crowded = sum(len(text) for _, text in ticks) > (36 if canvas.narrow else 96 // columns)
            axes.tick_params(axis="x", rotation=40 if crowded else 0)
            edge = max(0.5 / max(len(axis.levels) - 1, 1), 0.12) if axis.kind == "levels" else 0.08
            axes.set_xlim(-edge, 1 + edge)
            axes.set_xlabel(formats.shortened(axis.name, 40))
            axes.margins(y=0.1)
            if place % columns == 0:
                axes.set_ylabel(formats.shortened(f"best {search.record.metric}", 26))
        legend(canvas, views)

    rows = math.ceil(len(found) / 4)
    description = (
        f"Best validation {search.record.metric} against {', '.join(axis.name for axis in found)}, a panel each."
    )
    wide = min(WIDE, 140 + 290 * len(found)), 80 + 260 * rows
    return both(draw, wide, (NARROW, 80 + 220 * len(found)), description, prefix)


def parallel_coordinates(search: SearchView, found: Sequence[HyperparameterAxis], prefix: str) -> Markup:
    """A line a trial through its hyperparameters, to its score."""
    views = search.scored
    if not found or len(views) < 2:
        return Markup("")
    scores = [_score(view) for view in views]
    low, high = min(scores), max(scores)

    def draw(canvas: Canvas) -> None:
        axes = canvas.figure.subplots()
        spread = [{view.rank: y for view, y in _spread(axis, views, room=0.12)} for axis in found]
        paths = {
            view.rank: [
                *((float(place), heights[view.rank]) for place, heights in enumerate(spread)),
                (float(len(found)), 0.5 if high == low else (_score(view) - low) / (high - low)),
            ]
            for view in views
        }
        canvas.curves(axes, views, paths)
        text: dict[str, Any] = {
            "fontsize": 11,
            "va": "center",
            "color": COLOUR["ink"],
            "zorder": 20,
            "bbox": BEHIND_TEXT,
        }
        most = 6 if canvas.narrow else 8
        ends = [(0.5, formats.score(low))] if high == low else [(0.0, formats.score(low)), (1.0, formats.score(high))]
        for place, ticks in enumerate([*(axis.ticks(most) for axis in found), ends]):
            axes.axvline(place, color=COLOUR["soft"], linewidth=1, zorder=0.6)
            last = place == len(found)
            for height, name in ticks:
                shown = formats.shortened(name, 9 if canvas.narrow else 16)
                shift = -5 if last else 5
                side = "right" if last else "left"
                axes.annotate(shown, (place, height), (shift, 0), textcoords="offset points", ha=side, **text)
        names = [*(axis.name for axis in found), f"best {search.record.metric}"]
        wrapped = [_wrapped(name, len(names), canvas) for name in names]
        axes.set_xticks(range(len(names)), wrapped, fontsize=11, color=COLOUR["ink"])
        axes.set_yticks([])
        axes.set_xlim(-0.06, len(found) + 0.06)
        axes.set_ylim(-0.09, 1.09)
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        legend(canvas, views)

    description = (
        f"Parallel coordinates of {len(views)} trials: {', '.join(axis.name for axis in found)} and best score."
    )
    return both(draw, (WIDE, 400), (NARROW, 420), description, prefix)


def rate_map(search: SearchView, rates: RateMap, prefix: str) -> Markup:
    """Best score by two hyperparameters: a heat map of the grid, or marks where there is no grid."""
    views = search.scored
    if not views:
        return Markup("")
    panels: dict[tuple[str, ...], list[TrialView]] = {}
    for view in views:  # the best first, and so are the panels
        panels.setdefault(tuple(label(axis.value(view)) for axis in rates.rest), []).append(view)
    best = dict(list(panels.items())[:PANELS])
    chosen = [(key, best[key]) for key in sorted(best, key=lambda key: _order(rates, best[key][0]))]
    scores = [_score(view) for view in views]
    bounds = (min(scores), max(max(scores), min(scores) + 1.0))

    def draw(canvas: Canvas) -> None:
        from matplotlib import colormaps
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        colours = ScalarMappable(Normalize(*bounds), colormaps[_PALETTE])
        columns = min(len(chosen), 2 if canvas.narrow else 4)
        rows = math.ceil(len(chosen) / columns)
        grid = canvas.figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for place, axes in enumerate(grid.flat):
            if place >= len(chosen):
                axes.set_visible(False)
                continue
            key, members = chosen[place]
            _panel(canvas, axes, rates, members, colours)
            axes.set_title(formats.shortened(", ".join(key), 26), fontsize=12, color=COLOUR["ink"])
            axes.grid(visible=False)
            if place + columns >= len(chosen):
                axes.xaxis.set_tick_params(labelbottom=True)
        if not rates.is_grid:  # no cell that has its number
            bar: dict[str, Any] = {"location": "top", "aspect": 40, "fraction": 0.05, "drawedges": False}
            canvas.figure.colorbar(colours, ax=grid, label=formats.shortened(f"best {search.record.metric}", 40), **bar)
        canvas.figure.supxlabel(formats.shortened(rates.x.name, 40), fontsize=12, color=COLOUR["soft"])
        canvas.figure.supylabel(formats.shortened(rates.y.name, 24), fontsize=12, color=COLOUR["soft"])

    tall = 60 + 34 * len(rates.y.levels) if rates.y.kind == "levels" else 220
    wide = min(WIDE, 100 + 230 * len(chosen)), 50 + max(tall, 130) * math.ceil(len(chosen) / 4)
    narrow = NARROW, 50 + max(tall, 130) * math.ceil(len(chosen) / 2)
    description = f"Best validation {search.record.metric} by {rates.title}."
    return both(draw, wide, narrow, description, prefix)


def _panel(canvas: Canvas, axes: Axes, rates: RateMap, views: Sequence[TrialView], colours: ScalarMappable) -> None:
    if rates.is_grid:
        _cells(canvas, axes, rates, views, colours)
    else:
        shown = list(reversed(views))  # the best on top
        places = [rates.x.place(view) for view in shown], [rates.y.place(view) for view in shown]
        paint: dict[str, Any] = {"c": [_paint(colours, _score(view)) for view in shown], "edgecolors": COLOUR["soft"]}
        size = 20 if len(shown) > 100 else 60
        canvas.link(axes.scatter(*places, s=size, linewidths=0.5, clip_on=False, **paint), [[v.rank] for v in shown])
    for axis, marks, limits in ((rates.x, axes.set_xticks, axes.set_xlim), (rates.y, axes.set_yticks, axes.set_ylim)):
        ticks = axis.ticks(3 if canvas.narrow and axis.kind != "levels" else 6)
        marks([at for at, _ in ticks], [text for _, text in ticks])
        edge = _cell(axis) / 2
        limits(*((-edge, 1 + edge) if len(axis.levels) > 1 else (0, 1)))
    axes.tick_params(axis="x", rotation=40 if len(rates.x.ticks(6)) > 4 else 0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _cells(canvas: Canvas, axes: Axes, rates: RateMap, views: Sequence[TrialView], colours: ScalarMappable) -> None:
    """A rectangle a configuration, with its score: the mean over seeds where there are several."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    cells: dict[tuple[float, float], list[TrialView]] = {}
    for view in views:
        cells.setdefault((rates.x.place(view), rates.y.place(view)), []).append(view)
    wide, tall = _cell(rates.x), _cell(rates.y)
    paints = []
    for (x, y), members in cells.items():
        mean = fmean(map(_score, members))
        paints.append(_paint(colours, mean))
        wins = any(view.look == "winner" for view in members)
        stopped = all(view.outcome == "stopped" for view in members)
        name = formats.score(mean) + (" *" if wins else " ×" if stopped else "")
        looks: dict[str, Any] = {
            "color": _readable_on(paints[-1]),
            "weight": "bold" if wins else "normal",
            "fontsize": 11,
        }
        axes.annotate(name, (x, y), ha="center", va="center", **looks)
    shapes = [Rectangle((x - wide / 2, y - tall / 2), wide, tall) for x, y in cells]
    patches = PatchCollection(shapes, facecolors=paints, edgecolors=COLOUR["card"], linewidths=1.5)
    axes.add_collection(patches)
    canvas.link(patches, [[view.rank for view in members] for members in cells.values()])


def _paint(colours: ScalarMappable, score: float) -> str:
    import numpy as np
    from matplotlib.colors import to_hex

    red, green, blue, opacity = colours.to_rgba(np.array([score]))[0]
    return to_hex((red, green, blue, opacity))


def _readable_on(paint: str) -> str:
    """Black or white, whichever has the higher contrast (WCAG 2.2, relative luminance)."""
    parts = [int(paint[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    luminance = sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return "#ffffff" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "#000000"


def _cell(axis: HyperparameterAxis) -> float:
    return 1.0 / max(len(axis.levels) - 1, 1) if axis.kind == "levels" else 0.1


def _order(rates: RateMap, view: TrialView) -> tuple[float, ...]:
    return tuple(axis.place(view) for axis in rates.rest)


def _spread(axis: HyperparameterAxis, views: Sequence[TrialView], room: float) -> list[tuple[TrialView, float]]:
    """Places on the axis; trials of one level are spread in the order of their rank, so that none is hidden.

    Args:
        room: share of the way to the next level that they may take.
    """
    if axis.kind != "levels":
        return [(view, axis.place(view)) for view in views]
    levels: dict[float, list[TrialView]] = {}
    for view in views:
        levels.setdefault(axis.place(view), []).append(view)
    room /= max(len(axis.levels) - 1, 1)
    spread = {
        view.rank: place + room * ((len(members) - 1) / 2 - nth) / max(len(members), 4)
        for place, members in levels.items()
        for nth, view in enumerate(members)
    }
    return [(view, spread[view.rank]) for view in views]


def _wrapped(name: str, count: int, canvas: Canvas) -> str:
    """A name on as many lines as its words need below its axis."""
    columns = max(int(canvas.width / count / 7), 6)
    lines = [""]
    for word in name.replace("_", "_ ").split(" "):
        if lines[-1] and len(lines[-1]) + len(word) > columns:
            lines.append("")
        lines[-1] += word if not lines[-1] or lines[-1].endswith("_") else f" {word}"
    return "\n".join(formats.shortened(line, columns + 4) for line in lines[:4])


def _score(view: TrialView) -> float:
    return view.score if view.score is not None else math.nan
