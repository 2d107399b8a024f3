"""Nights paired over the rows of the test split, all seeds of a cell together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.nights.night import Cell, SeedScore
from orchestrator.record.binomial import PROPORTIONS
from orchestrator.store.predictions import Answers, read_predictions
from orchestrator.summarizer.results.row_tests import PERMUTATIONS, paired, unpaired

Reader = Callable[[str], Mapping[int, Answers]]
"""Path of kept predictions -> the answers of each trial in it."""


@dataclass(frozen=True)
class RowEvidence:
    """A one-sided test over test rows that a cell is not better (or worse) than it was.

    Attributes:
        n: rows, or groups of rows. name: of the test. is_paired: whether both answered the same rows.
    """

    p: float
    n: int
    name: str
    is_paired: bool


@dataclass
class KeptAnswers:
    """The answers that earlier nights kept; each file is read once."""

    read: Reader = read_predictions
    _files: dict[str, Mapping[int, Answers]] = field(default_factory=dict)

    def of(self, one: SeedScore) -> Answers | None:
        """A training's answers; None where they are not kept."""
        if not one.predictions:
            return None
        if one.predictions not in self._files:
            self._files[one.predictions] = self.read(one.predictions)
        return self._files[one.predictions].get(one.trial)

    def evidence(
        self, now: Sequence[Cell], before: Sequence[Cell], direction: int, chance: float
    ) -> RowEvidence | None:
        """Test that ``now`` is not better (``direction`` 1) or not worse (-1) than ``before``.

        Args:
            now, before: nights of one cell; the last of ``before`` stands in where there are fewer.
            chance: the smallest p of interest: tests by permutation go on until they can tell it.

        Returns:
            None where nothing is known of the rows.
        """
        sides = [*before, *([before[-1]] * (len(now) - len(before)))]
        pairs = [
            (new, old)
            for one, other in zip(now, sides, strict=True)
            for new in one.scores
            for old in other.scores
            if new.seed == old.seed
        ]
        answers = [(self.of(new), self.of(old)) for new, old in pairs]
        known = [(new, old) for new, old in answers if new is not None and old is not None and new.same_rows(old)]
        metric = now[-1].metric
        difference = math.fsum(new.score - old.score for new, old in pairs)
        if known and len(known) == len(pairs):
            new_side, old_side = [new for new, _ in known], [old for _, old in known]
            test = paired(new_side, old_side, metric)
            if chance < test.p / 2 <= _FLOOR:
                test = paired(new_side, old_side, metric, permutations=math.ceil(10 / chance))
            return RowEvidence(_one_sided(test.p, difference, direction), test.n, test.name, True)
        if pairs and metric in PROPORTIONS:
            new, old = pairs[-1]
            test = unpaired(new.score, old.score, new.n)
            return RowEvidence(_one_sided(test.p, difference, direction), test.n, test.name, False)
        return None


_FLOOR = 2 / (1 + PERMUTATIONS)


def _one_sided(p: float, difference: float, direction: int) -> float:
    return p / 2 if difference * direction > 0 else 1 - p / 2
