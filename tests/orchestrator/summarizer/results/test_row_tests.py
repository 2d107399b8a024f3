"""Tests over test rows, and what `adept-search compare` ends with."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.store.predictions import Answers, read_predictions, row_ids, write_predictions
from orchestrator.summarizer.results import row_tests
from orchestrator.summarizer.results.found_search import FoundSearch
from orchestrator.summarizer.results.row_tests import paired, unpaired
from tests.orchestrator.made_results import searched
from tests.orchestrator.typed_commands import save, typed
from trials.sandbox.base import Sandbox
from trials.sandbox.find import SandboxError
from trials.tasks.mbpp import Problem
from trials.tasks.metrics import METRICS
from trials.tasks.targets import BETWEEN

GOLD = ["0", "1"] * 50
PROBLEM = Problem("def one():\n", " return 1", ("assert one() == 1",), "", ("one",))


def answers(wrong: Sequence[int], gold: Sequence[str] = GOLD) -> Answers:
    given = [str(1 - int(text)) if place in wrong else text for place, text in enumerate(gold)]
    return Answers(tuple(map(str, range(len(gold)))), tuple(gold), tuple(given))


def save_with_rows(folder: Path, *sides: tuple[FoundSearch, Answers]) -> None:
    for search, given in sides:
        trial = search.record.trials[0]
        rows: dict[str, Any] = {"ids": list(given.ids), "gold": list(given.gold), "given": list(given.given)}
        rows |= {"passed": given.passed} if given.passed else {}
        write_predictions(search.record, folder / search.record.name, [(trial, rows)])
        save(folder, search)


def with_score(name: str, wrong: int, day: int, **fields: object) -> FoundSearch:
    return searched(100.0 - wrong, name=name, day=day, n=100, **fields)  # type: ignore[arg-type]


def test_mcnemars_p_is_that_of_the_binomial() -> None:
    # 8 rows that the first alone has right, 2 that the second alone has: 2 * (1 + 10 + 45) / 1024.
    found = paired([answers([90, 91])], [answers(range(8))], "accuracy")
    assert found.p == pytest.approx(112 / 1024)
    assert (found.n, found.name[:20]) == (100, "McNemar's exact test")
    assert found.low is not None and found.high is not None and found.low < 6.0 < found.high
    assert paired([answers([3])], [answers([3])], "accuracy").p == 1.0


def test_programs_that_pass_are_right_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same test as for accuracy; the programs themselves are run elsewhere."""
    right = replace(METRICS["pass_at_1"], by_row=METRICS["accuracy"].by_row, by_rows=None)
    monkeypatch.setitem(METRICS, "pass_at_1", right)
    found = paired([answers([90, 91])], [answers(range(8))], "pass_at_1")
    assert (found.p, found.name[:20]) == (pytest.approx(112 / 1024), "McNemar's exact test")


