"""Metrics over the decoded texts of predictions and targets, 0 to 100 (correlations: -100 to 100), greater is better.

Definitions follow `src/metrics.py` of ADePT's released code; scikit-learn and SciPy compute them.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from trials.errors import did_you_mean
from trials.tasks.targets import KINDS, Kind, as_number, right_answers

Classes = Sequence[str] | None
"""All target texts of a task; None where they are not known: then those that occur among the targets."""

Groups = Sequence[str] | None
"""What each example belongs to; None: each stands for itself."""


def matthews_correlation(predictions: Sequence[str], targets: Sequence[str], classes: Classes = None) -> float:
    """Matthews correlation of the texts; a prediction that is no label counts as a class of its own. Constant: 0."""
    from sklearn.metrics import matthews_corrcoef

    return 100.0 * float(matthews_corrcoef(list(targets), list(predictions)))


def f1(predictions: Sequence[str], targets: Sequence[str], classes: Classes = None) -> float:
    """Binary F1 of the class "1". A prediction other than "0" and "1" counts as the opposite of its target."""
    from sklearn.metrics import f1_score

    opposite = {"0": "1", "1": "0"}
    if not set(targets) <= set(opposite):
        raise ValueError(f"f1 is binary: its targets are '0' and '1', not {sorted(set(targets))}")
    read = [p if p in opposite else opposite[t] for p, t in zip(predictions, targets, strict=True)]
    return 100.0 * float(f1_score(list(targets), read, pos_label="1", zero_division=0.0))


def f1_macro(predictions: Sequence[str], targets: Sequence[str], classes: Classes = None) -> float:
    """Mean of the F1 of each of the task's classes; a prediction that is no label helps no class.

    A class that is absent, from the targets or from both, counts as 0: the released code averages over
    ``labels=range(num_classes)``, whatever occurs (`mean_multiclass_f1`), which is also what makes two splits, or two
    halves of one, comparable.
    """
    from sklearn.metrics import f1_score

    known = sorted(set(targets).union(classes or ()))
    return 100.0 * float(f1_score(list(targets), list(predictions), labels=known, average="macro", zero_division=0.0))


def pearson(predictions: Sequence[str], targets: Sequence[str], classes: Classes = None) -> float:
    """Pearson's correlation of the numbers that the texts spell; 0 where one side is constant.

    A prediction that is no number counts as 1 below the least target: -1 where that is 0, as in the released code.
    """
    return _correlation("pearsonr", predictions, targets)


def spearman(predictions: Sequence[str], targets: Sequence[str], classes: Classes = None) -> float:
    """Spearman's correlation of the ranks of the numbers; see `pearson`."""
    return _correlation("spearmanr", predictions, targets)


def _correlation(name: str, predictions: Sequence[str], targets: Sequence[str]) -> float:
    from scipy import stats

    wanted = [as_number(t) for t in targets]
    if any(map(math.isnan, wanted)):
        raise ValueError(f"{name} needs targets that are numbers")
    least = min(wanted) - 1.0
    read = [least if math.isnan(number := as_number(p)) else number for p in predictions]
    if len(set(read)) == 1 or len(set(wanted)) == 1:
        return 0.0
    return 100.0 * float(getattr(stats, name)(read, wanted)[0])


_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalised(text: str) -> str:
    """A text as SQuAD's script compares it: small letters, no punctuation, no articles, single blanks."""
    plain = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(_ARTICLES.sub(" ", plain).split())


def same_text(prediction: str, target: str) -> float:
    """1 where both are equal once they are `normalised`; of several right answers, one of them."""
    given = normalised(prediction)
    return float(any(given == normalised(gold) for gold in right_answers(target)))


def shared_tokens(prediction: str, target: str) -> float:
    """F1 of the words that both have once they are `normalised`, with their numbers of occurrences.

    Of several right answers, the one with the highest F1 counts, as in SQuAD's own script; nothing in common is 0, also
    where both are empty.
    """
    given = normalised(prediction).split()
    return max(_shared(given, normalised(gold).split()) for gold in right_answers(target))


def _shared(given: Sequence[str], gold: Sequence[str]) -> float:
    common = (Counter(given) & Counter(gold)).total()
    return 2.0 * common / (len(given) + len(gold)) if common else 0.0


