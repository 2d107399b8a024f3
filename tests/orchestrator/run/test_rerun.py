"""Which trials ``--rerun`` means."""

from __future__ import annotations

import pytest

from orchestrator.run.rerun import trials_to_rerun
from tests.orchestrator.made_records import make_record, make_trial
from trials.errors import UserError

RECORD = make_record(
    make_trial(1, [60.0]), make_trial(2, status="failed"), make_trial(3, [50.0], "diverged"), make_trial(4, [61.0])
)


@pytest.mark.parametrize(
    ("which", "numbers"), [(None, []), ("failed", [2]), ("diverged", [3]), ("4", [4]), ("4, 1,4", [1, 4])]
)
def test_a_status_or_numbers(which: str | None, numbers: list[int]) -> None:
    assert trials_to_rerun(which, RECORD) == numbers


@pytest.mark.parametrize(
    ("which", "message"),
    [
        (
            "faild",
            "--rerun faild: must be failed, diverged, or numbers of trials (1, 2, 3, 4) (did you mean 'failed'?)",
        ),
        ("9", "--rerun 9: must be failed"),
        ("1,x", "--rerun x: must be"),
    ],
)
def test_what_is_not_there_is_refused(which: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        trials_to_rerun(which, RECORD)
    assert message in str(error.value)


def test_nothing_failed_or_no_search_is_said() -> None:
    with pytest.raises(UserError, match="no trial of search rte-adept has failed"):
        trials_to_rerun("failed", make_record(make_trial(1, [60.0])))
    with pytest.raises(UserError, match="there is no search of that name"):
        trials_to_rerun("failed", None)
