"""Statistics of scores over seeds: means with intervals, and tests between methods on the same seeds.

scipy does the work. Scores and differences are in points.

Three seeds are usual in this field and are few: a sign-flip test of n pairs has 2^n outcomes, so its smallest two-sided
p is 2 / 2^n (0.25 for three), and resampling three numbers sees no value outside their range. Intervals are therefore
Student's where a sample is small, and every p comes with the smallest that it could have become.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LEVEL = 0.95
ALPHA = 1.0 - LEVEL
RESAMPLES = 9_999
# Resampling fewer values than this sees too little of their tails, whatever is done about the interval's level.
BOOTSTRAP_FROM = 8
_SEED = 20_250_103  # resampling must not give another table each time; the value means nothing

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SeedEstimate:
    """The mean over seeds.

    Attributes:
        sd: standard deviation with n - 1; None for one value.
        low, high: 95 % interval of the mean; None for one value.
    """

    mean: float
    n: int
    sd: float | None = None
    low: float | None = None
    high: float | None = None


def estimate(values: Sequence[float]) -> SeedEstimate:
    """Mean, standard deviation and Student's 95 % interval of the mean.

    Equal values have no interval: one of width 0 would claim a certainty that a few rounded scores do not give.

    Raises:
        ValueError: no value, or one that is not finite.
    """
    sample = _finite(values)
    mean = float(sample.mean())
    if sample.size == 1:
        return SeedEstimate(mean, 1)
    from scipy.stats import t

    sd = float(sample.std(ddof=1))
    if _equal(sample):
        return SeedEstimate(mean, int(sample.size), sd)
    half = float(t.ppf(0.5 + LEVEL / 2, sample.size - 1)) * sd / math.sqrt(sample.size)
    return SeedEstimate(mean, int(sample.size), sd, mean - half, mean + half)


def sign_flip(strata: Sequence[Sequence[float]]) -> float:
    """The two-sided p of the sign-flip permutation test that no mean difference exists in any stratum.

    The statistic is the mean over strata of each stratum's mean difference; under the null hypothesis each pair could
    as well have been the other way round. All 2^n sign patterns are counted where they are at most 9,999, else that
    many are drawn, the observed one among them, so p is never below its true level.

    Args:
        strata: differences, one sequence a task.
    """
    from scipy.stats import permutation_test

    samples = [_finite(stratum) for stratum in strata]
    weighted = np.concatenate([sample / (sample.size * len(samples)) for sample in samples])

    def total(differences: Values, axis: int = -1) -> Values:
        return np.sum(differences, axis=axis)

    if weighted.size == 1 or not weighted.any():
        return 1.0  # a single pair could point either way, and ties everywhere leave nothing to flip
    result = permutation_test(
        (weighted,),
        total,
        permutation_type="samples",
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(_SEED),
    )
    return float(result.pvalue)


def smallest_p(pairs: int) -> float:
    """The p of ``sign_flip`` if all pairs pointed the same way."""
    return min(1.0, 2.0 / 2.0**pairs) if pairs * math.log10(2) < math.log10(RESAMPLES) else 2.0 / (RESAMPLES + 1)


def difference_interval(strata: Sequence[Sequence[float]]) -> tuple[float, float, str] | None:
    """A 95 % interval of the mean over strata of the mean difference, and what it is.

    From 8 pairs in every stratum on: the stratified bootstrap. Below: Student's, with Welch and
    Satterthwaite's degrees of freedom over strata; for one stratum this is the paired t interval. None where a stratum
    has a single pair, or where nothing varies in any.
    """
    samples = [_finite(stratum) for stratum in strata]
    if min(sample.size for sample in samples) < 2 or all(_equal(sample) for sample in samples):
        return None
    if min(sample.size for sample in samples) >= BOOTSTRAP_FROM:
        low, high = stratified_bootstrap(samples, _mean_of_means)
        return low, high, "bootstrap"
    from scipy.stats import t

    center = float(np.mean([sample.mean() for sample in samples]))
    parts = np.array([sample.var(ddof=1) / sample.size for sample in samples]) / len(samples) ** 2
    variance = float(parts.sum())
    freedom = variance**2 / float(sum(p**2 / (s.size - 1) for p, s in zip(parts, samples, strict=True)))
    half = float(t.ppf(0.5 + LEVEL / 2, freedom)) * math.sqrt(variance)
    return center - half, center + half, "t"


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: adjusted p values in the order given."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, reached = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        reached = max(reached, min(1.0, (len(order) - rank) * p_values[place]))
        adjusted[place] = reached
    return adjusted


def interquartile_mean(by_task: Mapping[str, Sequence[float]]) -> tuple[float, float | None, float | None]:
    """The mean of the middle half of all (task, seed) scores and its 95 % stratified bootstrap interval.

    As in Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice" (NeurIPS 2021): seeds
    are resampled within each task. There is no interval where a task has a single seed, or where
    no task's seeds differ.
    """
    samples = [_finite(values) for values in by_task.values()]
    center = float(_trimmed(*samples))
    if min(sample.size for sample in samples) < 2 or all(_equal(sample) for sample in samples):
        return center, None, None
    low, high = stratified_bootstrap(samples, _trimmed)
    return center, low, high


def stratified_bootstrap(samples: Sequence[Values], statistic: object) -> tuple[float, float]:
    """The expanded percentile interval when each sample is resampled on its own.

    A plain percentile interval of n values is too narrow, as if the standard deviation were divided by n and Student's
    t were normal: five normal values are covered 87 % of the time. Its level is raised by as much as makes up for both
    (Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician, 2015).
    """
    from scipy.stats import DegenerateDataWarning, bootstrap, norm, t

    smallest = min(sample.size for sample in samples)
    quantile = t.ppf(0.5 + LEVEL / 2, sum(sample.size - 1 for sample in samples))
    level = 1.0 - 2.0 * float(norm.sf(math.sqrt(smallest / (smallest - 1)) * quantile))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)  # ties everywhere: an interval of width 0 is right
        result = bootstrap(
            samples,
            statistic,
            n_resamples=RESAMPLES,
            vectorized=True,
            paired=False,
            confidence_level=level,
            method="percentile",
            rng=np.random.default_rng(_SEED),
        )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def expected_best(scores: Sequence[float]) -> list[float]:
    """The expected best of k scores drawn without replacement, for k from 1 to all of them.

    The unbiased estimator of Tang et al., "Showing Your Work Doesn't Always Work" (ACL 2020), equation 6: the j-th
    smallest of n scores is the best of k in C(j - 1, k - 1) of the C(n, k) subsets.
    """
    if not len(scores):
        return []
    from scipy.special import gammaln

    ordered = np.sort(_finite(scores))
    n = ordered.size
    below = np.arange(n, dtype=float)  # j - 1
    expected = []
    for k in range(1, n + 1):
        reachable = below >= k - 1
        lower = below[reachable]
        # Logarithms: C(1000, 500) has 300 digits.
        logs = gammaln(lower + 1) - gammaln(k) - gammaln(lower - k + 2)
        logs -= gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
        weights = np.exp(logs)
        expected.append(float(np.average(ordered[reachable], weights=weights)))
    return expected


def _mean_of_means(*samples: Values, axis: int = -1) -> Values:
    return np.mean([sample.mean(axis=axis) for sample in samples], axis=0)


def _trimmed(*samples: Values, axis: int = -1) -> Values:
    from scipy.stats import trim_mean

    return trim_mean(np.concatenate(samples, axis=axis), 0.25, axis=axis)


def _equal(sample: Values) -> bool:
    return bool(np.ptp(sample) < 1e-9)


def _finite(values: Sequence[float] | Values) -> Values:
    sample = np.asarray(values, dtype=float)
    if sample.ndim != 1 or not sample.size or not np.isfinite(sample).all():
        raise ValueError(f"a list of finite numbers is needed, not {values!r}")
    return sample
