"""How the trials went: learning curves, and what the scheduler saw at its rungs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from orchestrator.record import formats
from orchestrator.summarizer.page.drawing import BEHIND_TEXT, COLOUR, NARROW, STROKES, WIDE, Canvas, both, drawn, legend
from orchestrator.summarizer.page.search_view import LOOKS, Look, SearchView

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NOTE: dict[str, Any] = {"fontsize": 11, "color": COLOUR["soft"], "bbox": BEHIND_TEXT, "zorder": 20}


def learning_curves(search: SearchView, prefix: str, small: bool = False) -> Markup:
    """Validation score by step of all trials, with a mark where each ended; only for a phone's width with ``small``."""
    shown = [view for view in search.trials if view.curve]
    if not shown:
        return Markup("")
    counts = ", ".join(f"{len(found)} {name}" for look, name in LOOKS.items() if (found := search.having(look)))
    description = f"Learning curves, validation {search.record.metric} by step, of {len(shown)} trials: {counts}."

    def draw(canvas: Canvas) -> None:
        axes = canvas.figure.subplots()
        canvas.curves(axes, shown, {view.rank: view.curve for view in shown})
        canvas.points(axes, [(view, *view.curve[-1]) for view in shown])
        for rung in search.rungs:
            axes.axvline(rung.step, color=COLOUR["soft"], linewidth=1, linestyle=(0, (2, 3)), zorder=0.5)
        _constant_answer(axes, search)
        _scores(axes, search)
        axes.set_xlabel("step" + ("; dotted: a rung, where trials are compared" if search.rungs else ""))
        axes.set_xlim(0, max(search.budget, max(view.curve[-1][0] for view in shown)) * 1.02)
        _whole_ticks(axes, 4 if canvas.narrow else 9)
        legend(canvas, shown)

    if small:
        return drawn(draw, (NARROW, 300), description, prefix, narrow=True)
    return both(draw, (WIDE, 440), (NARROW, 380), description, prefix)


def rungs(search: SearchView, prefix: str) -> Markup:
    """The scores of the trials at each rung, with those that went no further."""
    found = search.rungs
    if not found:
        return Markup("")
    counts = "; ".join(f"step {r.step:,}: {len(r.scores)} reached it, {len(r.stopped)} stopped" for r in found)

    def draw(canvas: Canvas) -> None:
        axes = canvas.figure.subplots()
        for place, rung in enumerate(found):
            for look, stopped in (("finished", False), ("stopped", True)):
                # Spread sideways by rank, so that equal scores stay apart.
                marks = [
                    (view, place + 0.5 * ((nth + 0.5) / len(rung.scores) - 0.5), score)
                    for nth, (view, score) in enumerate(rung.scores)
                    if (view.rank in rung.stopped) is stopped
                ]
                canvas.points(axes, marks, look)  # type: ignore[arg-type]
            if rung.cutoff is not None:
                axes.hlines(rung.cutoff, place - 0.32, place + 0.32, colors=COLOUR["soft"], linewidth=1)
        axes.set_xticks(range(len(found)), [f"{rung.step:,}" for rung in found])
        axes.set_xlim(-0.5, len(found) - 0.5)
        axes.grid(visible=False, axis="x")
        axes.set_xlabel(
            "rung (step); " + ("losses decided" if search.ranks_by_loss else "line: the lowest that went on")
        )
        _scores(axes, search)
        outcomes: list[tuple[Look, str]] = [("finished", "went on"), ("stopped", "stopped here")]
        named = [
            {"color": COLOUR[look], "marker": STROKES[look].marker, "linestyle": "none", "markersize": 6, "label": name}
            for look, name in outcomes
        ]
        canvas.legend(named, 2, columnspacing=1.2, borderaxespad=0.2)

    description = f"Best score so far of the trials at each rung. {counts}."
    return both(draw, (min(WIDE, 300 + 160 * len(found)), 320), (NARROW, 320), description, prefix)


def _scores(axes: Axes, search: SearchView) -> None:
    axes.set_ylabel(formats.shortened(f"validation {search.record.metric}", 34))
    axes.autoscale_view(scalex=False)
    axes.margins(y=0.08)
    low, high = axes.get_ylim()
    if high - low < 1.0:  # all scores alike: the axis must not turn rounding into a landscape
        axes.set_ylim((low + high) / 2 - 1, (low + high) / 2 + 1)


def _constant_answer(axes: Axes, search: SearchView) -> None:
    level = search.record.majority.get("validation")
    low, high = axes.dataLim.y0, axes.dataLim.y1
    if level is None or level < low - 2 * (high - low) - 1:  # far below everything it would only flatten the curves
        return
    axes.axhline(level, color=COLOUR["soft"], linewidth=1, linestyle=(0, (6, 3)), zorder=0.5)
    axes.annotate(
        f"constant best answer {formats.score(level)}",
        (1, level),
        xycoords=("axes fraction", "data"),
        xytext=(-4, 4),
        textcoords="offset points",
        ha="right",
        **_NOTE,
    )


def _whole_ticks(axes: Axes, most: int) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(most, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
