"""Charts as inline SVG: matplotlib draws, and the page's style sheet colours.

Why matplotlib and not a chart library that runs in the browser: plotly.js alone is 4.5 MB, in each page of each search
that MLflow keeps; vega is 1 MB. Matplotlib comes with MLflow, a page of 24 trials is some 200 KB, and its charts print,
need no script to be read, and keep their text as text. What a script adds (to find a trial in all charts and in the
table at once) takes a hundred lines, because each mark carries its trial's key.

Colours are written as names (``ink``, ``near``) that become CSS variables, so that one drawing serves light, dark and
print. Each chart is drawn twice, for a wide window and for a phone: scaled down, its text could not be read there.
"""

from __future__ import annotations

import io
import itertools
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from orchestrator.record import formats
from orchestrator.summarizer.page.search_view import LOOKS, Look, TrialView

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import Collection
    from matplotlib.figure import Figure

Size = tuple[int, int]  # width and height in pixels

WIDE, NARROW = 1124, 350  # pixels, at which text has its own size
PROTOCOL = "http://www.w3.org/2000/svg"
_LINK = "{http://www.w3.org/1999/xlink}href"

# Matplotlib knows no CSS variables: it gets colours that nobody would choose, and they are replaced in its output.
METHODS = tuple(f"method-{place}" for place in range(1, 7))
_NAMES = ("ink", "soft", "line", "card", *LOOKS, *METHODS)
COLOUR = {name: f"#0000{place + 1:02x}" for place, name in enumerate(_NAMES)}
BEHIND_TEXT = {"facecolor": COLOUR["card"], "edgecolor": "none", "pad": 1.0, "alpha": 0.85}  # over curves
_TO_VARIABLE = {code: f"var(--{name})" for name, code in COLOUR.items()}
_CODES = re.compile("|".join(_TO_VARIABLE))
_FONT = re.compile(r"font: (?:(?P<style>italic) )?(?:(?P<weight>\d+) )?(?P<size>[\d.]+)px [^;]*")
_SETTINGS: Any = {
    "svg.fonttype": "none",  # text stays text: it is searched, read aloud and coloured
    "svg.hashsalt": "report",  # the same record gives the same file
    "text.parse_math": False,  # a name may hold dollar signs
    "font.size": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.linewidth": 1,
    "legend.frameon": False,
    "legend.fontsize": 12,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "text.color": COLOUR["ink"],
    "axes.labelcolor": COLOUR["soft"],
    "axes.edgecolor": COLOUR["line"],
    "grid.color": COLOUR["line"],
    "xtick.color": COLOUR["line"],
    "ytick.color": COLOUR["line"],
    "xtick.labelcolor": COLOUR["soft"],
    "ytick.labelcolor": COLOUR["soft"],
}


@dataclass(frozen=True)
class Stroke:
    """How the marks of one look are drawn: they differ in more than colour."""

    width: float
    dash: Any  # solid, or matplotlib's (offset, (on, off, ...)) in widths of the line
    marker: str
    size: float
    filled: bool = True

    def paint(self, colour: str) -> dict[str, Any]:
        """The mark's shape and colours; a filled one has a rim, which keeps it apart from its neighbours."""
        if self.marker == "x":  # has no inside
            return {"color": colour, "linewidths": 1.6}
        inside, rim = (colour, COLOUR["card"]) if self.filled else (COLOUR["card"], colour)
        return {"facecolors": inside, "edgecolors": rim, "linewidths": 1.0 if self.filled else 1.6}


STROKES: dict[Look, Stroke] = {
    "winner": Stroke(3.0, "-", "*", 170),
    "near": Stroke(2.0, (0, (5, 2)), "D", 42),
    "finished": Stroke(1.5, "-", "o", 40),
    "stopped": Stroke(1.2, "-", "x", 36),
    "broken": Stroke(1.4, (0, (1, 1.6)), "^", 48),
    "open": Stroke(1.4, (0, (6, 2, 1, 2)), "s", 36, filled=False),
}


