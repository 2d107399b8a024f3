"""What a search has found: a winner that has learnt something, or nothing. Every writer's headline comes from here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from orchestrator.record import formats
from orchestrator.record.binomial import CORRELATIONS, PROPORTIONS
from orchestrator.record.record import SearchRecord, TestResult
from orchestrator.record.selection import TOLERANCE, Choice, choose_winner
from orchestrator.record.status import TrialStatus
from orchestrator.summarizer.results.published import metric_key

ALPHA = 0.05
"""Level of the one-sided tests."""

Verdict = Literal["learnt", "not confirmed", "tie", "nothing learnt", "not known", "no winner"]

_INDEPENDENCE = "one-sided chi-square test of independence"
_NO_CORRELATION = "one-sided normal test of no correlation"
_TESTS = {"pearson": _NO_CORRELATION, "spearman": _NO_CORRELATION}
"""Of correlations, of which n times the square is chi-square where answers and targets are independent; else that."""


@dataclass(frozen=True)
class WinnerCheck:
    """Whether a search has found more than an answer that never looks at the input.

    Attributes:
        verdict: ``learnt``: the winner's validation score is above the constant best answer's beyond noise. ``not
            confirmed``: so it is, but its test score is not. ``tie``: it is, but all trials of the full budget have the
            same score, so nothing was learnt of their configurations. ``nothing learnt``: it is not above. ``not
            known``: the record lacks a constant answer's score, or the number of examples.
        headline: the verdict in one or two sentences, to stand above everything else.
        constant: the constant best answer's validation score, in points; None where it is not known.
        p: one-sided, of the validation score against it, after Bonferroni's correction for the choice of the best
            trial; None where there is none.
        test: what ``p`` is of, in words.
    """

    verdict: Verdict
    headline: str
    constant: float | None = None
    p: float | None = None
    test: str = ""

    @property
    def title(self) -> str:
        """The verdict as a heading."""
        return {"tie": "No trial to prefer", "not confirmed": "Not confirmed on test"}.get(
            self.verdict, self.verdict.capitalize()
        )

    @property
    def recommended(self) -> bool:
        """Whether the winner may be recommended without reserve."""
        return self.verdict in ("learnt", "not known")


def check_winner(record: SearchRecord, choice: Choice | None = None) -> WinnerCheck:
    """Judge the winner's scores against those of the constant best answer, and the trials against each other."""
    choice = choice or choose_winner(record)
    best = choice.winner
    if best is None:
        return WinnerCheck("no winner", choice.note)
    name, tie = f"trial {best.number}", _tie(record)
    score = choice.candidates[0].mean if choice.candidates else best.best_score or 0.0
    constant, n = record.majority.get("validation"), record.sizes.get("validation")
    if constant is None or not n:
        text = (
            f"Take {name}. Whether it has learnt anything is not known: the record has no score of a constant answer."
        )
        return WinnerCheck("tie", tie, constant) if tie else WinnerCheck("not known", text, constant)
    trials = sum(trial.may_win for trial in record.own_trials)
    p, test = above(score, constant, n, record.metric)
    p = min(1.0, p * max(1, trials))
    test += f", corrected for the choice of the best of {trials} trials (Bonferroni)" if trials > 1 else ""
    label = metric_key(record.metric) if record.metric in CORRELATIONS else record.metric
    figures = f"validation {label} {formats.score(score)}"
    of_constant = f"the constant best answer's {formats.score(constant)}"
    how = f"(p {formats.probability(p)}, {test})"
    if p > ALPHA:
        text = f"Nothing was learnt: {name}, the best, has {figures}, not above {of_constant} beyond noise {how}."
        return WinnerCheck("nothing learnt", f"{text} {tie}".strip(), constant, p, test)
    found = f"{figures}, above {of_constant} {how}"
    doubt = _not_confirmed(record, label)
    if doubt:
        return WinnerCheck("not confirmed", f"Do not rely on {name}: it has {found}; but {doubt}", constant, p, test)
    if tie:
        return WinnerCheck("tie", f"{tie} All have {found}.", constant, p, test)
    return WinnerCheck("learnt", f"Take {name}: {found}.", constant, p, test)


def above(score: float, constant: float, n: int, metric: str) -> tuple[float, str]:
    """The one-sided p of a score on n examples if no more than the constant best answer were known, and the test.

    Proportions: exact binomial. Correlations: n times the square is chi-square with one degree of freedom where answers
    and targets are independent (Pearson's and Spearman's: for large n). Other metrics (F1) have no such law: they are
    taken for proportions.
    """
    from scipy.stats import binomtest, norm

    if not math.isfinite(score):
        return 1.0, "a score that is no number is above nothing"
    if metric in CORRELATIONS:
        return float(norm.sf((score - constant) / 100.0 * math.sqrt(n))), _TESTS.get(metric, _INDEPENDENCE)
    share, least = min(max(score / 100.0, 0.0), 1.0), min(max(constant / 100.0, 0.0), 1.0)
    p = float(binomtest(round(share * n), n, least, alternative="greater").pvalue) if least < 1.0 else 1.0
    kind = "one-sided exact binomial test"
    return p, kind if metric in PROPORTIONS else f"{kind} as if {metric} were a proportion of {n:,} examples"


def _not_confirmed(record: SearchRecord, label: str) -> str:
    constant = record.majority.get("test")
    tests = record.tests
    if constant is None or not tests or not tests[0].n:
        return ""
    score = math.fsum(test.score for test in tests) / len(tests)
    p, test = above(score, constant, _rows(tests), record.metric)
    if p <= ALPHA:
        return ""
    return (
        f"its test {label} {formats.score(score)} is not above the constant best answer's {formats.score(constant)} "
        f"beyond noise (p {formats.probability(p)}, {test})."
    )


def _rows(tests: list[TestResult]) -> int:
    return min(test.n for test in tests)  # every seed is tested on the same rows: more seeds are no more examples


def _tie(record: SearchRecord) -> str:
    """The sentence where all trials that trained the whole budget have one score; empty otherwise."""
    whole = [t for t in record.own_trials if t.status is TrialStatus.FINISHED and t.best_score is not None]
    scores = [trial.best_score or 0.0 for trial in whole]
    if len(whole) < 2 or max(scores) - min(scores) > TOLERANCE:
        return ""
    return (
        f"All {len(whole)} trials that trained the full budget tie at {formats.score(scores[0])}: nothing was learnt "
        "of which configuration is the best, and the one named is only the first by the rule for ties (earlier best "
        "step, fewer parameters, lower number)."
    )