def passes(prediction: str, target: str) -> float:
    """1 where a program that continues its prompt passes its tests, which are run in a sandbox (`trials.sandbox`)."""
    return all_pass([prediction], [target])[0]


def all_pass(predictions: Sequence[str], targets: Sequence[str]) -> list[float]:
    """`passes` of many: side by side on the cores of this machine, and equal ones once.

    Raises:
        SandboxError: there is no sandbox on this machine, so that nothing was run.
    """
    from trials.sandbox.run import Check
    from trials.sandbox.verdicts import verdicts

    checks = [Check.of(right_answers(t)[-1], p) for p, t in zip(predictions, targets, strict=True)]
    return [float(verdict.passed) for verdict in verdicts(checks)]


@dataclass(frozen=True)
class Metric:
    """A metric, called with predictions, targets, and if they are known the task's classes and groups.

    Attributes:
        whole: computed over all examples at once; None where `by_row` says it.
        by_row: of one prediction and its target, 0 to 1; the metric is its mean.
        over: of a group's rows, what counts for it; the metric is the mean over groups. None: over examples.
        kinds: of targets that it is for.
        binary: needs the target texts "0" and "1".
        verbatim: blanks at the ends of an answer count.
        by_rows: `by_row` of many at once, where that is faster.
        constants: answers of which the best is the best constant answer; none: the task's answers, or its targets.
    """

    whole: Callable[[Sequence[str], Sequence[str], Classes], float] | None = None
    by_row: Callable[[str, str], float] | None = None
    over: Callable[[Sequence[float]], float] | None = None
    kinds: tuple[Kind, ...] = ("labels",)
    binary: bool = False
    verbatim: bool = False
    by_rows: Callable[[Sequence[str], Sequence[str]], list[float]] | None = None
    constants: tuple[str, ...] = ()

    def read(self, texts: Sequence[str]) -> list[str]:
        """Predictions, or targets, as they are compared: without white space at their ends, unless it counts."""
        return list(texts) if self.verbatim else [text.strip() for text in texts]

    def __call__(
        self, predictions: Sequence[str], targets: Sequence[str], classes: Classes = None, groups: Groups = None
    ) -> float:
        """The value. Raises ValueError: no example, or not as many predictions (or groups) as targets."""
        if len({len(predictions), len(targets), len(targets if groups is None else groups)}) != 1:
            raise ValueError(f"{len(predictions)} predictions for {len(targets)} targets")
        if not targets:
            raise ValueError("a metric needs at least one example")
        if self.whole is not None:
            return self.whole(predictions, targets, classes)
        scores = self.scores(predictions, targets, groups)
        return 100.0 * math.fsum(scores) / len(scores)

    def scores(self, predictions: Sequence[str], targets: Sequence[str], groups: Groups = None) -> list[float]:
        """What the metric is the mean of, 0 to 1: of each example, or of each group in order of appearance.

        Raises:
            TypeError: the metric is no mean.
        """
        if self.by_row is None:
            raise TypeError("a metric over all examples at once has no scores of single ones")
        if self.by_rows is not None:
            rows = self.by_rows(predictions, targets)
        else:
            rows = [self.by_row(p, t) for p, t in zip(predictions, targets, strict=True)]
        if self.over is None or groups is None:
            return rows
        of_group: dict[str, list[float]] = defaultdict(list)
        for group, score in zip(groups, rows, strict=True):
            of_group[group].append(score)
        return [self.over(scores) for scores in of_group.values()]

    def units(self, groups: Groups, rows: int) -> int:
        """How many things it counts: the examples, or their groups."""
        return rows if self.over is None or groups is None else len(set(groups))


def _equal(prediction: str, target: str) -> float:
    return float(prediction == target or prediction in right_answers(target))