def test_programs_that_were_run_for_the_test_score_are_not_run_to_be_compared(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that two searches can be compared where there is no sandbox."""

    def none_here() -> Sandbox:
        raise SandboxError("no sandbox works here")

    monkeypatch.setattr("trials.sandbox.verdicts.usable_sandbox", none_here)
    monkeypatch.setenv("ADEPT_CACHE", str(here / "cache"))
    gold = [f" return 1{BETWEEN}{PROBLEM.check}"] * 100
    sides = []
    for day, (name, wrong) in enumerate({"a": 10, "b": 60}.items(), 1):
        passed = tuple(float(place >= wrong) for place in range(100))
        given = replace(answers([], gold), given=(" return 1",) * 100, passed=passed)
        sides.append((with_score(name, wrong, day, task="mbpp", metric="pass_at_1"), given))
    save_with_rows(here, *sides)
    code, printed, errors = typed("compare", "a", "b")
    assert (code, errors) == (1, "")
    assert "McNemar's exact test over 100 test rows, 50 of them" in " ".join(printed.split())
    with pytest.raises(SandboxError):  # of searches from before it was kept
        paired([replace(sides[0][1], passed=())], [sides[1][1]], "pass_at_1")


def test_several_seeds_are_paired_by_row_and_change_sides_together() -> None:
    better, worse = [answers([]), answers([1])], [answers(range(30)), answers(range(2, 31))]
    assert paired(better, worse, "accuracy").p == pytest.approx(1 / 1000)
    assert paired([answers([0]), answers([1])], [answers([1]), answers([0])], "accuracy").p == 1.0


@pytest.mark.parametrize("metric", ["f1", "f1_macro", "matthews_correlation"])
def test_other_metrics_are_permuted_over_rows(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_tests, "PERMUTATIONS", 199)
    assert paired([answers([])], [answers(range(40))], metric).p <= 0.01
    dice = random.Random(0)
    alike = [answers(dice.sample(range(100), 30)) for _ in range(2)]
    assert paired([alike[0]], [alike[1]], metric).p > 0.05


def test_other_rows_are_never_paired() -> None:
    with pytest.raises(ValueError, match="same rows"):
        paired([answers([])], [answers([], GOLD[::-1])], "accuracy")


def test_without_answers_proportions_are_compared_unpaired() -> None:
    # The tea-tasting table: 3 of 4 against 1 of 4 has a two-sided p of 34/70.
    assert unpaired(75.0, 25.0, 4).p == pytest.approx(34 / 70)


def test_answers_come_back_as_they_were_written(tmp_path: Path) -> None:
    search = searched()
    rows = {"ids": row_ids([[1, 2, 3], [4]]), "gold": ["0", "1"], "given": ["0", "other"]}
    path = write_predictions(search.record, tmp_path, [(search.record.trials[0], rows)])
    assert path is not None
    assert search.record.predictions == path.name
    assert read_predictions(path) == {1: Answers(tuple(rows["ids"]), ("0", "1"), ("0", "other"))}
    assert len({*row_ids([range(40), range(39), [*range(39), 40]])}) == 3
    path.write_bytes(path.read_bytes()[:100])
    assert read_predictions(path) == read_predictions(tmp_path / "gone") == {}


def test_a_loss_on_one_seed_is_named_and_ends_with_1(here: Path) -> None:
    save_with_rows(here, (with_score("a", 10, 1), answers(range(10))), (with_score("b", 60, 2), answers(range(60))))
    code, printed, _ = typed("compare", "a", "b", "--out", "compared")
    assert code == 1
    assert (
        "Worse beyond noise: rte, adept on t5-base: -50.0 points (p < 0.001; McNemar's exact test over 100" in printed
    )
    assert typed("compare", "b", "a")[0] == 0


def test_a_loss_within_noise_ends_with_0(here: Path) -> None:
    save_with_rows(here, (with_score("a", 10, 1), answers(range(10))), (with_score("b", 13, 2), answers(range(13))))
    code, printed, _ = typed("compare", "a", "b")
    assert code == 0
    assert "p 0.25" in printed
    assert "Worse" not in printed


def test_an_older_search_without_answers_is_compared_unpaired_and_says_so(here: Path) -> None:
    save(here, with_score("a", 10, 1))
    save_with_rows(here, (with_score("b", 60, 2), answers(range(60))))
    code, printed, _ = typed("compare", "a", "b")
    assert code == 1
    assert "unpaired: A kept no answers to the test rows" in printed


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (searched(task="sst2", day=2, name="b"), "A and B have no test score in common"),
        (searched(30.0, seed=43, day=2, name="b"), "not compared, no seed in common"),
        (searched(30.0, n=32, day=2, name="b"), "not compared, their test splits have 139 and 32 rows"),
        (searched(None, day=2, name="b"), "b: its test split was not read"),
        (
            searched(30.0, day=2, name="b", provenance={"data fingerprint": "two"}),
            "their data differ (fingerprints one",
        ),
    ],
)
def test_what_cannot_be_compared_ends_with_3(here: Path, other: FoundSearch, why: str) -> None:
    save(here, searched(name="a", provenance={"data fingerprint": "one"}), other)
    code, printed, errors = typed("compare", "a", "b")
    assert code == 3
    assert "nothing could be compared" in errors and "in common Only" not in errors
    assert why in printed + errors


def test_other_labels_on_the_same_rows_are_not_compared(here: Path) -> None:
    swapped = answers([], [str(1 - int(text)) for text in GOLD])
    save_with_rows(here, (with_score("a", 10, 1), answers(range(10))), (with_score("b", 0, 2), swapped))
    code, _, errors = typed("compare", "a", "b")
    assert code == 3
    assert "other rows or other labels" in errors


@pytest.mark.parametrize(("rows", "code"), [("of these files", 1), ("", 3)])
def test_rows_that_were_cut_elsewhere_are_known_by_their_files(here: Path, rows: str, code: int) -> None:
    """Their tokens differ, as those of other rows with the same labels would."""
    known = {"provenance": {"rows fingerprint": rows}}
    read = answers(range(60))
    cut = Answers(tuple(f"cut {name}" for name in read.ids), read.gold, read.given)
    save_with_rows(here, (with_score("a", 10, 1, **known), answers(range(10))), (with_score("b", 60, 2, **known), cut))
    assert typed("compare", "a", "b")[0] == code


def test_without_answers_other_metrics_cannot_be_compared(here: Path) -> None:
    save(
        here,
        *(
            with_score(name, wrong, 1, metric="f1", metrics={"f1": 100.0 - wrong})
            for name, wrong in (("a", 1), ("b", 60))
        ),
    )
    code, _, errors = typed("compare", "a", "b")
    assert code == 3
    assert "a single seed: no test is possible" in errors


def test_texts_are_paired_by_their_scores_and_groups_change_sides_together() -> None:
    gold = ["red sky", "red", "blue sea", "sea"] * 10
    groups = tuple(str(place // 2) for place in range(len(gold)))  # two right answers to each question
    ids = tuple(map(str, range(len(gold))))
    right = Answers(ids, tuple(gold), tuple(["The red sky", "red sky", "x", "x"] * 10), groups)
    wrong = Answers(ids, tuple(gold), ("x",) * len(gold), groups)
    by_word = paired([right], [wrong], "token_f1")
    assert (by_word.n, by_word.name) == (40, "paired permutation test over 40 test rows")
    assert by_word.low is not None and by_word.high is not None and by_word.low < 100 * (1 + 2 / 3) / 4 < by_word.high
    by_group = paired([right], [wrong], "best_exact_match")
    assert by_group.n == 20 and "over 20 groups of test rows, 10 of them" in by_group.name
    assert by_group.p == pytest.approx(2 / 2**10)


def test_groups_are_written_and_read(tmp_path: Path) -> None:
    search = searched()
    rows = {"ids": ["a", "b"], "gold": ["0", "1"], "given": ["0", "1"], "group": ["q", "q"]}
    path = write_predictions(search.record, tmp_path, [(search.record.trials[0], rows)])
    assert path is not None
    assert read_predictions(path)[1].groups == ("q", "q")
