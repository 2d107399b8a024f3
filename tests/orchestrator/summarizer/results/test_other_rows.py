"""Never one cell, one mark or one difference over different rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.record.kept_data import kept_of, rows_differ
from orchestrator.summarizer.report import make_results
from orchestrator.summarizer.results.found_search import FoundSearch
from orchestrator.summarizer.results.groups import make_groups
from orchestrator.summarizer.results.interquartile_means import interquartile_means
from orchestrator.summarizer.results.method_comparisons import compare_methods
from orchestrator.summarizer.results.saved_searches import FoundSearches
from orchestrator.summarizer.tables.search_comparison import compare_searches
from tests.orchestrator.made_results import searched
from tests.orchestrator.typed_commands import save, typed
from trials.data_facts import DataIdentity

ROWS = {"a": "aaaaaaaaaaaaaaaa", "b": "bbbbbbbbbbbbbbbb"}


def on(rows: str, score: float = 80.0, **fields: Any) -> FoundSearch:
    """A search on rows of that name, whose test file differs from those of others."""
    data = DataIdentity(ROWS[rows], {"train": {"train.csv": "t"}, "test": {"test.csv": rows}}, f"read {rows}")
    found = searched(score, **fields)
    found.record.provenance |= kept_of(data)
    return found


def earlier(fingerprint: str, score: float = 80.0, **fields: Any) -> FoundSearch:
    """A search that an earlier version has recorded."""
    found = searched(score, **fields)
    found.record.provenance["data fingerprint"] = fingerprint
    return found


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (on("a", seed=1), on("b", seed=2)),
        (on("a", seed=1, n=32), on("a", seed=2, n=8)),
        (earlier("f1", seed=1), earlier("f2", seed=2)),
        (searched(seed=1, n=32), searched(seed=2, n=8)),  # of another program, without any fingerprint
    ],
)
def test_seeds_on_other_rows_are_two_cells(first: FoundSearch, second: FoundSearch) -> None:
    groups, _ = make_groups([first, second])
    assert [list(group.by_seed) for group in groups] == [[1], [2]]
    (grid, *_) = make_results(FoundSearches((first, second)), ()).tables
    assert grid.rows[0].cells[1].n == 1
    (note,) = [note for note in grid.notes if "also there" in note]
    assert note.count("rows") + note.count("test examples") >= 2


def test_a_missing_seed_is_to_be_trained_on_the_rows_of_its_cell() -> None:
    """Not on those of another file of the same task, which would leave the cell as it is."""
    for newest in ("a", "b"):
        searches = [
            on(
                rows,
                seed=seed,
                task="own",
                day=1 + (rows == newest),
                provenance={"command": f"search.py --task {rows}.yaml"},
            )
            for seed, rows in enumerate(ROWS, 1)
        ]
        (grid, *_) = make_results(FoundSearches(tuple(searches)), ()).tables
        (fill,) = grid.missing
        assert f"--task {newest}.yaml" in fill.command  # the cell shows the newest


def test_seeds_on_the_same_rows_stay_one_cell() -> None:
    for make in (lambda seed: on("a", seed=seed), lambda seed: earlier("f1", seed=seed), lambda s: searched(seed=s)):
        groups, _ = make_groups([make(1), make(2)])
        assert [list(group.by_seed) for group in groups] == [[1, 2]]


def test_methods_on_other_rows_are_neither_compared_nor_marked_nor_averaged() -> None:
    searches = [on("a", 80.0 + seed, seed=seed) for seed in range(6)]
    searches += [on("b", 60.0 + seed, method="pt", seed=seed) for seed in range(6)]
    groups, _ = make_groups(searches)
    found, notes = compare_methods(groups)
    assert found == () and interquartile_means(groups) == ()
    assert notes == (
        "rte: ADePT and PT on t5-base were measured on other rows (fingerprints "
        f"{ROWS['a']} and {ROWS['b']}, in test: test.csv), so they are not compared.",
    )
    (grid, *_) = make_results(FoundSearches(tuple(searches)), ()).tables
    assert not any(cell.highlight for row in grid.rows for cell in row.cells)
    assert any("its rows differ between methods" in note for note in grid.notes)


def test_templates_and_lengths_of_the_same_rows_may_be_compared() -> None:
    one, other = on("a"), on("a", method="pt")
    other.record.provenance["data fingerprint"] = "read with another template"
    assert rows_differ(one.record, other.record) == ""
    old, longer = earlier("f1"), earlier("f2", method="pt")
    assert "f1 and f2" in rows_differ(old.record, longer.record)
    longer.record.settings["max_source_length"] = 512
    assert rows_differ(old.record, longer.record) == ""  # the length alone changes the fingerprint


def test_two_sides_on_other_rows_make_no_claim(here: Path) -> None:
    first = [on("a", 70.0 + seed, seed=seed, name=f"old-{seed}", day=1) for seed in range(6)]
    second = [on("b", 75.0 + 1.1 * seed, seed=seed, name=f"new-{seed}", day=9) for seed in range(6)]
    results = compare_searches(first, second, ("A", "B"))
    assert results.comparisons == ()
    assert {grid.name for grid in results.tables} == {"differences", "settings", "compute"}
    save(here / "runs", *first, *second)
    code, printed, _ = typed("compare", "2026-03-01", "2026-03-09")
    assert code == 3
    assert "not compared" in printed and "B is higher" not in printed and "+7" not in printed
    assert f"their data differ (fingerprints {ROWS['a']} and" in " ".join(printed.split())
    assert ["test:", "test.csv", "a", "b", "all"] in [line.split() for line in printed.splitlines()]


def test_of_several_rows_on_a_side_those_that_both_have_are_compared() -> None:
    before, after = on("a", 70.0), [on("b", 90.0, day=2), on("a", 72.0, day=1, name="again")]
    (found,) = compare_searches([before], after, ("A", "B")).comparisons
    assert found.difference == pytest.approx(2.0)
