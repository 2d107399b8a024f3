"""What is mended in a task's rows where ``--data-quirks corrected`` asks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trials.tasks.test_paper_tasks import ASKED, ODD, PAPER, read_one
from trials.tasks import get_task
from trials.tasks.base import Quirks, Task


def corrected(name: str, quirks: Quirks = "corrected") -> Task:
    return get_task(name).read(quirks)


@pytest.mark.parametrize(
    ("name", "text", "target"),
    [
        ("winogrande", "sentence: Ann met Bob as _ came. option0: Ann option1: Bob", "1"),
        ("stsb", f"sentence1: {ODD} sentence2: ", "5.0"),
        ("nq", ASKED, "Ann ' s\x1eAnn"),
        ("squad", ASKED, "cat\x1eAnn ' s cat"),
        ("hotpotqa", ASKED, ""),
        ("rte", f"sentence1: {ODD} sentence2: ", "0"),
    ],
)
def test_mistakes_of_the_released_code_are_corrected_where_asked(
    name: str, text: str, target: str, tmp_path: Path
) -> None:
    rows = read_one(corrected(name), tmp_path, [PAPER[name].row])
    assert (rows.sources, rows.targets) == ([text], [target])
    assert corrected(name, "as_published") is get_task(name)
    assert corrected(name).corrected == (name != "rte")
    assert corrected(name).published_as is None or name == "rte"  # the paper's scores are of other rows


def test_only_tasks_with_a_mistake_have_a_correction() -> None:
    found = {name for name in PAPER if get_task(name).correction}
    assert found == {"stsb", "winogrande", "nq", "hotpotqa", "searchqa", "newsqa", "squad"}
    assert {name for name in PAPER if get_task(name).corrections} == found
