"""Planted histories, and what the gate has to find in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from benchmarks.made_nights import key, made_cell, made_night
from orchestrator.nights.gate.judge import judge
from orchestrator.nights.night import CellStatus, Night
from orchestrator.nights.verdict import Finding, Outcome, Quantity, Verdict
from orchestrator.sweep.rules import GateRules

RULES = GateRules()
CHANGED = 20


def nights_with(count: int = 30, seed: int = 0, **changes: Callable[[bool], dict[str, Any]]) -> list[Night]:
    """Quiet nights of one cell: scores differ by a third of a point, speeds by 1.5 %, memory by 1 %.

    Args:
        changes: ``cell`` or ``night``: whether the night is one after the change -> fields that differ.
    """
    dice, found = np.random.default_rng(seed), []
    for number in range(count):
        after = number >= CHANGED
        own = changes["cell"](after) if "cell" in changes else {}
        loss, slower = own.pop("loss", 0.0), own.pop("slower", 0.0)
        scores = 85.0 - loss + dice.normal(0, 0.33, 2)
        fields = {
            "updates_per_second": 100.0 * (1 - slower) * np.exp(dice.normal(0, 0.015)),
            "peak_memory": 2.0**30 * np.exp(dice.normal(0, 0.01)),
            **own,
        }
        whole = changes["night"](after) if "night" in changes else {}
        found.append(made_night(number, [made_cell(scores=scores, **fields)], **whole))
    return found


def verdict_of(nights: Sequence[Night], number: int = -1, rules: GateRules = RULES) -> Verdict:
    place = range(len(nights))[number]
    return judge(nights[place], nights[:place], {}, rules)


def of(verdict: Verdict, quantity: Quantity) -> Finding:
    return next(one for one in verdict.findings if one.quantity is quantity)


def alarms(nights: Sequence[Night], quantity: Quantity) -> list[int]:
    verdicts = {number: verdict_of(nights, number) for number in range(CHANGED, len(nights))}
    return [number for number, verdict in verdicts.items() if of(verdict, quantity) in verdict.worse]


def test_a_lost_score_is_an_alarm_once_and_is_mentioned_from_then_on() -> None:
    nights = nights_with(cell=lambda after: {"loss": 2.0 * after})
    found = alarms(nights, Quantity.SCORE)
    assert found in ([CHANGED], [CHANGED + 1])
    first = of(verdict_of(nights, found[0]), Quantity.SCORE)
    for text in ("task-0, adept on t5-nano", "accuracy from 84.99 to 82.", "n = 500", "p ", "commits", ".."):
        assert text in first.sentence
    assert first.since == nights[CHANGED].date
    assert first.commits == "0000000013..0000000014"
    later = verdict_of(nights)
    assert of(later, Quantity.SCORE).outcome is Outcome.STANDING
    assert later.exit_code == 0
    assert f"worse than before {nights[CHANGED].date}" in of(later, Quantity.SCORE).sentence


def test_a_tenth_slower_is_an_alarm_in_the_second_night() -> None:
    nights = nights_with(cell=lambda after: {"slower": 0.1 * after})
    assert alarms(nights, Quantity.SPEED) == [CHANGED + 1]
    found = of(verdict_of(nights, CHANGED + 1), Quantity.SPEED)
    assert found.since == nights[CHANGED].date
    assert "updates a second" in found.sentence


def test_a_machine_half_as_fast_is_none() -> None:
    nights = nights_with(
        cell=lambda after: {"slower": 0.5 * after}, night=lambda after: {"calibration": 5e8 if after else 1e9}
    )
    assert not alarms(nights, Quantity.SPEED)
    assert of(verdict_of(nights), Quantity.SPEED).outcome is Outcome.FINE


@pytest.mark.parametrize(("quantity", "field", "value"), [
    (Quantity.MEMORY, "peak_memory", 1.3 * 2**30),
    (Quantity.EFFICIENCY, "share_of_grid", 0.7),
])  # fmt: skip
def test_more_memory_and_more_steps_are_worse(quantity: Quantity, field: str, value: float) -> None:
    assert alarms(nights_with(cell=lambda after: {field: value} if after else {}), quantity) == [CHANGED + 1]


def test_nothing_compared_is_neither_green_nor_red() -> None:
    nights = nights_with()
    assert verdict_of(nights, 0).exit_code == 3
    assert "first night" in of(verdict_of(nights, 0), Quantity.SCORE).sentence
    assert judge(made_night(40, []), nights, {}, RULES).exit_code == 3
    for status, text in ((CellStatus.TAKEN_OVER, "taken over from 2026-01-30"), (CellStatus.NOT_RUN, "no time left")):
        cell = made_cell(status=status, measured_on="2026-01-30", why="no time left")
        verdict = judge(made_night(40, [cell]), nights, {}, RULES)
        assert (verdict.exit_code, [one.outcome for one in verdict.findings]) == (3, [Outcome.NOT_COMPARED])
        assert text in verdict.findings[0].sentence


def test_a_failed_cell_keeps_a_night_from_being_fine() -> None:
    nights = nights_with()
    broken = made_cell(1, (), status=CellStatus.FAILED, why="train.csv: line 7 is no row")
    verdict = judge(made_night(40, [made_cell(), broken]), nights, {}, RULES)
    assert verdict.exit_code == 3
    assert verdict.findings[0].key == key(1)
    assert "train.csv: line 7" in verdict.findings[0].sentence


def test_speeds_without_a_calibration_are_not_compared() -> None:
    nights = nights_with(night=lambda after: {"calibration": None if after else 1e9})
    found = of(verdict_of(nights), Quantity.SPEED)
    assert found.outcome is Outcome.NOT_COMPARED
    assert "calibration" in found.sentence


def test_nights_in_another_precision_are_not_compared() -> None:
    """Neither scores nor speeds, whatever chose it; of an older night the command says which it was."""

    def parts(after: bool) -> dict[str, Any]:
        return {"parts": {"data": "d", **({"precision": "bfloat16"} if after else {})}}

    nights = nights_with(cell=parts)
    for quantity in (Quantity.SCORE, Quantity.SPEED):
        found = of(verdict_of(nights, CHANGED), quantity)
        assert found.outcome is Outcome.NOT_COMPARED
        assert f"the precision (float32 to bfloat16) changed after {nights[CHANGED - 1].date}" in found.sentence
    same = {"command": "adept-search search --task rte --precision bfloat16"}
    nights = nights_with(cell=lambda after: parts(after) | same)
    assert of(verdict_of(nights, CHANGED), Quantity.SCORE).outcome is not Outcome.NOT_COMPARED


def test_scores_on_other_data_are_not_compared() -> None:
    nights = nights_with(cell=lambda after: {"parts": {"data": "other" if after else "d"}, "loss": 30.0 * after})
    found = of(verdict_of(nights, CHANGED), Quantity.SCORE)
    assert found.outcome is Outcome.NOT_COMPARED
    assert f"data changed after {nights[CHANGED - 1].date}" in found.sentence
    assert not alarms(nights, Quantity.SCORE)


def test_the_verdict_does_not_depend_on_the_order_of_earlier_nights() -> None:
    nights = nights_with(cell=lambda after: {"loss": 2.0 * after})
    assert judge(nights[-1], nights[::-1], {}, RULES) == verdict_of(nights)
