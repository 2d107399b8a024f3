"""Nights and champions paired over the test rows that were kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.made_nights import answers, key, made_cell, made_night
from orchestrator.nights.gate.judge import judge
from orchestrator.nights.night import Cell, CellKey, Night, SeedScore
from orchestrator.nights.verdict import Finding, Outcome, Quantity
from orchestrator.store.predictions import Answers
from orchestrator.sweep.rules import GateRules

RULES, ROWS = GateRules(), 500


class Kept:
    """Answers that nights kept, in memory."""

    def __init__(self) -> None:
        self.files: dict[str, dict[int, Answers]] = {}
        self.reads: list[str] = []

    def cell(self, name: str, right: Sequence[np.ndarray], **more: Any) -> Cell:
        """A cell whose seeds answered so."""
        self.files[name] = {trial: answers(one.tolist()) for trial, one in enumerate(right)}
        scores = tuple(
            SeedScore(seed=seed, score=100.0 * float(one.mean()), n=len(one), predictions=name, trial=seed)
            for seed, one in enumerate(right)
        )
        return replace(made_cell(scores=()), scores=scores, **more)

    def read(self, path: str) -> Mapping[int, Answers]:
        self.reads.append(path)
        return self.files.get(path, {})


def score_of(kept: Kept, nights: Sequence[Night], champions: Mapping[CellKey, Cell] | None = None) -> Finding:
    verdict = judge(nights[-1], nights[:-1], champions or {}, RULES, kept.read)
    return next(one for one in verdict.findings if one.quantity is Quantity.SCORE)


def flipped(right: np.ndarray, lost: int, gained: int = 0) -> np.ndarray:
    """The same answers but for some that are wrong now, and some that are right now."""
    found = right.copy()
    found[np.flatnonzero(right)[:lost]] = False
    found[np.flatnonzero(~right)[:gained]] = True
    return found


RIGHT = np.random.default_rng(0).permutation(ROWS) < 425


def test_three_seeds_give_the_second_night_a_test() -> None:
    """Seeds say how much one training differs from another, and each row is there twice."""
    kept = Kept()
    first = made_night(0, [kept.cell("0", [flipped(RIGHT, lost) for lost in (0, 2, 4)])])
    lost = made_night(1, [kept.cell("1", [flipped(RIGHT, lost) for lost in (29, 30, 33)])])
    found = score_of(kept, [first, lost])
    assert found.outcome is Outcome.WORSE
    assert "over 500 test rows, 3 seeds together" in found.test
    assert "against the noise of training, 0.2 points from 3 seeds a night" in found.test
    as_many = made_night(1, [kept.cell("2", [flipped(RIGHT, 30, 30 - lost) for lost in (2, 4, 6)])])
    assert score_of(kept, [first, as_many]).outcome is Outcome.FINE


def test_one_seed_in_the_second_night_may_be_worse() -> None:
    """6 points are certain by the rows; whether code or chance made them, nobody knows yet: neither red nor green."""
    kept = Kept()
    first = made_night(0, [kept.cell("0", [RIGHT])])
    lost = made_night(1, [kept.cell("1", [flipped(RIGHT, 30)])])
    found = score_of(kept, [first, lost])
    assert found.outcome is Outcome.UNSURE
    assert "McNemar's exact test over 500 test rows" in found.test and "seeds: 3" in found.sentence
    cells = [replace(night.cells[0], updates_per_second=None, peak_memory=None) for night in (first, lost)]
    nights = [made_night(number, [cell]) for number, cell in enumerate(cells)]
    assert judge(nights[1], nights[:1], {}, RULES, kept.read).exit_code == 3
    champion = {key(): replace(first.cells[0], measured_on=first.date)}
    assert score_of(kept, [first, lost], champion).outcome is Outcome.UNSURE
    as_many = made_night(1, [kept.cell("2", [flipped(RIGHT, 30, 24)])])
    assert score_of(kept, [first, as_many]).outcome is Outcome.FINE


def test_a_large_loss_after_equal_nights_is_an_alarm() -> None:
    """Code whose numbers never changed has no noise of nights; 30 points are beyond any that may be assumed."""
    kept = Kept()
    nights = [made_night(number, [kept.cell("same", [RIGHT])]) for number in range(20)]
    assert (
        score_of(kept, [*nights, made_night(20, [kept.cell("lost", [flipped(RIGHT, 150)])])]).outcome is Outcome.WORSE
    )
    found = score_of(kept, [*nights, made_night(20, [kept.cell("less", [flipped(RIGHT, 75)])])])
    assert found.outcome is Outcome.UNSURE


def test_trainings_of_a_short_budget_raise_no_alarm_in_the_first_nights() -> None:
    """Scores of one configuration, trained 60 steps a night by code that only drew other random numbers."""
    kept, nights = Kept(), []
    for number, score in enumerate((39.0, 32.2, 33.4, 20.8)):
        right = np.random.default_rng(number).permutation(ROWS) < round(score * ROWS / 100)
        nights.append(made_night(number, [kept.cell(str(number), [right])]))
        assert score_of(kept, nights).outcome is not Outcome.WORSE


def test_equal_nights_do_not_make_a_harmless_change_of_rounding_an_alarm() -> None:
    """Twenty nights to the last answer, then another rounding: 1.2 points, but as many rows as not."""
    kept = Kept()
    nights = [made_night(number, [kept.cell("same", [RIGHT])]) for number in range(20)]
    nights += [made_night(20 + more, [kept.cell("other", [flipped(RIGHT, 21, 15)])]) for more in range(3)]
    outcomes = {score_of(kept, nights[: 20 + more]).outcome for more in (1, 2, 3)}
    assert outcomes == {Outcome.FINE}
    assert "every answer is the one of the night before" in score_of(kept, nights).sentence


def test_noise_that_is_larger_than_before_is_no_loss() -> None:
    """One night far below the others by the noise of the nights, which the rows do not confirm."""
    kept, dice = Kept(), np.random.default_rng(2)
    nights = []
    for number in range(12):
        changed = int(dice.integers(0, 3))
        nights.append(made_night(number, [kept.cell(str(number), [flipped(RIGHT, changed, 2 - changed)])]))
    nights += [made_night(12 + more, [kept.cell(f"b{more}", [flipped(RIGHT, 40, 28 - more)])]) for more in (0, 1)]
    assert score_of(kept, nights[:-1]).outcome is Outcome.FINE
    assert score_of(kept, nights).outcome is Outcome.FINE


def test_losses_too_small_to_be_seen_add_up_against_the_champion() -> None:
    kept = Kept()
    nights = [made_night(day, [kept.cell(str(day), [flipped(RIGHT, 2 * day + day % 2)])]) for day in range(16)]
    champion = {key(): nights[0].cells[0]}
    found = [score_of(kept, nights[: day + 1], champion) for day in range(3, 12)]
    outcomes = [one.outcome for one in found]
    assert outcomes.count(Outcome.WORSE) == 1
    first = outcomes.index(Outcome.WORSE)
    assert set(outcomes[:first]) == {Outcome.FINE}
    assert set(outcomes[first + 1 :]) == {Outcome.STANDING}
    assert "worse than the champion's: from 85.00 to 8" in found[first].sentence


def test_a_champion_of_other_data_is_no_measure() -> None:
    kept = Kept()
    night = made_night(0, [kept.cell("now", [flipped(RIGHT, 60)])])
    champion = kept.cell("champion", [RIGHT], parts={"data": "other"})
    assert score_of(kept, [night], {key(): champion}).outcome is Outcome.NOT_COMPARED


def test_each_file_of_answers_is_read_once() -> None:
    kept = Kept()
    nights = [made_night(day, [kept.cell(str(day), [flipped(RIGHT, 30 * day)])]) for day in range(4)]
    score_of(kept, nights, {key(): nights[0].cells[0]})
    assert len(kept.reads) == len(set(kept.reads))