METRICS: dict[str, Metric] = {
    "accuracy": Metric(by_row=_equal, kinds=KINDS),
    "matthews_correlation": Metric(matthews_correlation),
    "f1": Metric(f1, binary=True),
    "f1_macro": Metric(f1_macro),
    # A group is right where all its examples are, such as all answers of a question (MultiRC's exact match).
    "group_accuracy": Metric(by_row=_equal, over=min),
    "pearson": Metric(pearson, kinds=("number",)),
    "spearman": Metric(spearman, kinds=("number",)),
    "exact_match": Metric(by_row=same_text, kinds=("text",)),
    "token_f1": Metric(by_row=shared_tokens, kinds=("text",)),
    # A group has several right answers to one source: the best of them counts (SQuAD's and ReCoRD's own scripts).
    "best_exact_match": Metric(by_row=same_text, over=max, kinds=("text",)),
    "best_token_f1": Metric(by_row=shared_tokens, over=max, kinds=("text",)),
    # Share of problems whose first answer passes all their tests.
    "pass_at_1": Metric(by_row=passes, by_rows=all_pass, kinds=("code",), verbatim=True, constants=("    pass\n",)),
}


def unfit(
    names: Sequence[str], kind: Kind, answers: Sequence[str], grouped: bool, known: Mapping[str, Metric] | None = None
) -> list[str]:
    """Why metrics are none for a target: a sentence each.

    Args:
        answers: all target texts, where they are a closed set.
        grouped: whether the task's examples belong to groups.
        known: metrics by name; None: `METRICS`.
    """
    known = METRICS if known is None else known
    fit = ", ".join(name for name, metric in known.items() if kind in metric.kinds)
    problems = []
    for name in names:
        if name not in known:
            problems.append(f"no metric '{name}'{did_you_mean(name, known)}; it is one of {fit}")
        elif kind not in known[name].kinds:
            problems.append(f"{name} is for {' or '.join(known[name].kinds)}; for {kind} it is one of {fit}")
        elif known[name].binary and answers and set(answers) != {"0", "1"}:
            shown = ", ".join(answers)
            problems.append(f"{name} is binary: it needs the target texts '0' and '1', found {shown}")
        elif known[name].over is not None and not grouped:
            problems.append(f"{name} looks at groups: `group` names the column that says which rows are one")
    return problems


def compute(
    metrics: Sequence[str],
    predictions: Sequence[str],
    targets: Sequence[str],
    classes: Classes = None,
    groups: Groups = None,
) -> dict[str, float]:
    """The value of each metric; white space around texts does not count (but see `Metric.verbatim`).

    Args:
        classes: the task's (`Task.answers`), whether they occur or not.
        groups: what each example belongs to.

    Raises:
        KeyError: a metric of another name.
        ValueError: no example, or not as many predictions as targets.
    """
    known = _stripped(classes)
    return {
        name: METRICS[name](METRICS[name].read(predictions), METRICS[name].read(targets), known, groups)
        for name in metrics
    }


def value_of_one_example(
    metric: str, predictions: Sequence[str], targets: Sequence[str], classes: Classes = None, groups: Groups = None
) -> float:
    """How far the score falls, in points, when one right prediction turns wrong.

    100 / n where the metric is a mean over n examples or groups. For the other metrics it depends on the class, so it
    is measured: one right prediction of each class is turned into each other class (of numbers, into the least and the
    greatest), and the largest fall counts, so that no difference that one example can make is called a gain. Where no
    prediction is right, the fall is measured from perfect predictions.
    """
    score_of = METRICS[metric]
    read, wanted = score_of.read(predictions), score_of.read(targets)
    if score_of.by_row is not None:
        return 100.0 / score_of.units(groups, len(wanted))
    score = score_of(read, wanted, known := _stripped(classes), groups)
    occurring = sorted(set(wanted))
    if "number" in score_of.kinds:
        occurring = sorted({min(wanted, key=as_number), max(wanted, key=as_number)})
    right = {t: i for i, (p, t) in reversed(list(enumerate(zip(read, wanted, strict=True)))) if p == t}
    if not right:
        read, right = list(wanted), {label: wanted.index(label) for label in occurring}
        score = score_of(read, wanted, known, groups)
    falls = [0.0]
    for label, place in right.items():
        for other in [c for c in occurring if c != label] or [""]:
            changed = [*read[:place], other, *read[place + 1 :]]
            falls.append(score - score_of(changed, wanted, known, groups))
    return max(falls)


def _stripped(classes: Classes) -> Classes:
    return None if classes is None else [c.strip() for c in classes]
