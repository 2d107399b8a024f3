"""Champions: the best adapter of each task and backbone, and of each method on it, as versions of a registered model.

Each night's winner of a task and backbone becomes a version of `adept-TASK-BACKBONE`. The alias `champion` moves to it
only where it is better than the champion beyond noise (`beyond_noise`), or where the champion cannot be run any more;
the alias `champion-METHOD` likewise, among the winners of one method. Methods compete by their validation scores, so
that a test score decides between one winner and one champion and nothing else: where the best of a night cannot be
registered, no other stands in for it. A person's choice stays until it is taken back, or cannot be run.

What the registry did not take is kept in the folder of the sweep and given to it again by the next night: of a night
that it took in part, the rest.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.nights.crowning import Crowning, Reign
from orchestrator.nights.kept_lists import read_list, write_list
from orchestrator.nights.night import Cell, CellKey, Night
from orchestrator.nights.verdict import Verdict
from orchestrator.tracking.registry import CHAMPION, Registry, RegistryError, champion_configurations, champion_of
from trials.errors import UserError

log = logging.getLogger(__name__)

PLACE = "champions"  # in the folder of a sweep
MOST_KEPT = 30  # nights of a sweep that wait for the registry
_KNOWN, _WAITING = "known.json", "waiting.json"
_LOST = "it is left out, and made anew"
_Nights = list[tuple[Night, Verdict]]


def champions(keys: Sequence[CellKey], tracking_uri: str | None, folder: Path) -> dict[CellKey, Cell]:
    """The champion of each cell that has one, as its night measured it; with its answers to the test rows.

    Args:
        folder: of the sweep. What was last known is kept there, and stands where the registry does not answer.
    """
    place = folder / PLACE
    known = {cell.key: cell for cell in read_list(place / _KNOWN, list[Cell], _LOST)}
    try:
        registry = Registry.open(tracking_uri)
        for key in keys:
            model = registry.model(key.task, key.backbone)
            version = None if model is None else registry.version(model, champion_of(key.method))
            cell = None if version is None else Reign(registry, place).cell(version)
            known = {other: kept for other, kept in known.items() if other != key} | ({key: cell} if cell else {})
    except UserError as error:
        log.warning("%s; the champions last known are taken: %d of %d", error, len(known.keys() & set(keys)), len(keys))
    else:
        write_list(place / _KNOWN, list[Cell], list(known.values()))
    return {key: known[key] for key in keys if key in known}


def configurations(keys: Sequence[CellKey], tracking_uri: str | None, folder: Path) -> dict[CellKey, Mapping[str, Any]]:
    """The hyperparameters of each cell's champion, where it has one; as `champions`, but nothing is kept.

    Args:
        folder: of the sweep.
    """
    try:
        found = champion_configurations(keys, tracking_uri) if keys else {}
    except UserError:
        known: list[Cell] = read_list(folder / PLACE / _KNOWN, list[Cell], _LOST)
        return {cell.key: cell.configuration for cell in known if cell.key in keys}
    return {CellKey(*key): configuration for key, configuration in found.items()}


def crown(
    night: Night, verdict: Verdict, *, tracking_uri: str | None, folder: Path, earlier: Sequence[Night] = ()
) -> list[Crowning]:
    """Write a night's winners into the registry and move the aliases that are theirs now; asked twice, it does it once.

    Nights that the registry did not take before come first. It never fails: what the registry refuses is logged, and
    kept for the next night.

    Args:
        verdict: what the gate found; its alarms are written into the versions.
        folder: of the sweep. earlier: nights of the history, from which the noise of training is known.

    Returns:
        What became of each alias, with the reason.
    """
    place = folder / PLACE
    waiting = [pair for pair in read_list(place / _WAITING, _Nights, _LOST) if pair[0].date != night.date]
    waiting.append((night, verdict))
    write_list(place / _WAITING, _Nights, waiting)  # before the first word to the registry: a kill loses no night
    found: list[Crowning] = []
    left: _Nights = []
    try:
        reign = Reign(Registry.open(tracking_uri), place)
    except UserError as error:
        log.warning("%s", error)
        _keep(place, waiting)
        return []
    for past, its in waiting:
        before = [one for one in earlier if one.started < past.started]
        refused: list[Cell] = []
        problems: list[str] = []
        for cells in _rivals(past).values():
            crowned, waits, why = _crowned(reign, past, its, cells, before)
            found, refused, problems = found + crowned, refused + waits, problems + why
        left += [(replace(past, cells=tuple(refused)), its)] if refused else []
        for problem in dict.fromkeys(problems):
            log.warning("champions of night %s: %s", past.date, problem)
    _keep(place, left)
    for one in found:
        if one.moved:
            log.info("%s", one.sentence)
    return found


def _crowned(
    reign: Reign, night: Night, verdict: Verdict, cells: Sequence[Cell], earlier: Sequence[Night]
) -> tuple[list[Crowning], list[Cell], list[str]]:
    """Let the winners of one task and backbone compete: each for its method's alias, the best one for the model's, too.

    Returns:
        What became of each alias; the cells that wait for a later night; why they do.
    """
    best = max(cells, key=lambda cell: -1.0 if cell.validation is None else cell.validation)
    in_turn = sorted(cells, key=lambda cell: cell is not best)
    found: list[Crowning] = []
    refused: list[Cell] = []
    problems = []
    for place, cell in enumerate(in_turn):
        aliases = [champion_of(cell.key.method), *([CHAMPION] if cell is best else [])]
        try:
            for crowning in reign.crown(night, verdict, cell, aliases, earlier):
                found.append(crowning)  # one by one: it has moved, whatever becomes of the next
        except RegistryError as error:  # it is away, or lets nobody write: each further question may wait as long
            problems.append(str(error))
            refused += in_turn[place:]
            break
        except Exception as error:  # of MLflow's many, or of a damaged search: the night's verdict still counts
            problems.append(str(error))
            refused.append(cell)
    # The best one waits with the others, though it was taken: else one of them would compete for all methods.
    return found, [cell for cell in cells if cell in refused or cell is best] if refused else [], problems


def _rivals(night: Night) -> Mapping[tuple[str, str], list[Cell]]:
    """The cells with scores by task and backbone, as the night has them."""
    found: dict[tuple[str, str], list[Cell]] = {}
    for cell in night.cells:
        if cell.status.has_scores and cell.score is not None:
            found.setdefault((cell.key.task, cell.key.backbone), []).append(cell)
    return {place: [replace(cell, measured_on=_date_of(cell, night)) for cell in c] for place, c in found.items()}


def _date_of(cell: Cell, night: Night) -> str:
    """Since when a winner can be a champion: a sweep's run may have any name, and dates are compared as texts."""
    return cell.measured_on if re.fullmatch(r"\d{4}-\d\d-\d\d", cell.measured_on) else night.date


def _keep(place: Path, nights: _Nights) -> None:
    """Let nights wait for the next one, the last of them where they are too many, and say so."""
    given_up, kept = nights[:-MOST_KEPT], nights[-MOST_KEPT:]
    write_list(place / _WAITING, _Nights, kept)
    if given_up:
        limit = f"no more than {MOST_KEPT} nights wait for the registry"
        log.warning("%s: the winners of %s are given up", limit, _named(given_up))
    if kept:
        log.warning("winners of %s are kept, and written into the registry by the next night", _named(kept))


def _named(nights: _Nights) -> str:
    return f"night {nights[0][0].date}" if len(nights) == 1 else f"{len(nights)} nights"
