"""Loads a search space: finds its file, checks all of it, and multiplies out the grid of one method."""

from pathlib import Path
from typing import Any

from search_spaces.budget import BudgetRule
from search_spaces.documents import Document, Key, read_document
from search_spaces.grids import Grid, apply_budget, multiply, read_grid
from search_spaces.hyperparameters import BUDGET, SETTINGS, declared, methods, read, unknown_method
from search_spaces.problems import SpaceError, closest, did_you_mean, listing, show
from search_spaces.shipped import locate
from search_spaces.spaces import Settings, Space
from trials.methods import Sizes

_KEYS = ["about", "source", "settings", "budget", "grids"]
_REQUIRED_KEYS = ["settings", "grids"]


def load_space(
    name_or_file: str | Path,
    *,
    method: str,
    d_model: int,
    max_source_length: int = 256,
    asked_length: int | None = None,
) -> Space:
    """Reads, checks and multiplies out the grid of one method.

    The whole file is checked, the grids of other methods too, but for those that are slow to check (PEFT's tuners: the
    package takes seconds to import); `from_budget` is worked out for this method alone.

    Args:
        name_or_file: a shipped space's name (`space_names`) or a YAML file.
        method: a method's name (`methods`).
        d_model: width of the backbone's embeddings.
        max_source_length: tokens to which inputs are padded, for sizes that depend on it: the task's; a file that sets
            it goes first.
        asked_length: the same as the user asks for it: it goes before the file.

    Raises:
        SpaceError: with everything that is wrong, each with file, line, key, value, rule and the likely fix.
        ValueError: a width or a length below 1.
    """
    length = max_source_length if asked_length is None else asked_length
    if d_model < 1 or length < 1:
        raise ValueError(f"d_model and max_source_length are at least 1, but are {d_model} and {length}")
    file = locate(name_or_file)
    document = read_document(file)
    if not isinstance(document.data, dict):
        content = "the file is empty" if document.data is None else f"a space is a mapping, but {show(document.data)}"
        raise SpaceError([*document.problems, f"{document.name}:1: {content}; it needs {' and '.join(_REQUIRED_KEYS)}"])
    _check_keys(document, (), _KEYS, _REQUIRED_KEYS, kind="key of a space")
    settings = _read_settings(document)
    budget = _read_budget(document)
    if asked_length is None and settings and settings.max_source_length:
        length = settings.max_source_length
    grids = _read_grids(document, method)
    about, source = _read_text(document, "about"), _read_source(document, method, list(grids))
    grid = grids.get(method, Grid(method))
    axes, sizes = grid.axes, Sizes(d_model, length)
    if grid.by_budget:
        axes = apply_budget(document, grid, BudgetRule(declared(method), sizes, budget))
    if document.problems or settings is None:
        raise SpaceError(document.problems)
    configurations, duplicates = multiply(axes, declared(method), sizes)
    sized = declared(method).sized if grid.by_budget else None
    return Space(
        name=file.stem,
        about=about,
        source=source,
        method=method,
        settings=settings,
        axes=axes,
        configurations=configurations,
        duplicates=duplicates,
        budget=budget,
        sized=sized,
    )


def _check_keys(
    document: Document, path: tuple[Key, ...], known: list[str], required: list[str], kind: str
) -> dict[str, Any]:
    """The mapping at `path`, after its unknown and missing keys were reported; empty where it is none."""
    mapping = document.data
    for key in path:
        mapping = mapping.get(key)
    if not isinstance(mapping, dict):
        document.report(path, f"a mapping is needed here, but {show(mapping)}; it holds {listing(known)}")
        return {}
    unknown = [key for key in mapping if key not in known]
    for key in unknown:
        document.report((*path, key), f"{key!r} is no {kind} ({listing(known)}){did_you_mean(key, known)}")
    meant = {closest(key, known) for key in unknown}
    for key in required:
        if key not in mapping and key not in meant:
            document.report(path, f"{key} is missing")
    return mapping


def _read_settings(document: Document) -> Settings | None:
    if "settings" not in document.data:
        return None
    rules = SETTINGS
    required = [name for name, rule in rules.items() if rule.required]
    given = _check_keys(document, ("settings",), list(rules), required, kind="setting")
    values: dict[str, Any] = {}
    for name, rule in rules.items():
        if name not in given or (given[name] is None and not rule.required):
            continue
        try:
            values[name] = read(rule, given[name])
        except ValueError as error:
            document.report(("settings", name), str(error))
    if any(name not in values for name in required):
        return None
    settings = Settings(**values)
    for name, problem in settings.problems().items():
        document.report(("settings", name), problem)
    return settings


def _read_budget(document: Document) -> int:
    """The file's budget in rows; the default where there is none, or none that can be used."""
    try:
        return int(read(BUDGET, document.data.get("budget", BUDGET.default)))
    except ValueError as error:
        document.report(("budget",), str(error))
        return int(BUDGET.default or 0)


def _read_grids(document: Document, method: str) -> dict[str, Grid]:
    """The file's grids by method; the method asked for is one of them, or that is reported."""
    if method not in methods():
        document.found.append((0, unknown_method(method)))
    if "grids" not in document.data:
        return {}
    given = _check_keys(document, ("grids",), methods(), [], kind="method")
    grids = {}
    for name in methods():
        if name in given:
            try:
                unread = name != method and declared(name).slow_to_check
                grids[name] = Grid(name) if unread else read_grid(document, declared(name))
            except SpaceError as error:
                for problem in error.problems:
                    document.report(("grids", name), problem)
    if not given and isinstance(document.data["grids"], dict):
        document.report(("grids",), f"no grid is given; a grid stands under its method ({listing(methods())})")
    elif given and method in methods() and method not in {closest(name, methods()) for name in given}:
        document.report(("grids",), f"no grid for the method {method!r}; this space has {listing(given)}")
    return grids


def _read_source(document: Document, method: str, given: list[str]) -> str:
    """`source` is one text for all grids, or a text a method."""
    if not isinstance(document.data.get("source"), dict):
        return _read_text(document, "source")
    by_method = _check_keys(document, ("source",), given, [], kind="method of this space")
    for name, text in by_method.items():
        if not isinstance(text, str):
            document.report(("source", name), f"{show(text)}; needed is text")
    return str(by_method.get(method, ""))


def _read_text(document: Document, key: str) -> str:
    value = document.data.get(key, "")
    if not isinstance(value, str):
        document.report((key,), f"{show(value)}; needed is text")
        return ""
    return value
