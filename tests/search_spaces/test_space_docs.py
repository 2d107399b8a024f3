"""`docs/search-spaces.md` says what is so: its example, its tables and its messages are checked against the code."""

import re
from pathlib import Path

import pytest

from search_spaces import SpaceError, hyperparameters, load_space, methods, space_names

PAGE = (Path(__file__).parents[2] / "docs" / "search-spaces.md").read_text(encoding="utf-8")
EXAMPLE: str = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]


def test_the_example_loads(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(EXAMPLE)
    assert len(load_space(file, method="adept", d_model=768).configurations) == 24
    assert len(load_space(file, method="pt", d_model=768).configurations) == 2


def test_the_messages_are_those_of_the_example_with_three_slips(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(EXAMPLE.replace("eval_every", "eval_evry").replace("1e-5", "-1e-5").replace("80]", "98]"))
    with pytest.raises(SpaceError) as caught:
        load_space(file, method="adept", d_model=768)
    messages = "\n".join(caught.value.problems)
    assert f"```\n{messages}\n```" in PAGE


def test_the_table_of_spaces_counts_right() -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if line.startswith("| `")]
    table = {row[0].strip("`"): row[2 : 3 + len(methods())] for row in rows}
    assert sorted(table) == space_names()
    for name, (*counts, steps) in table.items():
        for method, count in zip(methods(), counts, strict=True):
            if count == "-":
                with pytest.raises(SpaceError, match="no grid"):
                    load_space(name, method=method, d_model=768)
                continue
            space = load_space(name, method=method, d_model=768)
            assert f"{len(space.configurations)}" == count
            assert f"{space.settings.steps:,}" == steps


def test_the_table_of_hyperparameters_is_complete() -> None:
    listed = {
        (method, name)
        for names, name in re.findall(r"^\| ([a-z, ]+) \| `(\w+)` \|", PAGE, re.MULTILINE)
        for method in names.split(", ")
    }
    assert listed == {(method, name) for method in methods() for name in hyperparameters(method)}
