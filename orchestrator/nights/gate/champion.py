"""A cell beside its champion: slow losses, each too small to be a change, add up against it."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.nights.gate.followed import Followed, differing
from orchestrator.nights.gate.level import CONFIRMED
from orchestrator.nights.gate.noise import one_beyond, step_spread
from orchestrator.nights.gate.quantities import CHAMPION
from orchestrator.nights.gate.rows import KeptAnswers
from orchestrator.nights.gate.sentences import probability
from orchestrator.nights.night import Cell
from orchestrator.nights.verdict import Finding, Outcome
from orchestrator.sweep.rules import GateRules


def against_champion(
    finding: Finding, followed: Followed, champion: Cell, rules: GateRules, kept: KeptAnswers
) -> Finding:
    """The finding as it was, or that the cell is worse than its champion: an alarm in the first night of that.

    Args:
        finding: of the comparison with earlier nights.
    """
    cell = followed.cell
    if champion.score is None or cell.score is None or differing(cell, champion):
        return finding
    chance = followed.limits.both * CHAMPION / followed.measure.both
    test = _worse(followed, len(followed.nights) - 1, champion, rules, kept, chance)
    if test is None:
        return finding
    since = followed.night.date
    already = False
    for number in reversed(range(len(followed.nights) - 1)):
        date = followed.nights[number][0].date
        if date <= champion.measured_on or _worse(followed, number, champion, rules, kept, chance) is None:
            break
        since, already = date, True
    if already and finding.outcome is Outcome.STANDING:
        return finding
    outcome = Outcome.STANDING if already or finding.outcome is Outcome.STANDING else Outcome.WORSE
    verb = "is still" if outcome is Outcome.STANDING else "is"
    when = f" of {champion.measured_on}" if champion.measured_on else ""
    sentence = (
        f"{cell.key}: {cell.metric or 'score'} {verb} worse than the champion's{when}: from "
        f"{champion.score:.2f} to {cell.score:.2f} points (n = {followed.cell_n:,}; {test}), since {since}."
    )
    return replace(
        finding, outcome=outcome, before=champion.score, now=cell.score, n=followed.cell_n, test=test, since=since,
        sentence=sentence,
    )  # fmt: skip


def _worse(
    followed: Followed, number: int, champion: Cell, rules: GateRules, kept: KeptAnswers, chance: float
) -> str | None:
    """The test by which a cell was worse than the champion in a night, by what was known then; None if it was not."""
    cell = followed.nights[number][1]
    loss = (champion.score or 0.0) - (cell.score or 0.0)
    if not cell.scores or loss < max(rules.points, 1e-6):
        return None
    known = [value for night, value in followed.level.values.items() if night <= number]
    noise = step_spread(known[-rules.window :], followed.limits.floor)
    early = noise is None
    noise = noise or followed.early(range(number + 1))
    p = one_beyond(loss, 1, noise)
    if p > chance:
        return None
    rows = kept.evidence([cell], [champion], -1, chance)
    if early and (rows is None or rows.p > chance):
        return None
    if rows is not None and rows.is_paired and rows.p > CONFIRMED:
        return None
    own = f"beyond the noise of {f'training, {noise.source}' if early else 'the nights'}, {probability(p)}"
    return f"{own}; {rows.name}: {probability(rows.p)}" if rows is not None else own
