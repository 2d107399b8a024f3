"""Cells of the paper's tables that lack a measurement name the command that fills them."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.summarizer.results.found_search import FoundSearch
from tests.orchestrator.made_results import searched
from tests.orchestrator.summarizer.tables.test_paper_tables import grid


def test_missing_cells_name_the_command_that_fills_them() -> None:
    table = grid(3, searched(seed=1), searched(seed=2), searched(task="sst2", seed=1))
    commands = {fill.cells: fill.command for fill in table.missing}
    assert commands["ADePT on t5-base: SST-2 (seed 2)"] == (
        "adept-search search --method adept --data-dir data --backbone t5-base --task sst2 --seed 2"
    )
    loop = next(fill.command for fill in table.missing if "CoLA" in fill.cells)
    assert loop.startswith("for seed in 1 2; do for task in ") and loop.endswith(
        '--task "$task" --seed "$seed"; done; done'
    )


def typed(command: str, **fields: object) -> FoundSearch:
    return searched(provenance={"command": command}, **fields)  # type: ignore[arg-type]


def test_the_command_carries_every_option_that_decides_the_row() -> None:
    """Of the cell's own searches where it has some; what an earlier search was for itself alone is left out."""
    mine = "search --task rte --space 'my space.yaml' --samples=6 --ties loss --name x --rerun 3 --seed 1 --quiet"
    table = grid(3, typed(f"adept-search {mine}", seed=1), searched(seed=1, task="cola", metric="matthews_correlation"),
                 searched(seed=2, task="cola", metric="matthews_correlation"))  # fmt: skip
    commands = {fill.cells: fill.command for fill in table.missing}
    assert commands["ADePT on t5-base: RTE (seed 2)"] == (
        "adept-search search --method adept --space 'my space.yaml' --samples=6 --ties loss --backbone t5-base "
        "--task rte --seed 2"
    )


def test_without_the_earlier_command_the_record_says_how_it_was_run() -> None:
    settings = {
        "steps": 400,
        "precision": "bfloat16",
        "scheduler": "none",
        "grace_period": 400,
        "reduction_factor": 4,
        "deterministic": True,
    }
    ran: dict[str, Any] = {"recipe": "paper", "settings": settings, "provenance": {"search": "random"}}
    table = grid(3, searched(seed=1, **ran), searched(seed=2, **ran), searched(task="sst2", seed=1, **ran))
    command = next(fill.command for fill in table.missing if "SST-2 (seed 2)" in fill.cells)
    assert command == (
        "adept-search search --method adept --recipe paper --steps 400 --precision bfloat16 --scheduler none "
        "--deterministic --searcher random --samples 4 --backbone t5-base --task sst2 --seed 2"
    )


@pytest.mark.parametrize("words", ["", " --precision auto", " --precision=auto"])
def test_the_command_names_the_precision_that_was_chosen_for_its_row(words: str) -> None:
    """Another host may choose otherwise; so did no precision mean float32 to an earlier version."""
    ran = {"settings": {"precision": "bfloat16"}}
    rows = [typed(f"adept-search search --task rte{words}", seed=seed, **ran) for seed in (1, 2)]
    rows += [typed(f"adept-search search --task sst2{words}", seed=1, task="sst2", **ran)]
    command = next(fill.command for fill in grid(3, *rows).missing if "SST-2 (seed 2)" in fill.cells)
    assert command.count("--precision") == 1 and "--precision bfloat16" in command


def test_a_search_of_several_seeds_fills_them_at_once() -> None:
    several = [typed("adept-search search --task rte --seeds 3", seed=seed) for seed in (1, 2, 3)]
    command = next(fill.command for fill in grid(3, *several).missing if "CoLA" in fill.cells)
    assert command.endswith('--seeds 3 --backbone t5-base --task "$task" --seed 1; done')


def test_a_search_that_was_interrupted_is_to_be_resumed() -> None:
    table = grid(3, searched(seed=1), searched(None, task="cola", seed=1, metric="matthews_correlation"))
    commands = {fill.cells: fill.command for fill in table.missing}
    assert commands["ADePT on t5-base: CoLA"] == "adept-search search --resume --name cola-adept-1"