class Canvas:
    """One chart at one width, while it is drawn.

    Args:
        size: width and height in pixels.
        narrow: whether this is the drawing for a phone.
    """

    def __init__(self, size: Size, narrow: bool) -> None:
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine

        (self.width, height), self.narrow = size, narrow
        room = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06)  # inches
        self.figure: Figure = Figure(figsize=(self.width / 72, height / 72), dpi=72, layout=room)
        self._keys: dict[str, list[str]] = {}

    def curves(
        self, axes: Axes, views: Sequence[TrialView], paths: Mapping[int, Sequence[tuple[float, float]]]
    ) -> None:
        """Draw a line for each trial through its points, by rank."""
        from matplotlib.collections import LineCollection

        for look in reversed(LOOKS):
            shown = [view for view in views if view.look == look and len(paths[view.rank]) > 1]
            if shown:
                stroke, dense = STROKES[look], len(shown) > 100
                lines = LineCollection(
                    [list(paths[view.rank]) for view in shown],
                    colors=COLOUR[look],
                    linewidths=0.6 if dense else stroke.width,
                    linestyles=[stroke.dash],
                    alpha=0.45 if dense else 1.0,
                    zorder=_depth(look),
                    capstyle="round",
                )
                self.link(lines, [[view.rank] for view in shown])
                axes.add_collection(lines)

    def points(self, axes: Axes, places: Sequence[tuple[TrialView, float, float]], look: Look | None = None) -> None:
        """Draw a mark for each trial at (x, y), in its own look or in the one given."""
        kinds: dict[tuple[Look, Look], list[tuple[TrialView, float, float]]] = {}
        for place in places:
            view = place[0]
            kinds.setdefault((look or view.look, look or _shape(view)), []).append(place)
        for colour, shape in sorted(kinds, key=lambda kind: _depth(kind[0])):
            shown, stroke = kinds[colour, shape], STROKES[shape]
            dense = len(shown) > 100
            marks = axes.scatter(
                [x for _, x, _ in shown],
                [y for _, _, y in shown],
                s=stroke.size / 2 if dense else stroke.size,
                marker=stroke.marker,
                zorder=_depth(colour) + 0.5,
                clip_on=False,
                alpha=0.6 if dense else 1.0,
                **stroke.paint(COLOUR[colour]),
            )
            self.link(marks, [[view.rank] for view, _, _ in shown])

    def link(self, shapes: Collection, keys: Sequence[Sequence[int]]) -> None:
        """Join each shape of a collection, in their order, to the ranks of the trials that it stands for."""
        name = f"marks-{len(self._keys)}"
        self._keys[name] = [" ".join(map(str, ranks)) for ranks in keys]
        shapes.set_gid(name)

    def legend(self, lines: Sequence[Mapping[str, Any]], columns: int, **spacing: float) -> None:
        """Name these looks of lines above the chart; nothing where there is none."""
        from matplotlib.lines import Line2D

        if lines:
            handles = [Line2D([], [], **look) for look in lines]
            self.figure.legend(handles=handles, loc="outside upper left", ncols=columns, **spacing)

    def svg(self, description: str, prefix: str) -> Markup:
        """The drawing, to be set into a page.

        Args:
            description: the chart in words, for a reader who does not see it.
            prefix: begins the ids that the drawing uses; another one for each drawing of a page.
        """
        stream = io.StringIO()
        self.figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
        root = ET.fromstring(stream.getvalue())
        view_box, kind = root.get("viewBox", ""), "narrow" if self.narrow else "wide"
        root.attrib.clear()
        root.attrib |= {
            "viewBox": view_box,
            "role": "img",
            "aria-label": formats.line(description),
            "class": f"chart {kind}",
        }
        root.set("style", f"max-width: {self.width}px")
        for metadata in root.findall(f"{{{PROTOCOL}}}metadata"):
            root.remove(metadata)
        self._write_keys(root)
        _colour(root)
        _rename(root, prefix)
        ET.register_namespace("", PROTOCOL)
        ET.register_namespace("xlink", "http://www.w3.org/1999/xlink")
        return Markup(ET.tostring(root, encoding="unicode").replace("\n", " "))

    def _write_keys(self, root: ET.Element) -> None:
        """Write on each mark which trials it stands for."""
        for group in root.iter(f"{{{PROTOCOL}}}g"):
            keys = self._keys.get(group.get("id", ""))
            if keys is None:
                continue
            hidden = {id(part) for found in group.iter(f"{{{PROTOCOL}}}defs") for part in found.iter()}
            drawn = [part for part in group.iter() if part.tag.endswith(("}path", "}use")) and id(part) not in hidden]
            for part, key in zip(drawn, keys, strict=True):
                part.set("class", "mark")
                part.set("data-trial", key)


