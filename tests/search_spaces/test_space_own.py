"""A space of one's own: what the file may say, and what becomes of it."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from search_spaces import Hyperparameter, Settings, Space, hyperparameters, load_space, methods
from search_spaces.hyperparameters import SETTINGS, read

HEAD = "settings: {steps: 100, eval_every: 10, batch_size: 4, warmup_steps: 5}\n"
Load = Callable[..., Space]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Writes the text as `own.yaml` and loads it."""

    def write_and_load(text: str, method: str = "adept", d_model: int = 768, **more: int) -> Space:
        file = tmp_path / "own.yaml"
        file.write_text(text, encoding="utf-8")
        return load_space(file, method=method, d_model=d_model, **more)

    return write_and_load


def test_the_smallest_space(load: Load) -> None:
    space = load(HEAD + "grids: {adept: {prompt_lr: 0.3, mlp_lr: 1, prompt_length: 0, bottleneck: 5}}\n")
    assert space.name == "own"
    assert (space.about, space.source) == ("", "")
    assert space.settings == Settings(steps=100, eval_every=10, batch_size=4, warmup_steps=5, max_source_length=None)
    assert space.configurations == ({"prompt_lr": 0.3, "mlp_lr": 1.0, "prompt_length": 0, "bottleneck": 5},)
    assert type(space.configurations[0]["mlp_lr"]) is float


@pytest.mark.parametrize(
    ("written", "value"),
    [("1e-4", 1e-4), ("1E-4", 1e-4), ("3e-1", 0.3), ("+3e+1", 30.0), (".5", 0.5), ("1.", 1.0), ("2.5e-3", 2.5e-3)],
)
def test_numbers_may_be_written_as_people_write_them(load: Load, written: str, value: float) -> None:
    grid = f"grids: {{adept: {{prompt_lr: {written}, mlp_lr: [{written}], prompt_length: 1_0, bottleneck: 010}}}}\n"
    configuration = load(HEAD + grid).configurations[0]
    assert configuration["prompt_lr"] == configuration["mlp_lr"] == value
    assert configuration["prompt_length"] == configuration["bottleneck"] == 10


def test_the_first_axis_changes_slowest(load: Load) -> None:
    space = load(HEAD + "grids: {adept: {mlp_lr: [1, 2], prompt_length: [20, 40], prompt_lr: 3, bottleneck: [8, 4]}}\n")
    points = [tuple(configuration.values()) for configuration in space.configurations]
    assert points[:3] == [(3.0, 1.0, 20, 8), (3.0, 1.0, 20, 4), (3.0, 1.0, 40, 8)]
    assert points[-1] == (3.0, 2.0, 40, 4)
    assert len(points) == 8


@pytest.mark.parametrize("key", ["prompt_length, bottleneck", '"prompt_length,bottleneck"'])
def test_a_joint_axis_moves_its_values_together(load: Load, key: str) -> None:
    text = f"grids:\n  adept:\n    {key}: [[20, 39], [40, 29]]\n    prompt_lr: [0.3, 0.4]\n    mlp_lr: 1e-4\n"
    space = load(HEAD + text)
    points = [(c["prompt_length"], c["bottleneck"], c["prompt_lr"]) for c in space.configurations]
    assert points == [(20, 39, 0.3), (20, 39, 0.4), (40, 29, 0.3), (40, 29, 0.4)]


def test_the_budget_rule_follows_a_prompt_length_in_a_joint_axis(load: Load) -> None:
    text = "grids: {adept: {'prompt_lr, prompt_length': [[0.3, 20], [0.4, 60]], mlp_lr: 1, bottleneck: from_budget}}\n"
    space = load(HEAD + text)
    assert [(c["prompt_lr"], c["bottleneck"]) for c in space.configurations] == [(0.3, 39), (0.4, 19)]


def test_the_budget_can_be_set(load: Load) -> None:
    text = "budget: 200\ngrids: {adept: {prompt_lr: 1, mlp_lr: 1, prompt_length: 120, bottleneck: from_budget}}\n"
    assert load(HEAD + text).configurations[0]["bottleneck"] == 39


