from __future__ import annotations

import random
import re
import string

import pytest
from sklearn import metrics as sk

from trials.tasks.metrics import METRICS, compute, value_of_one_example
from trials.tasks.targets import alternatives

OF_LABELS = [name for name, metric in METRICS.items() if "labels" in metric.kinds]


def drawn(classes: str, n: int = 200) -> tuple[list[str], list[str]]:
    source = random.Random(0)
    targets = [source.choice(classes) for _ in range(n)]
    return [t if source.random() < 0.7 else source.choice(classes) for t in targets], targets


def test_each_metric_agrees_with_scikit_learn() -> None:
    predictions, targets = drawn("01")
    found = compute(OF_LABELS, predictions, targets)
    numbers, wanted = [int(p) for p in predictions], [int(t) for t in targets]
    assert found["accuracy"] == pytest.approx(100 * sk.accuracy_score(wanted, numbers))
    assert found["matthews_correlation"] == pytest.approx(100 * sk.matthews_corrcoef(wanted, numbers))
    assert found["f1"] == pytest.approx(100 * sk.f1_score(wanted, numbers))
    assert found["f1_macro"] == pytest.approx(100 * sk.f1_score(wanted, numbers, average="macro"))


def test_by_hand() -> None:
    predictions, targets = ["1", "1", "0", "0", "1"], ["1", "0", "0", "1", "1"]
    found = compute(OF_LABELS, predictions, targets)
    # TP 2, FP 1, FN 1, TN 1
    assert found["accuracy"] == pytest.approx(60.0)
    assert found["f1"] == pytest.approx(100 * 4 / 6)
    assert found["f1_macro"] == pytest.approx(100 * (4 / 6 + 2 / 4) / 2)
    assert found["matthews_correlation"] == pytest.approx(100 * (2 * 1 - 1 * 1) / (3 * 3 * 2 * 2) ** 0.5)


def test_white_space_does_not_count() -> None:
    assert compute(["accuracy"], [" 1", "0\n"], ["1", "0 "])["accuracy"] == 100.0


def test_an_answer_that_is_no_label_is_wrong_in_binary_f1_whatever_its_target() -> None:
    # "x" on a 1 counts as 0 (a miss), "" on a 0 counts as 1 (a false alarm): TP 1, FP 1, FN 1.
    assert METRICS["f1"](["1", "x", "", "0"], ["1", "1", "0", "0"], None) == pytest.approx(50.0)


def test_an_answer_that_is_no_label_helps_no_class_of_macro_f1() -> None:
    # Class 0: TP 1, FN 1 -> 2/3. Class 1: TP 2 -> 1. "x" is no third class of F1 0.
    assert METRICS["f1_macro"](["0", "x", "1", "1"], ["0", "0", "1", "1"], None) == pytest.approx(100 * (2 / 3 + 1) / 2)


@pytest.mark.parametrize("wrong", ["0", "1", "2", "x"], ids=["seen", "seen too", "absent", "no label"])
def test_macro_f1_averages_over_the_tasks_classes_as_published(wrong: str) -> None:
    """Class 2 is nowhere among the targets, as may be in 28 rows of CB: it counts as 0, not as left out."""
    predictions, targets = ["0", "1", "1", wrong], ["0", "0", "1", "1"]
    found = compute(["f1_macro"], predictions, targets, ["0", "1", "2"])["f1_macro"]
    # `mean_multiclass_f1(num_classes=3)` of the released code, on numbers
    numbers = [[{"x": -1}.get(text, text) for text in texts] for texts in (targets, predictions)]
    as_published = sk.fbeta_score(
        *(list(map(int, column)) for column in numbers), beta=1, labels=range(3), average="macro", zero_division=0
    )
    assert found == pytest.approx(100 * as_published)
    assert found < compute(["f1_macro"], predictions, targets)["f1_macro"]


