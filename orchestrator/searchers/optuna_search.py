"""Which configuration to try next: Optuna's samplers over a search space, rebuilt at every suggestion.

What a searcher proposes follows from its seed, the number of the trial and the reports of the trials before. It
keeps no other memory, so that a search that was killed proposes what it would have proposed.
"""

from __future__ import annotations

import itertools
import math
import random
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.record.kept_data import SOURCES_KEPT, rows_differ
from orchestrator.record.record import SearchRecord, TrialRecord
from orchestrator.record.status import TrialStatus
from orchestrator.searchers.distributions import Distributions
from orchestrator.searchers.random_start import drawn_by_chance
from search_spaces import Configuration
from trials.config import FIRST_REVISION

if TYPE_CHECKING:
    import optuna
    from optuna.samplers import BaseSampler

ALGORITHMS = ("grid", "random", "tpe", "gp")
_ATTEMPTS = 100  # draws to find a configuration that is new, before those that are left are looked for one by one
_LEFT = 1000  # of those that are left, one is chosen among so many


@dataclass
class Tried:
    """What is known of one configuration.

    Attributes:
        score: its best validation score so far, in points; None before the first.
        step: updates behind that.
        status: where it stands.
    """

    configuration: Configuration
    score: float | None = None
    step: int = 0
    status: TrialStatus = TrialStatus.RUNNING

    @classmethod
    def of(cls, trial: TrialRecord) -> Tried:
        """What a record says of a trial."""
        return cls(dict(trial.configuration), trial.best_score, trial.step, trial.status)


