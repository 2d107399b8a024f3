"""Verdicts: values as they cross, the choice of a sandbox, many programs at once."""

from __future__ import annotations

import decimal
import fractions
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.trials.sandbox.kinds import Closed, Open, any_usable, why_not
from trials.sandbox import seccomp, verdicts
from trials.sandbox.find import KINDS, SandboxError, first_that_holds
from trials.sandbox.inside.values import Values
from trials.sandbox.limits import Limits
from trials.sandbox.run import Check, judge


def made(random: Random, depth: int = 3) -> Any:
    """A value of plain types."""
    leaves: list[Callable[[], Any]] = [
        lambda: None,
        lambda: random.random() < 0.5,
        lambda: random.randint(-(10 ** random.randint(0, 30)), 10 ** random.randint(0, 30)),
        lambda: random.gauss(0, 1) * 10.0 ** random.randint(-300, 300),
        lambda: "".join(random.choices('a\n\t"é\ud800😀', k=3)),
        lambda: random.randbytes(random.randint(0, 9)),
        lambda: bytearray(random.randbytes(3)),
        lambda: complex(random.random(), -random.random()),
        lambda: frozenset(random.choices(range(7), k=2)),
        lambda: set(random.choices(range(7), k=3)),
    ]
    inner: list[Callable[[], Any]] = [
        lambda: [made(random, depth - 1) for _ in range(random.randint(0, 4))],
        lambda: tuple(made(random, depth - 1) for _ in range(random.randint(0, 4))),
        lambda: {random.choice(["a", 1, None, (2, "b")]): made(random, depth - 1) for _ in range(3)},
    ]
    return random.choice(leaves + 2 * inner if depth else leaves)()


@pytest.mark.parametrize("seed", range(5))
def test_plain_values_cross_as_they_are(seed: int) -> None:
    random = Random(seed)
    values = Values(lambda number: pytest.fail(f"{number} was kept"))
    for _ in range(200):
        value = made(random)
        back = values.value(values.text(value))
        assert back == value and repr(back) == repr(value)


def test_large_numbers_and_numbers_that_are_none_cross() -> None:
    values = Values(lambda number: number)
    assert values.value(values.text(7**9000)) == 7**9000
    assert repr(values.value(values.text([float("nan"), float("inf"), -0.0]))) == "[nan, inf, -0.0]"
    assert values.value(values.text(decimal.Decimal("1.10"))).as_tuple() == decimal.Decimal("1.10").as_tuple()
    assert values.value(values.text(fractions.Fraction(1, 3))) == fractions.Fraction(1, 3)


def test_other_objects_stay_and_subclasses_cross_as_what_they_extend() -> None:
    values = Values(lambda number: f"kept {number}")

    class Sly(str):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = str.__hash__

    assert values.value(values.text([object(), Sly("a")])) == ["kept 0", "a"]
    assert type(values.value(values.text(Sly("a")))) is str
    with pytest.raises(ValueError, match="no kind"):
        values.value(json.dumps(["code", "print()"]))


def test_tests_make_and_hand_over_objects_of_the_program() -> None:
    program = """
class Node:
    def __init__(self, data):
        self.data, self.left = data, None
def depth(node):
    return 0 if node is None else 1 + depth(node.left)
"""
    setup = "root = Node(1)\nroot.left = Node(2)\nroot.left.left = Node(3)"
    tests = ("assert depth(root) == 3", "assert root.left.data == 2", "assert Node != 1")
    names = ("Node", "depth")
    assert judge(any_usable(), Check(program, tests, names, setup)).passed
    assert "does not hold" in judge(any_usable(), Check(program, ("assert depth(root) == 2",), names, setup)).why


def test_the_tests_own_names_are_pythons() -> None:
    program = "def sorted(x):\n    return 1\ndef f(x):\n    return 2\n"
    assert not judge(any_usable(), Check(program, ("assert sorted(f(0)) == 1",), ("f",))).passed
    assert judge(any_usable(), Check("def sum(x):\n    return 1\n", ("assert sum([5]) == 1",), ("sum",))).passed


def test_without_a_sandbox_nothing_runs_and_the_message_says_what_to_install() -> None:
    with pytest.raises(SandboxError) as caught:
        first_that_holds((Closed, Open))
    message = str(caught.value)
    assert "closed: there is none" in message and "open: lets a program" in message
    assert "Install one: closed: buy a new machine" in message


def test_the_first_that_works_is_taken() -> None:
    any_usable()
    assert type(first_that_holds((Closed, *KINDS))) is next(kind for kind in KINDS if not why_not(kind))


def test_equal_programs_run_once_and_verdicts_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = any_usable()
    judged: list[Check] = []

    def counted(*arguments: object) -> object:
        judged.append(arguments[1])  # type: ignore[arg-type]
        return judge(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(verdicts, "judge", counted)
    monkeypatch.setattr(verdicts, "usable_sandbox", lambda: sandbox)
    right = Check("def f(x):\n    return x", ("assert f(1) == 1",), ("f",))
    wrong = Check("def f(x):\n    return 0", ("assert f(1) == 1",), ("f",))
    cache = tmp_path / "cache" / "verdicts.sqlite"
    found = verdicts.verdicts([right, wrong, right, right], cache=cache)
    assert [one.passed for one in found] == [True, False, True, True] and len(judged) == 2
    assert verdicts.verdicts([wrong, right], cache=cache) == [found[1], found[0]] and len(judged) == 2
    verdicts.verdicts([right], Limits(cpu_seconds=3), cache)
    assert len(judged) == 3
    cache.write_bytes(b"damaged" * 999)
    assert verdicts.verdicts([right], cache=cache)[0].passed and len(judged) == 4


@pytest.mark.parametrize("machine", seccomp.MACHINES)
def test_a_filter_fits_the_kernels_limit_and_names_no_call_twice(machine: str) -> None:
    column = seccomp.MACHINES[machine][1]
    numbers = [n[column] for n in {**seccomp.REFUSED, **seccomp.ABSENT, **seccomp.OF_ITSELF_ONLY}.values()]
    known = [number for number in numbers if number is not None]
    assert len(known) == len(set(known)) > 90
    assert len(seccomp.filter_code(machine)) // 8 < 4096