def both(draw: Callable[[Canvas], None], wide: Size, narrow: Size, description: str, prefix: str) -> Markup:
    """The chart for a wide window and for a phone; the style sheet shows the one that fits."""
    return drawn(draw, wide, description, f"{prefix}w") + drawn(draw, narrow, description, f"{prefix}n", narrow=True)


def drawn(draw: Callable[[Canvas], None], size: Size, description: str, prefix: str, *, narrow: bool = False) -> Markup:
    """The chart at one width."""
    from matplotlib import rc_context

    with rc_context(_SETTINGS), warnings.catch_warnings():
        # A name in a script that matplotlib's font has not: the browser has it, and only its width is a guess.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        canvas = Canvas(size, narrow)
        draw(canvas)
        return canvas.svg(description, prefix)


def legend(canvas: Canvas, views: Iterable[TrialView]) -> None:
    """Name the looks of these trials above the chart."""
    there = {view.look for view in views}
    looks = [look for look in LOOKS if look in there]
    named = [
        {
            "color": COLOUR[look],
            "linewidth": STROKES[look].width,
            "linestyle": STROKES[look].dash,
            "marker": STROKES[look].marker,
            "markersize": 9 if look == "winner" else 6,
            "markerfacecolor": COLOUR[look] if STROKES[look].filled else COLOUR["card"],
            "label": LOOKS[look],
        }
        for look in looks
    ]
    spacing = (1.0, 2.0) if canvas.narrow else (1.6, 2.4)
    columns = 2 if canvas.narrow else len(looks)
    canvas.legend(named, columns, columnspacing=spacing[0], handlelength=spacing[1], borderaxespad=0.2)


def _shape(view: TrialView) -> Look:
    """The mark shows how a trial ended; a distinction shows where it trained to the end."""
    return view.look if view.look == "winner" or view.outcome == "finished" else view.outcome


def _depth(look: Look) -> float:
    return 10.0 - list(LOOKS).index(look)


def _colour(root: ET.Element) -> None:
    for part in root.iter():
        style = part.get("style")
        if style:
            style = _CODES.sub(lambda code: _TO_VARIABLE[code.group()], style)
            part.set("style", _FONT.sub(_font, style))


def _font(found: re.Match[str]) -> str:
    weight = f"; font-weight: {found['weight']}" if found["weight"] else ""
    style = f"; font-style: {found['style']}" if found["style"] else ""
    return f"font-size: {found['size']}px{weight}{style}"  # the family is the page's


def _rename(root: ET.Element, prefix: str) -> None:
    """Shorten the ids that are referred to, make them the page's own, and drop the others."""
    used: dict[str, str] = {}
    count = itertools.count()

    def new(name: str) -> str:
        if name not in used:
            used[name] = f"{prefix}{next(count)}"
        return used[name]

    for part in root.iter():
        if link := part.attrib.pop(_LINK, ""):
            part.set("href", f"#{new(link[1:])}" if link.startswith("#") else link)
        for name in ("clip-path", "style"):
            if "url(#" in part.get(name, ""):
                part.set(name, re.sub(r"url\(#([^)]+)\)", lambda m: f"url(#{new(m[1])})", part.get(name, "")))
    for part in root.iter():
        name = part.attrib.pop("id", "")
        if name in used:
            part.set("id", used[name])
