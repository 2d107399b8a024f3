"""Whether a night is worse than the nights before it and the champions: `judge`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from orchestrator.nights.gate.champion import against_champion
from orchestrator.nights.gate.followed import Followed, comparable
from orchestrator.nights.gate.quantities import MEASURES
from orchestrator.nights.gate.rows import KeptAnswers, Reader
from orchestrator.nights.night import Cell, CellKey, CellStatus, Night
from orchestrator.nights.verdict import Finding, Outcome, Quantity, Verdict
from orchestrator.store.predictions import read_predictions
from orchestrator.sweep.rules import GateRules


def judge(
    night: Night,
    earlier: Sequence[Night],
    champions: Mapping[CellKey, Cell],
    rules: GateRules,
    read: Reader = read_predictions,
) -> Verdict:
    """Compare a night with those before it and with the champions.

    Deterministic; the only files read are kept answers, through ``read``.

    Args:
        earlier: nights of the same sweep, in any order; those from ``night`` on are not looked at.
        champions: as they were before this night.
        read: path of kept predictions -> answers of each trial; nothing where there are none.

    Returns:
        A finding for each quantity of each cell, worse ones first; one alone for a cell that was not measured.
    """
    before = sorted((one for one in earlier if one.date < night.date), key=lambda one: one.date)
    kept = KeptAnswers(read)
    found = [
        finding
        for cell in night.cells
        for finding in _of_cell(night, cell, before, champions.get(cell.key), rules, kept)
    ]
    order = list(Outcome)
    return Verdict(sorted(found, key=lambda one: order.index(one.outcome)))


def _of_cell(
    night: Night, cell: Cell, before: Sequence[Night], champion: Cell | None, rules: GateRules, kept: KeptAnswers
) -> Iterator[Finding]:
    if cell.status is not CellStatus.MEASURED:
        outcome = Outcome.FAILED if cell.status is CellStatus.FAILED else Outcome.NOT_COMPARED
        reason = {
            CellStatus.FAILED: "failed",
            CellStatus.NOT_RUN: "not run",
            CellStatus.TAKEN_OVER: f"taken over from {cell.measured_on or 'an earlier night'}, so it says nothing new",
        }[cell.status]
        why = f"{cell.key}: {reason}" + (f": {cell.why}" if cell.why else "")
        yield Finding(key=cell.key, quantity=Quantity.SCORE, outcome=outcome, sentence=f"{why}.")
        return
    nights, apart = comparable(night, cell, before)
    for quantity in MEASURES:
        followed = Followed(quantity, nights, len(night.cells), rules, kept, apart)
        finding = followed.finding()
        if quantity is Quantity.SCORE and champion is not None and finding.outcome is not Outcome.WORSE:
            finding = against_champion(finding, followed, champion, rules, kept)
        yield finding
