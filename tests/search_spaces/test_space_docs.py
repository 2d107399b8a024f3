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


def cells(line: str) -> list[str]:
    return [cell.strip(" `") for cell in line.split("|")[1:-1]]


def test_the_tables_of_spaces_count_right() -> None:
    lines = PAGE.splitlines()
    steps = {row[0]: row[2] for row in map(cells, lines) if len(row) == 4 and row[0] in space_names()}
    first = next(place for place, line in enumerate(lines) if line.startswith("| configurations |"))
    header, _, *table = map(cells, lines[first : first + 2 + len(methods())])
    assert sorted(steps) == sorted(header[1:]) == space_names()
    assert [method for method, *_ in table] == methods()
    for method, *counts in table:
        for name, count in zip(header[1:], counts, strict=True):
            if count == "-":
                with pytest.raises(SpaceError, match="no grid"):
                    load_space(name, method=method, d_model=768)
                continue
            space = load_space(name, method=method, d_model=768)
            assert f"{len(space.configurations)}" == count
            assert f"{space.settings.steps:,}" == steps[name]


def test_the_table_of_hyperparameters_is_complete() -> None:
    listed = {
        (method, name)
        for names, name in re.findall(r"^\| ([a-z_0-9, ]+) \| `(\w+)` \|", PAGE, re.MULTILINE)
        for method in names.split(", ")
    }
    assert listed == {(method, name) for method in methods() for name in hyperparameters(method)}
