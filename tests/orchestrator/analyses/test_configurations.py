"""What is missing in the analyses that set configurations side by side."""

from __future__ import annotations

import shlex

import pytest

from orchestrator.analyses.analyse import analysed
from orchestrator.analyses.bench import Bench
from orchestrator.analyses.catalogue import chosen
from tests.orchestrator.made_results import searched
from trials.methods import method_names


@pytest.mark.parametrize("name", ["long-prompts", "training-time", "embedding-matrix", "network-alone"])
def test_the_command_for_a_row_that_is_missing_names_a_method_that_there_is(name: str) -> None:
    (analysis,) = chosen([name])
    task = "nq" if name == "training-time" else "rte"
    table = analysed(analysis, [searched(task=task)], Bench()).table()
    commands = [shlex.split(one.command) for one in table.missing if one.command]
    methods = [command[command.index("--method") + 1] for command in commands]
    assert methods and set(methods) <= set(method_names())
    assert ("embedding_matrix" in methods) == (name == "embedding-matrix")
