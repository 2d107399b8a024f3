"""Best in bold, second underlined: which cells those are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from orchestrator.summarizer.tables.model import Cell, Highlight

LEGEND = (
    "Bold: the best number of its column and backbone; underlined: the second. Numbers that print alike, and a "
    "measured number within one example of the best, share its mark. A mark is no test."
)
LEGEND_ACROSS = LEGEND.replace("of its column and backbone", "of its row")


def highlighted(cells: Sequence[Cell], better: Literal["higher", "lower"] = "higher") -> list[Cell]:
    """The cells with the best and the second best highlighted, where at least two of them have a number.

    A measured number is level with another one that is less than one example away: to print the one bold and not the
    other would call that a win.
    """
    places = [place for place, cell in enumerate(cells) if cell.value is not None]
    sign = 1.0 if better == "higher" else -1.0
    result = list(cells)
    if len(places) < 2:
        return result
    kinds: tuple[Highlight, Highlight] = ("best", "second")
    for kind in kinds:
        if not places:
            break
        top = max(places, key=lambda place: sign * (cells[place].value or 0.0))
        level = [place for place in places if _level(cells[place], cells[top])]
        if kind == "best" and len(level) == len(places):
            break  # nothing stands out
        for place in level:
            result[place] = replace(cells[place], highlight=kind)
        places = [place for place in places if place not in level]
    return result


def _level(one: Cell, other: Cell) -> bool:
    if one.text == other.text:
        return True
    example = max(one.one_example or 0.0, other.one_example or 0.0)
    return abs((one.value or 0.0) - (other.value or 0.0)) < example - 1e-9
