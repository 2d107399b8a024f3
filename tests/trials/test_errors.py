from __future__ import annotations

import pickle

import pytest

from trials.errors import DataError, UserError, did_you_mean


def test_one_problem_reads_as_a_sentence_and_several_as_a_list() -> None:
    assert str(UserError("no task 'x'")) == "no task 'x'"
    assert str(UserError(["first", "second"])) == "- first\n- second"


def test_problems_survive_the_way_between_processes() -> None:
    received = pickle.loads(pickle.dumps(DataError(["first", "second"])))
    assert type(received) is DataError
    assert received.problems == ["first", "second"]


def test_an_error_without_a_problem_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        UserError([])


@pytest.mark.parametrize(
    ("word", "hint"),
    [("rtee", " (did you mean 'rte'?)"), ("BoolQ", " (did you mean 'boolq'?)"), ("zzz", ""), ("", "")],
)
def test_did_you_mean(word: str, hint: str) -> None:
    assert did_you_mean(word, ["rte", "boolq", "cola"]) == hint