def test_dept_s_rank_depends_on_the_input_length_and_the_file_s_own_goes_first(load: Load) -> None:
    text = "grids: {dept: {prompt_lr: 1, lowrank_lr: 1, prompt_length: 60, rank: from_budget}}\n"
    assert load(HEAD + text, method="dept").configurations[0]["rank"] == 30
    assert load(HEAD + text, method="dept", max_source_length=512).configurations[0]["rank"] == 24
    own = HEAD.replace("}", ", max_source_length: 512}")
    space = load(own + text, method="dept", max_source_length=256)
    assert space.configurations[0]["rank"] == 24
    assert space.settings.max_source_length == 512
    asked = load(own + text, method="dept", max_source_length=512, asked_length=256)
    assert asked.configurations[0]["rank"] == 30
    assert asked.settings.max_source_length == 512  # as the file has it


def test_equal_configurations_are_dropped_counted_and_said(load: Load) -> None:
    text = "grids: {adept: {prompt_lr: [0.3, 3e-1], mlp_lr: [1, 1.0, 2], prompt_length: 20, bottleneck: 5}}\n"
    space = load(HEAD + text)
    assert [configuration["mlp_lr"] for configuration in space.configurations] == [1.0, 2.0]
    assert space.duplicates == 4
    assert space.describe_axes()[-1] == "4 equal configurations dropped"


@pytest.mark.parametrize(
    ("method", "axes", "left"),
    [
        ("adept", "mlp_lr: [1e-4, 1e-5], bottleneck: 5", [(0.3, 0), (0.3, 20), (0.4, 20)]),
        ("dept", "lowrank_lr: [1e-4, 1e-5], rank: 5", [(0.3, 0), (0.3, 20), (0.4, 20)]),
        ("embedding_matrix", "matrix_lr: [1e-4, 1e-5]", [(0.3, 0), (0.3, 20), (0.4, 20)]),
        ("pt", "prompt_init: [uniform, vocabulary]", [(0.3, 1), (0.3, 20), (0.4, 1), (0.4, 20)]),
    ],
)
def test_the_rate_of_a_prompt_without_rows_makes_no_other_configuration(
    load: Load, method: str, axes: str, left: list[tuple[float, int]]
) -> None:
    lengths = "[1, 20]" if method == "pt" else "[0, 20]"
    text = f"grids: {{{method}: {{prompt_lr: [0.3, 0.4], prompt_length: {lengths}, {axes}}}}}\n"
    space = load(HEAD + text, method=method)
    assert list(dict.fromkeys((c["prompt_lr"], c["prompt_length"]) for c in space.configurations)) == left
    assert (len(space.configurations), space.duplicates) == (2 * len(left), 8 - 2 * len(left))


def test_the_axes_can_be_shown(load: Load) -> None:
    text = "grids: {adept: {prompt_lr: [0.3, 1e-5], mlp_lr: 1e-4, prompt_length: [20, 40], bottleneck: from_budget}}\n"
    assert load(HEAD + text).describe_axes() == [
        "prompt_lr: 0.3, 1e-05",
        "mlp_lr: 0.0001",
        "prompt_length, bottleneck: (20, 39), (40, 29) (bottleneck from a budget of 100 rows at d = 768)",
    ]


def test_axes_alone_say_the_whole_grid_defaults_included(load: Load) -> None:
    space = load(HEAD + "grids: {pt: {prompt_lr: [0.3, 0.4]}}\n", method="pt")
    assert {name: axis.rows for axis in space.axes for name in axis.names} == {
        "prompt_lr": ((0.3,), (0.4,)),
        "prompt_length": ((100,),),
        "prompt_init": (("vocabulary",),),
    }
    assert space.configurations[1] == {"prompt_lr": 0.4, "prompt_length": 100, "prompt_init": "vocabulary"}


def test_the_prompt_s_start_is_left_to_the_recipe_unless_given(load: Load) -> None:
    grid = "grids: {adept: {prompt_lr: 1, mlp_lr: 1, prompt_length: 20, bottleneck: 5%s}}\n"
    assert "prompt_init" not in load(HEAD + grid % "").configurations[0]
    both = load(HEAD + grid % ", prompt_init: [text, vocabulary]").configurations
    assert [configuration["prompt_init"] for configuration in both] == ["text", "vocabulary"]


