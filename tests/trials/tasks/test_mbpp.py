"""MBPP's rows as problems, their prompts, splits and scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.trials.made_data import REAL_DATA, needs_real_data, write_rows
from tests.trials.sandbox.kinds import any_usable
from trials.data.rows import load_rows
from trials.data.sources import find_source
from trials.sandbox.run import Check
from trials.sandbox.verdicts import verdicts
from trials.tasks import get_task
from trials.tasks.base import Examples
from trials.tasks.mbpp import Problem, example
from trials.tasks.metrics import METRICS, compute, value_of_one_example
from trials.tasks.targets import BETWEEN, right_answers

MBPP = get_task("mbpp")


def row(code: str, *tests: str, text: str = "Write it.", setup: str = "") -> dict[str, Any]:
    return {"text": text, "code": code, "test_setup_code": setup, "test_list": list(tests)}


TWICE = row("import math\r\ndef twice(x): \r\n\treturn 2 * x", "assert twice(2) == 4", "assert twice(-1)==-2")
PAIRS = row(
    "class Pair:\n  def __init__(self, a):\n    self.a = a\ndef total(pairs):\n  return add(p.a for p in pairs)\n"
    "def add(x):\n  return sum(x)",
    "assert total([Pair(1), Pair(2)]) == 3",
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    any_usable()
    monkeypatch.setenv("ADEPT_CACHE", str(tmp_path / "cache"))


def target(made_of: dict[str, Any]) -> str:
    (made,) = example(made_of)
    return str(made["check"])


def test_a_row_becomes_a_head_with_a_docstring_and_a_body() -> None:
    problem = Problem.of(TWICE)
    assert problem.prompt == (
        '\n\ndef twice(x):\n\t"""\n\tWrite it.\n\t>>> twice(2)\n\t4\n\t>>> twice(-1)\n\t-2\n\t"""\n'
    )
    assert problem.solution == "\timport math\n\t \n\treturn 2 * x"
    assert (problem.names, problem.setup) == (("twice",), "")


def test_what_the_tests_need_stands_in_the_prompt_and_helpers_in_the_body() -> None:
    problem = Problem.of(PAIRS)
    assert problem.prompt.startswith(
        "\n\nclass Pair:\n  def __init__(self, a):\n    self.a = a\n\n\ndef total(pairs):\n"
    )
    assert problem.solution.startswith("  def add(x):\n    return sum(x)\n")
    assert problem.names == ("total", "Pair")
    hidden = Problem.of(row("text = 'a'\ndef f(text):\n  return text", "assert f('b') == 'b'"))
    assert "text = 'a'" in hidden.prompt and "text = 'a'" not in hidden.solution
    sized = Problem.of(row("import sys\ndef f(x):\n return sys.getsizeof(x)", "assert f(1) == sys.getsizeof(1)"))
    assert sized.setup == "import sys"
    with pytest.raises(ValueError, match="no function that its tests call"):
        Problem.of(row("x = 1", "assert f(1) == 1"))


def test_answers_are_scored_by_running_them(cache: None) -> None:
    targets = [target(TWICE), target(TWICE), target(PAIRS), target(PAIRS), target(TWICE)]
    given = ["\treturn x + x", "return x + x", right_answers(targets[2])[0], "  return 3", "\tprint(4)"]
    assert compute(["pass_at_1"], given, targets) == {"pass_at_1": 60.0}
    assert METRICS["pass_at_1"].scores(given, targets) == [1.0, 0.0, 1.0, 1.0, 0.0]  # blanks at the beginning count
    assert value_of_one_example("pass_at_1", given, targets) == 20.0


def write(folder: Path, splits: dict[str, range]) -> None:
    for split, ids in splits.items():
        rows = [TWICE | {"text": f"Number {n}.", "task_id": n} for n in ids]
        write_rows(folder / f"{split}.parquet", rows)


@pytest.mark.parametrize(
    "splits",
    [
        {"mbpp/full": range(1, 21)},
        {f"mbpp/{split}": range(1 + 5 * n, 6 + 5 * n) for n, split in enumerate(MBPP.joined or ())},
    ],
    ids=["one file", "as on the hub"],
)  # fmt: skip
def test_the_first_half_trains_and_validates_and_the_second_is_the_test(
    tmp_path: Path, splits: dict[str, range]
) -> None:
    from dataclasses import replace

    write(tmp_path, splits)
    task = replace(MBPP, sizes=None)
    rows = load_rows(task, find_source(task, tmp_path))
    numbers = {
        split: [int(s.partition("Number ")[2].split(".")[0]) for s in found.sources] for split, found in rows.items()
    }
    assert numbers == {"train": list(range(1, 9)), "validation": [9, 10], "test": list(range(11, 21))}


def test_a_task_of_halves_says_what_it_is_made_of() -> None:
    assert MBPP.raw_splits == ("full",) and MBPP.stops[0] == "\ndef"
    assert isinstance(MBPP.examples, Examples) and MBPP.rules["separator"] == ""


def real_rows() -> list[dict[str, Any]]:
    return pq.read_table(REAL_DATA / "mbpp" / "full.parquet").to_pylist()


@needs_real_data
def test_the_published_rows_split_into_the_published_halves() -> None:
    rows = load_rows(MBPP, find_source(MBPP, REAL_DATA))
    assert [len(found) for found in rows.values()] == [390, 97, 487]
    assert all(source.endswith('"""\n') and source.startswith("\n\n") for source in rows["test"].sources)
    assert not any(stop in right_answers(text)[0] for text in rows["test"].targets for stop in MBPP.stops)


@needs_real_data
def test_some_reference_solutions_pass_and_their_neighbours_do_not(cache: None) -> None:
    problems = [Problem.of(row) for row in real_rows()[120:640:40]]
    right = [Check.of(problem.check, problem.solution) for problem in problems]
    wrong = [Check.of(one.check, "    return None\n") for one in problems]
    found = [verdict.passed for verdict in verdicts([*right, *wrong])]
    assert found == [True] * len(right) + [False] * len(wrong)


@needs_real_data
def test_reference_solutions_pass_their_tests(cache: None) -> None:
    """One of forty; all of them by ``python -m benchmarks.mbpp_references``, in minutes."""
    rows = real_rows()
    problems = [Problem.of(row) for row in rows[::40]]
    found = verdicts([Check.of(problem.check, problem.solution) for problem in problems])
    assert {number: verdict for number, verdict in enumerate(found) if not verdict.passed} == {}
    assert len(rows) == 974


@needs_real_data
def test_rows_that_are_no_problems_are_named(tmp_path: Path) -> None:
    from trials.errors import DataError

    rows = real_rows()
    rows[3]["code"] = "x = 1"
    rows[5]["code"] = "def f(:"
    (tmp_path / "mbpp").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "mbpp" / "full.parquet")
    with pytest.raises(DataError) as caught:
        load_rows(MBPP, find_source(MBPP, tmp_path))
    assert "no function that its tests call" in str(caught.value) and "invalid syntax" in str(caught.value)


def test_a_target_holds_the_reference_and_what_scores_it() -> None:
    assert target(TWICE).count(BETWEEN) == 1
    with pytest.raises(ValueError, match="what it is scored by"):
        MBPP.target.text_of("\treturn 1")