@dataclass
class ConfigurationSearch:
    """Proposes the configurations of one search.

    Args:
        distributions: where from. They must hold as many different configurations as there are samples, and
            `orchestrator.plan.resolve` refuses a search where they do not.
        algorithm: one of `ALGORITHMS`. ``grid`` proposes the space's own configurations in an order drawn from the
            seed; ``random`` draws from its `Distributions`, ``tpe`` and ``gp`` learn where to draw (Optuna's
            multivariate tree-structured Parzen estimator and Gaussian process).
        samples: trials at most.

    Attributes:
        tried: by trial number.
        earlier: configurations of earlier searches of the same kind, with their scores.
        first: configurations to try before any other.
    """

    distributions: Distributions
    algorithm: str
    seed: int
    samples: int
    tried: dict[int, Tried] = field(default_factory=dict)
    earlier: list[Tried] = field(default_factory=list)
    first: list[Configuration] = field(default_factory=list)

    def ask(self) -> tuple[int, Configuration] | None:
        """Number and configuration of the next trial, which counts as running from now on; None when all are out.

        A grid's numbers are the places of its configurations, from 1; others count up.
        """
        if len(self.tried) >= self.samples:
            return None
        found = self._of_the_grid() if self.algorithm == "grid" else self._drawn(max(self.tried, default=0) + 1)
        if found is not None:
            self.tried[found[0]] = Tried(found[1])
        return found

    def tell(self, number: int, score: float | None, step: int, status: TrialStatus = TrialStatus.RUNNING) -> None:
        """A trial reported its best score so far (None: it has none), waits, or has ended."""
        tried = self.tried[number]
        tried.score = score if score is not None and math.isfinite(score) else tried.score
        tried.step, tried.status = step, status

    def hear(self, number: int, result: Mapping[str, Any], status: TrialStatus) -> None:
        """The same from a report, or from nothing: then the last one stands."""
        self.tell(number, result.get("best_score"), int(result.get("step", self.tried[number].step)), status)

    def take_up(self, trials: Iterable[TrialRecord]) -> None:
        """Know again what a resumed search has recorded, the numbers as they were."""
        for trial in sorted(trials, key=lambda trial: trial.number):
            self.tried[trial.number] = Tried.of(trial)

    def learn_from(self, records: Sequence[SearchRecord], like: SearchRecord) -> list[str]:
        """Begin with what earlier searches of the same method have found.

        Where task, data, backbone, recipe, metric, budget and start are the same, their scores count as this search's
        own: a few-shot search and one from a source score otherwise.
        Scores of other tasks, or on other rows, are on another scale; their winners are tried first instead.

        Args:
            like: the record of this search, with or without trials.

        Returns:
            What was taken from where, a sentence each.
        """
        sentences = []
        for record in records:
            if record.method != like.method:
                sentences.append(f"{record.name}: of another method ({record.method}), not used")
                continue
            known = [Tried.of(t) for t in record.own_trials if t.best_score is not None]
            inside = [tried for tried in known if self.distributions.parameters(tried.configuration) is not None]
            best = max(
                (t for t in inside if t.status is TrialStatus.FINISHED), key=lambda t: t.score or 0.0, default=None
            )
            alike = _kind(record) == _kind(like)
            other = rows_differ(record, like) if alike else ""
            if alike and not other:
                self.earlier += inside
                sentences.append(
                    f"{record.name}: {len(inside)} of its {len(record.trials)} trials count as tried before"
                )
            elif best is not None and best.configuration not in self.first:
                self.first.append(best.configuration)
                why = f"of other data ({other}), so its scores do not count; " if other else ""
                sentences.append(f"{record.name}: {why}its best configuration is tried first")
            else:
                sentences.append(f"{record.name}: nothing that this space holds and that is new")
        return sentences

    def _of_the_grid(self) -> tuple[int, Configuration] | None:
        numbered = list(enumerate(self.distributions.space.configurations, start=1))
        order = random.Random(self.seed).sample(numbered, len(numbered))
        return next(((number, dict(c)) for number, c in order if number not in self.tried), None)

    def _drawn(self, number: int) -> tuple[int, Configuration]:
        taken = [self.distributions.effective(tried.configuration) for tried in self.tried.values()]

        def new(configuration: Configuration) -> bool:
            return self.distributions.effective(configuration) not in taken

        allowed = (c for c in self.first if new(c) and not self.distributions.refused(c))
        if (wanted := next(allowed, None)) is not None:
            return number, wanted
        with _quiet():
            study = self._study(number)
            for attempt in range(_ATTEMPTS):
                if attempt == _ATTEMPTS // 10:  # it insists on what was tried: leave it to chance
                    study.sampler = _sampler("random", self.seed, number, self.samples)
                configuration = self.distributions.configuration(study.ask(self.distributions.all).params)
                if new(configuration) and not self.distributions.refused(configuration):
                    return number, configuration
        left = [*itertools.islice(filter(new, self.distributions.different()), _LEFT)]
        if not left:
            raise ValueError(f"{self.samples} configurations are asked for, and the ranges hold {len(taken)}")
        return number, random.Random(_own_seed(self.seed, number)).choice(left)

    def _study(self, number: int) -> optuna.Study:
        import optuna

        study = optuna.create_study(
            direction="maximize", sampler=_sampler(self.algorithm, self.seed, number, self.samples)
        )
        known = [*self.earlier, *(self.tried[n] for n in sorted(self.tried))]
        scores = [tried.score for tried in known if tried.score is not None]
        for tried in known:
            parameters = self.distributions.parameters(tried.configuration)
            if parameters is not None:
                study.add_trial(self._trial(tried, parameters, min(scores, default=0.0)))
        return study

    def _trial(self, tried: Tried, parameters: dict[str, Any], worst: float) -> optuna.trial.FrozenTrial:
        import optuna
        from optuna.trial import TrialState

        score = tried.score if tried.status is not TrialStatus.DIVERGED else None
        value, state, reports = None, TrialState.RUNNING, {}
        if tried.status is TrialStatus.FINISHED and score is not None:
            value, state = score, TrialState.COMPLETE
        elif tried.status.is_over or tried.status is TrialStatus.WAITING:
            # A Gaussian process knows of nothing but values; Parzen's estimator ranks by step what was cut short.
            if self.algorithm == "gp":
                value, state = worst if score is None else score, TrialState.COMPLETE
            else:
                state = TrialState.PRUNED
                reports = {} if score is None else {tried.step: score}
        return optuna.trial.create_trial(
            state=state,
            value=value,
            params=parameters,
            distributions=self.distributions.all,
            intermediate_values=reports,
        )


def _sampler(algorithm: str, seed: int, number: int, samples: int) -> BaseSampler:
    from optuna.samplers import GPSampler, RandomSampler, TPESampler

    own_seed = _own_seed(seed, number)
    by_chance = drawn_by_chance(samples)
    if algorithm == "tpe":
        return TPESampler(
            seed=own_seed, n_startup_trials=by_chance, multivariate=True, constant_liar=True, n_ei_candidates=48
        )
    if algorithm == "gp":
        return GPSampler(seed=own_seed, n_startup_trials=by_chance, deterministic_objective=False)
    return RandomSampler(seed=own_seed)


def _own_seed(seed: int, number: int) -> int:
    """Each number has draws of its own, whatever was asked before."""
    return (seed * 1_000_003 + number) % 2**32


def _kind(record: SearchRecord) -> tuple[Any, ...]:
    """What must be equal for scores to be comparable."""
    revision = record.settings.get("trainer_revision", FIRST_REVISION)
    budget = record.settings.get("steps"), record.settings.get("shots")
    start = record.provenance.get(SOURCES_KEPT)
    return record.task, record.backbone, record.recipe, record.metric, budget, revision, start


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's account of each study and its notes on experimental features."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)
