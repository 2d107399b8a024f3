"""Metrics over the decoded texts of predictions and targets, 0 to 100 (Matthews: -100 to 100), greater is better.

Definitions follow `src/metrics.py` of ADePT's released code; scikit-learn computes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

Classes = Sequence[str] | None
"""All target texts of a task; None where they are not known: then those that occur among the targets."""

Metric = Callable[[list[str], list[str], Classes], float]


def accuracy(predictions: list[str], targets: list[str], classes: Classes = None) -> float:
    """Share of predictions that equal their target text."""
    _check(predictions, targets)
    return 100.0 * sum(p == t for p, t in zip(predictions, targets, strict=True)) / len(targets)


def matthews_correlation(predictions: list[str], targets: list[str], classes: Classes = None) -> float:
    """Matthews correlation of the texts; a prediction that is no label counts as a class of its own. Constant: 0."""
    from sklearn.metrics import matthews_corrcoef

    _check(predictions, targets)
    return 100.0 * float(matthews_corrcoef(targets, predictions))


def f1(predictions: list[str], targets: list[str], classes: Classes = None) -> float:
    """Binary F1 of the class "1". A prediction other than "0" and "1" counts as the opposite of its target."""
    from sklearn.metrics import f1_score

    _check(predictions, targets)
    opposite = {"0": "1", "1": "0"}
    if not set(targets) <= set(opposite):
        raise ValueError(f"f1 is binary: its targets are '0' and '1', not {sorted(set(targets))}")
    read = [p if p in opposite else opposite[t] for p, t in zip(predictions, targets, strict=True)]
    return 100.0 * float(f1_score(targets, read, pos_label="1", zero_division=0.0))


def f1_macro(predictions: list[str], targets: list[str], classes: Classes = None) -> float:
    """Mean of the F1 of each of the task's classes; a prediction that is no label helps no class.

    A class that is absent, from the targets or from both, counts as 0: the released code averages over
    ``labels=range(num_classes)``, whatever occurs (`mean_multiclass_f1`), which is also what makes two splits, or two
    halves of one, comparable.
    """
    from sklearn.metrics import f1_score

    _check(predictions, targets)
    all_classes = sorted(set(targets).union(classes or ()))
    return 100.0 * float(f1_score(targets, predictions, labels=all_classes, average="macro", zero_division=0.0))


METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "matthews_correlation": matthews_correlation,
    "f1": f1,
    "f1_macro": f1_macro,
}
BINARY_METRICS = frozenset({"f1"})


def compute(
    metrics: Sequence[str], predictions: Sequence[str], targets: Sequence[str], classes: Classes = None
) -> dict[str, float]:
    """The value of each metric; white space around predictions, targets and classes does not count.

    Args:
        classes: the task's (`Task.targets`), whether they occur or not.

    Raises:
        KeyError: a metric of another name.
        ValueError: no example, or not as many predictions as targets.
    """
    read, wanted = [p.strip() for p in predictions], [t.strip() for t in targets]
    known = _stripped(classes)
    return {metric: METRICS[metric](read, wanted, known) for metric in metrics}


def value_of_one_example(
    metric: str, predictions: Sequence[str], targets: Sequence[str], classes: Classes = None
) -> float:
    """How far the score falls, in points, when one right prediction turns wrong.

    100 / n for accuracy. For the other metrics it depends on the class, so it is measured: one right prediction of each
    class is turned into each other class, and the largest fall counts, so that no difference that one example can make
    is called a gain. Where no prediction is right, the fall is measured from perfect predictions.
    """
    read, wanted = [p.strip() for p in predictions], [t.strip() for t in targets]
    _check(read, wanted)
    if metric == "accuracy":
        return 100.0 / len(wanted)
    known = _stripped(classes)
    occurring = sorted(set(wanted))
    right = {t: i for i, (p, t) in reversed(list(enumerate(zip(read, wanted, strict=True)))) if p == t}
    if not right:
        read, right = list(wanted), {label: wanted.index(label) for label in occurring}
    score = METRICS[metric](read, wanted, known)
    falls = [0.0]
    for label, place in right.items():
        for other in [c for c in occurring if c != label] or [""]:
            changed = [*read[:place], other, *read[place + 1 :]]
            falls.append(score - METRICS[metric](changed, wanted, known))
    return max(falls)


def _stripped(classes: Classes) -> Classes:
    return None if classes is None else [c.strip() for c in classes]


def _check(predictions: Sequence[str], targets: Sequence[str]) -> None:
    if len(predictions) != len(targets):
        raise ValueError(f"{len(predictions)} predictions for {len(targets)} targets")
    if not targets:
        raise ValueError("a metric needs at least one example")