def test_all_of_one_class_is_no_full_score_of_macro_f1_where_the_task_has_more() -> None:
    assert compute(["f1_macro"], ["a"] * 3, ["a"] * 3, ["a", " b"])["f1_macro"] == pytest.approx(50.0)
    # One of three right answers lost leaves F1 4/5 of one class of two.
    assert value_of_one_example("f1_macro", ["a"] * 3, ["a"] * 3, ["a", "b"]) == pytest.approx(100 * (1 - 4 / 5) / 2)


def test_constant_answers_have_matthews_correlation_zero() -> None:
    assert METRICS["matthews_correlation"](["1"] * 4, ["1", "0", "1", "1"], None) == 0.0


@pytest.mark.parametrize("metric", METRICS)
def test_lists_of_unequal_length_and_empty_lists_are_refused(metric: str) -> None:
    with pytest.raises(ValueError, match="2 predictions for 1"):
        METRICS[metric](["1", "0"], ["1"], None)
    with pytest.raises(ValueError, match="at least one"):
        METRICS[metric]([], [], None)


def test_binary_f1_refuses_other_labels() -> None:
    with pytest.raises(ValueError, match="binary"):
        METRICS["f1"](["2"], ["2"], None)


def test_one_example_of_accuracy_is_its_share() -> None:
    assert value_of_one_example("accuracy", ["1"] * 139, ["0"] * 139) == pytest.approx(100 / 139)


@pytest.mark.parametrize("metric", ["matthews_correlation", "f1", "f1_macro"])
def test_no_single_example_costs_more_than_the_value_of_one(metric: str) -> None:
    predictions, targets = drawn("01", 60)
    score = METRICS[metric](predictions, targets, None)
    flip = {"0": "1", "1": "0"}
    falls = [
        score - METRICS[metric]([*predictions[:i], flip[p], *predictions[i + 1 :]], targets, None)
        for i, p in enumerate(predictions)
        if p == targets[i]
    ]
    assert value_of_one_example(metric, predictions, targets) == pytest.approx(max(falls))
    assert max(falls) > 0


def test_the_value_of_one_example_where_nothing_is_right() -> None:
    # From perfect predictions, 3 ones and 1 zero: F1 falls most where the zero is lost (6/7), or a one is (4/5).
    assert value_of_one_example("f1", ["0", "0", "0", "1"], ["1", "1", "1", "0"]) == pytest.approx(100 * (1 - 4 / 5))


def test_the_value_of_one_example_where_all_targets_are_equal() -> None:
    assert value_of_one_example("f1_macro", ["2", "2"], ["2", "2"]) == pytest.approx(100 * (1 - 2 / 3))


def test_texts_are_compared_as_squads_script_compares_them() -> None:
    given, gold = ["The  Cat!", "big dog", "", "a"], ["cat", "the dog, a dog", "x", "the"]
    # 1; one word of two common: P 1/2, R 1/2; nothing; both are empty once normalised
    assert METRICS["exact_match"](given, gold) == pytest.approx(100 * 2 / 4)
    assert METRICS["token_f1"](given, gold) == pytest.approx(100 * (1 + 1 / 2) / 4)


def squads_script(prediction: str, golds: list[str]) -> tuple[float, float]:
    """Exact match and F1 of one question, 0 to 1, by SQuAD 1.1's definition, with token lists in place of counters."""

    def words(text: str) -> list[str]:
        text = re.sub("[" + re.escape(string.punctuation) + "]", "", text.lower())
        return re.sub(r"\b(a|an|the)\b", " ", text).split()

    def f1(given: list[str], gold: list[str]) -> float:
        same = sum(min(given.count(word), gold.count(word)) for word in set(given))
        if not same:
            return 0.0
        precision, recall = same / len(given), same / len(gold)
        return 2 * precision * recall / (precision + recall)

    given = words(prediction)
    return max(float(given == words(gold)) for gold in golds), max(f1(given, words(gold)) for gold in golds)


