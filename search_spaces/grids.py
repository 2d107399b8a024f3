"""The grid of one method: reads and checks its axes, applies the budget rule, and multiplies them out."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from search_spaces.budget import BudgetRule
from search_spaces.documents import Document, Key
from search_spaces.hyperparameters import Configuration, Hyperparameter, Value, declared, read, rule
from search_spaces.problems import closest, did_you_mean, listing, show
from trials.methods import Method, Sizes

FROM_BUDGET = "from_budget"
MOST_POINTS = 100_000


@dataclass(frozen=True)
class Axis:
    """One dimension of a grid: a hyperparameter, or several whose values belong together."""

    names: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    """A value for each name, row by row."""
    note: str = ""

    def __str__(self) -> str:
        rows = [", ".join(map(str, row)) for row in self.rows]
        shown = ", ".join(rows if len(self.names) == 1 else (f"({row})" for row in rows))
        return f"{', '.join(self.names)}: {shown}" + (f" ({self.note})" if self.note else "")


@dataclass(frozen=True)
class Grid:
    """The axes of one method's grid, before the budget rule."""

    method: str
    axes: tuple[Axis, ...] = ()
    by_budget: bool = False
    """The size of the offsets says `from_budget`: it has no axis yet."""


def read_grid(document: Document, of: Method) -> Grid:
    """Reads a method's grid; whatever is wrong goes to the document's problems, and what is right is kept."""
    method, rules = of.name, of.hyperparameters
    path: tuple[Key, ...] = ("grids", method)
    grid = document.data["grids"][method]
    axes: list[Axis] = []
    by_budget = False
    places: dict[str, str] = {}  # hyperparameter -> the axis that gives it
    meant: set[str | None] = set()  # misspelt ones, which are not also reported as missing
    if not isinstance(grid, dict) or not grid:
        problem = "the grid is empty" if not grid else f"a grid maps names to values, but {show(grid)}"
        document.report(path, f"{problem}; {method} takes {listing(rules)}")
        return Grid(method)
    for key, value in grid.items():
        names = tuple(name.strip() for name in key.split(","))
        for name in names:
            if name in places:
                document.report((*path, key), f"{name} is given twice: by the axes {places[name]!r} and {key!r}")
            elif name not in rules:
                meant.add(closest(name, rules))
                known = f"no hyperparameter of {method} ({listing(rules)})"
                document.report((*path, key), f"{name!r} is {known}{did_you_mean(name, rules)}")
            places[name] = key
        if any(name not in rules for name in names):
            continue
        if value == FROM_BUDGET and names == (of.sized,):
            by_budget = True
        elif rows := _read_rows(document, (*path, key), names, value, rules):
            axes.append(Axis(names, tuple(rows)))
    for name, its in rules.items():
        if name not in places and its.default is not None:
            axes.append(Axis((name,), ((its.default,),), "default"))
        elif name not in places and its.required and name not in meant:
            document.report(path, f"{name} is missing: {its.meaning}; needed is {rule(its)}")
    if (points := _points(axes)) > MOST_POINTS:
        sizes = " x ".join(f"{', '.join(axis.names)} {len(axis.rows):,}" for axis in axes if len(axis.rows) > 1)
        document.report(path, f"the grid has {points:,} points ({sizes}), more than {MOST_POINTS:,}: thin out an axis")
    return Grid(method, tuple(axes), by_budget)