def test_each_method_may_name_its_own_source(load: Load) -> None:
    grids = "grids: {pt: {prompt_lr: 1}, adept: {prompt_lr: 1, mlp_lr: 1, prompt_length: 1, bottleneck: 1}}\n"
    text = "source: {adept: here, pt: there}\n" + grids
    assert load(HEAD + text).source == "here"
    assert load(HEAD + text, method="pt").source == "there"


def test_anchors_work(load: Load) -> None:
    text = "grids:\n  adept: {prompt_lr: &rates [0.3, 0.4], mlp_lr: *rates, prompt_length: 1, bottleneck: 1}\n"
    assert len(load(HEAD + text).configurations) == 4


def test_a_byte_order_mark_and_comments_do_no_harm(load: Load) -> None:
    assert load("\ufeff# mine\n" + HEAD + "grids: {pt: {prompt_lr: 1}}  # one\n", method="pt").configurations


def test_a_grid_of_exactly_the_limit_loads(load: Load) -> None:
    rates = [step / 1000 for step in range(1, 251)]
    text = f"grids: {{adept: {{prompt_lr: {rates}, mlp_lr: {rates[:200]}, prompt_length: [1, 2], bottleneck: 1}}}}\n"
    assert len(load(HEAD + text).configurations) == 100_000


def test_changed_settings_can_be_checked_again() -> None:
    settings = load_space("small", method="adept", d_model=768).settings
    changed = dataclasses.replace(settings, steps=500)
    assert set(changed.problems()) == {"eval_every", "warmup_steps"}
    assert "more than steps (500)" in changed.problems()["eval_every"]
    assert set(dataclasses.replace(settings, steps=0, batch_size=-1).problems()) == {"steps", "batch_size"}
    assert dataclasses.replace(settings, max_source_length=64).problems() == {}


def test_the_table_of_settings_is_that_of_the_class() -> None:
    assert list(SETTINGS) == [field.name for field in dataclasses.fields(Settings)]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_no_rule_lets_through_what_is_not_finite(value: float) -> None:
    with pytest.raises(ValueError, match="out of range"):
        read(Hyperparameter(meaning="a rate without bounds", type="float"), value)


def test_the_hyperparameters_of_the_methods() -> None:
    assert methods() == ["adept", *sorted(set(methods()) - {"adept"})]
    assert {method: list(hyperparameters(method)) for method in methods() if method != "peft"} == {
        "adept": ["prompt_lr", "mlp_lr", "prompt_length", "bottleneck", "prompt_init"],
        "dept": ["prompt_lr", "lowrank_lr", "prompt_length", "rank", "prompt_init"],
        "pt": ["prompt_lr", "prompt_length", "prompt_init"],
        "lora": ["lr", "rank", "alpha"],
        "full_finetuning": ["lr"],
        "bitfit": ["lr"],
        "adapter": ["lr", "reduction"],
        "adapterdrop": ["lr", "reduction", "first_layer"],
        "lst": ["lr", "reduction", "side_layers"],
        "lamp": ["prompt_lr", "prompt_length", "pool", "rank", "prompt_init"],
        "embedding_matrix": ["prompt_lr", "matrix_lr", "prompt_length", "prompt_init"],
        "ia3": ["lr", "rescaled"],
        "p_tuning": ["lr", "prompt_length", "hidden"],
        "prefix": ["lr", "prefix_length", "hidden"],
        "spot": ["prompt_lr", "prompt_length"],
        "attempt": ["prompt_lr", "attention_lr", "prompt_length", "bottleneck", "temperature"],
        "mpt": ["prompt_lr", "task_lr", "prompt_length", "rank", "prompt_init"],
        "mpt_t": ["prompt_lr", "task_lr", "prompt_length", "rank"],
        "apt": ["lr", "prefix_length", "hidden"],
    }
    plain = hyperparameters("pt")
    length = plain["prompt_length"]
    assert (length.default, length.minimum, length.required) == (100, 1, False)
    assert (plain["prompt_init"].choices, plain["prompt_init"].default) == (("vocabulary", "uniform"), "vocabulary")
    ours = hyperparameters("adept")
    assert (ours["prompt_init"].required, ours["prompt_init"].default) == (False, None)
    assert ours["prompt_length"].minimum == 0
    assert ours["bottleneck"].minimum == 1
    assert ours["mlp_lr"].above == 0
    assert all(rule.meaning for method in methods() for rule in hyperparameters(method).values())
