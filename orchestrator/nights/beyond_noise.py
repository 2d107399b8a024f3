"""Whether a night's winner is better than the champion beyond noise: of the test rows, and of training itself.

A champion is challenged each night. At the usual 5 % it would change hands every few weeks with nothing better about
the winner, and each time the luckier of two scores would stay, which later nights are then measured against. So the
level is stricter, and a difference must also be more than two trainings of the same thing differ by, where that is
known.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from orchestrator.nights.gate.training_noise import seed_squares
from orchestrator.nights.night import Cell, CellKey, CellStatus, Night
from orchestrator.record import formats
from orchestrator.summarizer.results.found_search import FoundSearch
from orchestrator.summarizer.results.groups import make_groups
from orchestrator.summarizer.results.paired_groups import GroupPair, compared_pairs

LEVEL, NOISE_LEVEL = 0.01, 0.05
"""Two-sided p at and below which a winner counts as better: over test rows or seeds, and against the noise of training
(which is known from few nights, so that its t asks for more). What they lead to: `benchmarks/champion_rates.py`."""

LEAST_NIGHTS = 5  # scores of trainings, from which their noise is estimated
_MEDIAN_STEP = 0.9539  # of the size of the difference of two normal values, in standard deviations of one


@dataclass(frozen=True, kw_only=True)
class Margin:
    """A winner less the champion.

    Attributes:
        difference: in points. before, now: mean scores over the seeds that both have.
        n: test rows, or seeds where the test is over seeds. p: of that test.
        noise_p: of the test against the noise of training; 0 where that is not known.
        test: their names, each with its p.
    """

    difference: float
    before: float
    now: float
    n: int
    p: float
    noise_p: float
    test: str

    @property
    def is_better(self) -> bool:
        """Whether the difference is beyond noise."""
        return self.difference > 0 and self.p <= LEVEL and self.noise_p <= NOISE_LEVEL

    @property
    def words(self) -> str:
        """From what to what, n, the tests."""
        change = f"{formats.score(self.before)} to {formats.score(self.now)}"
        return f"{change} ({formats.score(self.difference, signed=True)}, n {self.n:,}; {self.test})"


@dataclass(frozen=True)
class TrainingNoise:
    """How much the score of one training of the same thing differs from that of another.

    Attributes:
        sd: standard deviation of the mean over seeds, in points. freedom: degrees of freedom of that estimate.
        source: what it was found from, in words.
    """

    sd: float
    freedom: int
    source: str

    def p(self, difference: float) -> float:
        """Two-sided, of a difference of two such scores (Student's t)."""
        if self.sd == 0.0:
            return 0.0 if difference else 1.0
        from scipy.stats import t

        return float(2 * t.sf(abs(difference) / (math.sqrt(2) * self.sd), self.freedom))


def margin(winner: FoundSearch, champion: FoundSearch, nights: TrainingNoise | None) -> Margin | str:
    """Compare two searches on the seeds that both have; why not, where they cannot be compared.

    Args:
        nights: the noise from night to night; None where too few are known: then that of the seeds, if there are some.
    """
    sides = [make_groups([search])[0] for search in (champion, winner)]
    if not all(sides):
        return "one of them has no test score"
    pair = GroupPair(sides[0][0], sides[1][0])
    if pair.first.metric != pair.second.metric:
        return f"one was measured by {pair.first.metric}, the other by {pair.second.metric}"
    compared, reasons = compared_pairs([pair])
    if not compared:
        return next(iter(reasons.values())).partition("not compared, ")[2].rstrip(".")
    one = compared[0]
    name = one.test or f"sign-flip test over {one.pairs} seeds"
    tests, against = [f"{name}, p {formats.probability(one.p)}"], 0.0
    scores = pair.first.scores(), pair.second.scores()
    seeds = sorted(scores[0].keys() & scores[1].keys())
    noise = nights or seed_noise([[side[seed] for seed in seeds] for side in scores])
    if noise is not None:
        against = noise.p(one.difference)
        tests.append(
            f"against the noise of training, {noise.sd:.1f} points {noise.source}, p {formats.probability(against)}"
        )
    before = statistics.fmean(scores[0][seed] for seed in seeds)
    return Margin(
        difference=one.difference,
        before=before,
        now=before + one.difference,
        n=one.rows or one.pairs,
        p=one.p,
        noise_p=against,
        test="; ".join(tests),
    )


def night_noise(key: CellKey, nights: Sequence[Night]) -> TrainingNoise | None:
    """The noise of a cell's score from the steps between the nights that trained it; None where those are too few.

    The median size of a step: a regression that came and went is two large steps among many.
    """
    cells = [night.cell(key) for night in sorted(nights, key=lambda night: night.started)]
    scores = [score for cell in cells if (score := _trained(cell)) is not None]
    if len(scores) < LEAST_NIGHTS:
        return None
    steps = [abs(one - other) for one, other in pairwise(scores)]
    sd = statistics.median(steps) / _MEDIAN_STEP
    # Half of the steps: neighbours share a score, and a median uses less of them than a mean of squares does.
    return TrainingNoise(sd, max(len(steps) // 2, 2), f"from {len(scores)} nights")


def seed_noise(sides: Sequence[Sequence[float]]) -> TrainingNoise | None:
    """The noise of a mean over seeds from how the seeds of both sides differ; None of single seeds."""
    squares, freedom = seed_squares(sides)
    if not freedom:
        return None
    return TrainingNoise(math.sqrt(squares / freedom), freedom, f"from {len(sides[0])} seeds")


def _trained(cell: Cell | None) -> float | None:
    return cell.score if cell is not None and cell.status is CellStatus.MEASURED else None