def apply_budget(document: Document, grid: Grid, rule: BudgetRule) -> tuple[Axis, ...]:
    """The grid's axes with `from_budget` replaced by the sizes that the budget leaves beside each prompt length.

    The size joins the axis that holds the prompt length. Lengths that leave none go to the document's problems.
    """
    note = f"{rule.name} from {rule.circumstances}"
    rest = {name: value for axis in grid.axes for name, value in zip(axis.names, axis.rows[0], strict=True)}
    axes = []
    for axis in grid.axes:
        if "prompt_length" not in axis.names:
            axes.append(axis)
            continue
        place = axis.names.index("prompt_length")
        sizes = {row[place]: rule.size({**rest, "prompt_length": row[place]}) for row in axis.rows}
        if none_left := sorted(length for length, size in sizes.items() if size < 1):
            longest = rule.longest_prompt(rest)
            fits = "no prompt_length fits: raise budget" if longest is None else f"the largest that fits is {longest}"
            problem = f"prompt_length {listing(none_left)} leaves no {rule.name} in {rule.circumstances}; {fits}"
            document.report(("grids", grid.method, ", ".join(axis.names)), problem)
        axes.append(Axis((*axis.names, rule.name), tuple((*row, sizes[row[place]]) for row in axis.rows), note))
    if "prompt_length" not in rest:
        size = rule.size(rest)
        if size < 1:
            document.report(("grids", grid.method), f"there is no {rule.name} for {rule.circumstances}: raise budget")
        axes.append(Axis((rule.name,), ((size,),), note))
    return tuple(axes)


def multiply(axes: Sequence[Axis], method: Method, sizes: Sizes) -> tuple[tuple[Configuration, ...], int]:
    """The grid's configurations, the first axis slowest, each once, and how many equal ones were dropped.

    Equal are those that train the same (`trials.methods.Method.effective`): the first of them stays.

    Args:
        axes: the dimensions.
        method: whose grid it is; configurations hold its hyperparameters in its order.
        sizes: of the backbone, with the input length.
    """
    names = [name for axis in axes for name in axis.names]
    shown = [name for name in method.hyperparameters if name in names]
    unique: dict[tuple[tuple[str, Value], ...], Configuration] = {}
    for rows in itertools.product(*(axis.rows for axis in axes)):
        values = dict(zip(names, itertools.chain(*rows), strict=True))
        configuration = {name: values[name] for name in shown}
        unique.setdefault(tuple(method.effective(configuration, sizes).items()), configuration)
    return tuple(unique.values()), _points(axes) - len(unique)


def _points(axes: Iterable[Axis]) -> int:
    return math.prod(len(axis.rows) for axis in axes)


def _read_rows(
    document: Document,
    path: tuple[Key, ...],
    names: tuple[str, ...],
    value: object,
    rules: Mapping[str, Hyperparameter],
) -> list[tuple[Value, ...]]:
    """The rows of one axis that keep the rules; the others are reported."""
    if value is None or value in ([], {}):
        document.report(path, f"the axis is empty; needed is {rule(rules[names[0]])}, or a list of such")
        return []
    if len(names) == 1:
        if not isinstance(value, list):
            cell = _read_cell(document, path, rules[names[0]], value)
            return [] if cell is None else [(cell,)]
        cells = [_read_cell(document, (*path, place), rules[names[0]], item) for place, item in enumerate(value)]
        return [(cell,) for cell in cells if cell is not None]
    if not isinstance(value, list):
        document.report(path, f"a joint axis is a list of rows [{', '.join(names)}], but {show(value)}")
        return []
    rows = []
    for place, item in enumerate(value):
        if not isinstance(item, list) or len(item) != len(names):
            needed = f"a row has {len(names)} values, [{', '.join(names)}]"
            document.report((*path, place), f"{needed}, but {show(item)}")
            continue
        cells = [
            _read_cell(document, (*path, place, column), rules[name], item[column]) for column, name in enumerate(names)
        ]
        row = tuple(cell for cell in cells if cell is not None)
        if len(row) == len(names):
            rows.append(row)
    return rows


def _read_cell(document: Document, path: tuple[Key, ...], its: Hyperparameter, value: object) -> Value | None:
    try:
        return read(its, value)
    except ValueError as error:
        hint = ""
        if value == FROM_BUDGET:
            sized = declared(str(path[1])).sized
            hint = f"; from_budget stands alone: `{sized}: from_budget`" if sized else f"; {path[1]} has no use for it"
        document.report(path, f"{error}{hint}")
        return None
