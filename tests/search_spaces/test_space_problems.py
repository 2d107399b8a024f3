"""Bad spaces: all problems are found at once, each with its place, the value, the rule and the likely fix."""

import pickle
from pathlib import Path

import pytest
import yaml

from search_spaces import SpaceError, load_space, methods

BAD = yaml.safe_load(Path(__file__).with_name("bad_spaces.yaml").read_text(encoding="utf-8"))
GOOD: str = BAD["good"]


def problems(folder: Path, text: str | bytes, method: str = "adept", length: int = 256) -> list[str]:
    """What is wrong, at d = 768, with a space of this text, which is written as `own.yaml`."""
    file = folder / "own.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SpaceError) as caught:
        load_space(file, method=method, d_model=768, max_source_length=length)
    return caught.value.problems


def changed(*changes: tuple[str, str]) -> str:
    """The good space with some text replaced."""
    text = GOOD
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text


def test_the_good_space_is_good(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(GOOD)
    assert len(load_space(file, method="adept", d_model=768).configurations) == 1


@pytest.mark.parametrize("case", BAD["cases"], ids=lambda case: case["problem"].partition(": ")[2][:60])
def test_the_message_says_where_what_and_how_to_mend_it(tmp_path: Path, case: dict) -> None:
    text = case["text"] if "text" in case else changed(*case["change"].items())
    assert problems(tmp_path, text) == [case["problem"]]


def test_all_problems_are_reported_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = (
        "settings: {steps: 0, eval_every: x, batch_size: 4, warmup_steps: 5}\n"
        "budgets: 100\n"
        "grids:\n"
        "  pt: {prompt_lr: -1}\n"
        "  adept:\n"
        "    prompt_lr: [nan, 0]\n"
        "    prompt_length: 98\n"
        "    bottleneck: from_budget\n"
    )
    found = problems(tmp_path, text)
    assert [problem.split(": ")[:2] for problem in found] == [
        ["own.yaml:1", "settings.steps"],
        ["own.yaml:1", "settings.eval_every"],
        ["own.yaml:2", "budgets"],
        ["own.yaml:4", "grids.pt.prompt_lr"],
        ["own.yaml:5", "grids.adept"],
        ["own.yaml:6", "grids.adept.prompt_lr[0]"],
        ["own.yaml:6", "grids.adept.prompt_lr[1]"],
        ["own.yaml:7", "grids.adept.prompt_length"],
    ]
    assert "mlp_lr is missing" in found[4]


def test_a_method_that_the_space_lacks(tmp_path: Path) -> None:
    text = GOOD + "  pt: {prompt_lr: 1}\n"
    lacking = "own.yaml:2: grids: no grid for the method 'dept'; this space has adept, pt"
    assert problems(tmp_path, text, method="dept") == [lacking]
    assert problems(tmp_path, text, method="Pt") == [f"'Pt' is no method ({', '.join(methods())}); did you mean 'pt'?"]


def test_the_budget_rule_of_dept_names_the_input_length(tmp_path: Path) -> None:
    grids = "grids: {dept: {prompt_lr: 1, lowrank_lr: 1, prompt_length: [40, 99], rank: from_budget}}\n"
    rule = "leaves no rank in a budget of 100 rows at d = 768 and inputs of 512 tokens; the largest that fits is 98"
    found = problems(tmp_path, GOOD.splitlines(keepends=True)[0] + grids, method="dept", length=512)
    assert found == [f"own.yaml:2: grids.dept.prompt_length: prompt_length 99 {rule}"]


def test_another_method_s_grid_is_checked_but_its_budget_is_not(tmp_path: Path) -> None:
    dept = GOOD + "  dept: {prompt_lr: 1, lowrank_lr: %s, prompt_length: 99, rank: from_budget}\n"
    file = tmp_path / "fine.yaml"
    file.write_text(dept % "1")
    assert load_space(file, method="adept", d_model=256).configurations
    assert "grids.dept.lowrank_lr: 0 is out of range" in problems(tmp_path, dept % "0")[0]


def test_a_huge_grid_is_refused_with_its_size_before_it_is_expanded(tmp_path: Path) -> None:
    rates = str([step / 10_000 for step in range(1, 10_001)])
    text = changed(("0.3", rates), ("1e-4", rates), ("prompt_length: 20", "prompt_length: [20, 40]"))
    size = "200,000,000 points (prompt_lr 10,000 x mlp_lr 10,000 x prompt_length 2)"
    refusal = f"own.yaml:3: grids.adept: the grid has {size}, more than 100,000: thin out an axis"
    assert problems(tmp_path, text) == [refusal]


def test_a_grid_just_over_the_limit_is_refused(tmp_path: Path) -> None:
    rates = [step / 1000 for step in range(1, 252)]
    text = changed(("0.3", str(rates)), ("1e-4", str(rates[:200])), ("prompt_length: 20", "prompt_length: [20, 40]"))
    assert "the grid has 100,400 points" in problems(tmp_path, text)[0]


@pytest.mark.parametrize("opened", ["[", "{a: ", "grids: {adept: {mlp_lr: ["])
def test_a_file_nested_thousands_deep_is_refused_in_a_sentence(opened: str, tmp_path: Path) -> None:
    file = tmp_path / "deep.yaml"
    for depth in (450, 5_000):  # the first is near to what can still be read
        file.write_text(opened + "[" * depth + "1" + "]" * depth)
        with pytest.raises(SpaceError) as caught:
            load_space(file, method="adept", d_model=768)
        assert all(len(problem) < 300 for problem in caught.value.problems)
    assert caught.value.problems == ["deep.yaml: nested too deep, or an anchor that holds itself"]


def test_anchors_cannot_blow_a_small_file_up(tmp_path: Path) -> None:
    levels = [f"about{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 30)}]\n" for level in range(1, 9)]
    assert problems(tmp_path, "about0: &a0 [1]\n" + "".join(levels)) == ["own.yaml: more than 200,000 values"]


def test_a_file_that_is_not_utf_8(tmp_path: Path) -> None:
    text = b"settings: {}\nabout: caf\xe9\n"
    assert problems(tmp_path, text) == ["own.yaml:2: not UTF-8: byte 0xe9 at offset 23; save the file as UTF-8"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("smal", "did you mean 'small'?"),
        ("t5-3B.yaml", "did you mean 't5-3b'?"),
        ("no/such/folder/large.yaml", "did you mean 'large'?"),
        ("hyperparameters", ""),
    ],
)
def test_a_space_that_is_not_there(name: str, hint: str) -> None:
    with pytest.raises(SpaceError) as caught:
        load_space(name, method="adept", d_model=768)
    shipped = "(ablations, decoder-only, decoder-only-search, large, long-prompts, small, t5-3b, t5-nano)"
    start = f"{name!r} is neither a file nor a shipped search space {shipped}"
    assert str(caught.value) == (f"{start}; {hint}" if hint else start)


def test_a_misspelt_file_name_finds_the_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "rates.yaml").write_text(GOOD)
    with pytest.raises(SpaceError, match=r"did you mean '.*rates\.yaml'\?"):
        load_space(tmp_path / "rate.yaml", method="adept", d_model=768)


def test_a_folder_is_no_space(tmp_path: Path) -> None:
    with pytest.raises(
        SpaceError, match="is a folder; a search space is one YAML file, or one of ablations, decoder-only, "
    ):
        load_space(tmp_path, method="adept", d_model=768)


@pytest.mark.parametrize(("d_model", "length"), [(0, 256), (768, 0)])
def test_a_width_or_length_of_nothing_is_refused(d_model: int, length: int) -> None:
    with pytest.raises(ValueError, match=f"at least 1, but are {d_model} and {length}"):
        load_space("small", method="adept", d_model=d_model, max_source_length=length)


def test_the_error_survives_the_way_to_another_process() -> None:
    error = pickle.loads(pickle.dumps(SpaceError(["one", "two"])))
    assert error.problems == ["one", "two"]
    assert str(error) == "- one\n- two"