def test_one_and_several_right_answers_are_scored_by_squads_definition() -> None:
    source = random.Random(1)
    pieces = ["the", "A", "an", "cat", "Cat's", "cat.", "dog", "北京", "naïve", "$5", "5", "--", "", "\u00a0", "theory"]

    def text() -> str:
        return " ".join(source.choice(pieces) for _ in range(source.randrange(5)))

    rows = [(text(), [text() for _ in range(source.randrange(1, 4))]) for _ in range(400)]
    given = [prediction for prediction, _ in rows]
    kept = [[gold for gold in dict.fromkeys(g.strip() for g in golds) if gold] or [""] for _, golds in rows]
    found = compute(["exact_match", "token_f1"], given, [alternatives(golds) for _, golds in rows])
    wanted = [squads_script(prediction, golds) for prediction, golds in zip(given, kept, strict=True)]
    assert found["exact_match"] == pytest.approx(100 * sum(em for em, _ in wanted) / len(rows))
    assert found["token_f1"] == pytest.approx(100 * sum(f1 for _, f1 in wanted) / len(rows))
    alone = compute(["exact_match", "token_f1"], given, [golds[0] for golds in kept])
    assert found["exact_match"] > alone["exact_match"] and found["token_f1"] > alone["token_f1"]


@pytest.mark.parametrize("seed", range(20))
def test_metrics_of_labels_agree_with_scikit_learn_whatever_is_answered(seed: int) -> None:
    """Garbage, blanks, one class only, classes that never occur: by the rules of the released code's `metrics.py`."""
    source = random.Random(seed)
    classes = ["0", "1", "2"][: 2 + seed % 2]
    targets = [source.choice(classes[: 1 + seed % 3]) for _ in range(40)]
    given = [source.choice([*classes, "", "x", "01", "nan"]) for _ in targets]
    found = compute(["accuracy", "f1_macro", "matthews_correlation"], given, targets, classes)
    assert found["accuracy"] == pytest.approx(100 * sk.accuracy_score(targets, given))
    macro = sk.fbeta_score(targets, given, beta=1, labels=classes, average="macro", zero_division=0)
    assert found["f1_macro"] == pytest.approx(100 * macro)
    assert found["matthews_correlation"] == pytest.approx(100 * sk.matthews_corrcoef(targets, given))
    if set(targets) <= {"0", "1"}:  # `f1_score_with_invalid`, lines 96 to 113
        numbers = [int(p) if p in ("0", "1") else 1 - int(t) for p, t in zip(given, targets, strict=True)]
        binary = sk.f1_score(list(map(int, targets)), numbers, zero_division=0)
        assert METRICS["f1"](given, targets) == pytest.approx(100 * binary)


def test_a_group_counts_once() -> None:
    given, gold, groups = ["x", "x", "z", "1"], ["x", "y", "w", "1"], ["a", "a", "b", "c"]
    found = compute(["best_exact_match", "group_accuracy", "accuracy"], given, gold, None, groups)
    assert found["best_exact_match"] == pytest.approx(100 * 2 / 3)  # a is met by one of its answers
    assert found["group_accuracy"] == pytest.approx(100 * 1 / 3)  # but not in all of them
    assert found["accuracy"] == pytest.approx(50.0)
    assert value_of_one_example("group_accuracy", given, gold, None, groups) == pytest.approx(100 / 3)
    assert value_of_one_example("accuracy", given, gold, None, groups) == pytest.approx(25.0)


def test_correlations_read_numbers_and_take_garbage_for_less_than_the_least() -> None:
    from scipy.stats import pearsonr, spearmanr

    gold, given = ["0.0", "1.5", "3.0", "5.0"], ["0.5", "1.0", "some", "4.8"]
    numbers = [0.5, 1.0, -1.0, 4.8]  # -1, as the released code has it
    assert METRICS["pearson"](given, gold) == pytest.approx(100 * pearsonr(numbers, [0.0, 1.5, 3.0, 5.0])[0])
    assert METRICS["spearman"](given, gold) == pytest.approx(100 * spearmanr(numbers, [0.0, 1.5, 3.0, 5.0])[0])
    assert METRICS["pearson"](["nan", "inf", "1_0", ""], gold) == 0.0  # all garbage: a constant
    assert value_of_one_example("pearson", gold, gold) > 0
