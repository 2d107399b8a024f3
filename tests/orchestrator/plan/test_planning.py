"""From a request to trials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.plan.estimate import Device, estimate, sharing
from tests.orchestrator.plan.planning import plan
from trials.errors import UserError
from trials.methods import method_names

EQUAL = """
settings: {steps: 40, eval_every: 10, batch_size: 8, warmup_steps: 4}
grids:
  adept: {prompt_lr: [0.1, 0.1], mlp_lr: 1e-3, prompt_length: 20, bottleneck: from_budget}
  pt: {prompt_lr: 0.1, prompt_length: [20, 22]}
"""


def test_rte_without_more_is_the_papers_search_and_needs_no_network() -> None:
    made = plan(task="rte")
    assert made.facts.location == "google-t5/t5-base"
    assert (len(made.trials), made.steps) == (24, 720_000)
    assert (made.training.eval_every, made.training.warmup_steps, made.training.batch_size) == (1_000, 500, 32)
    assert {t.parameters for t in made.trials} == {76_071, 76_061, 76_051, 76_041}
    assert any("t5-base" in note for note in made.notes) and any("small" in note for note in made.notes)
    assert (made.rank_by, made.grace_period) == ("loss", 3_000)  # a tenth of 30,000


def test_lora_has_its_published_size_and_shares_passes_on_t5() -> None:
    made = plan(task="rte", method="lora")
    assert [t.parameters for t in made.trials] == [3_538_944]
    demo = plan(method="lora")
    assert demo.spec.slots is None and demo.spec.typical is not None and demo.spec.typical.prompt_length == 0
    assert sharing(demo) == "passes: trials of an engine share each, as many as fill a device (found by measuring it)"
    assert plan(method="lora", slots=3).spec.slots == 3
    assert sharing(plan(method="lora", slots=3)) == "passes: up to 3 trials of an engine share each"
    assert sharing(plan(method="lora", slots=1)) == "passes: one trial a device (--slots 1)"
    bitfit = "passes: one trial a device, as bitfit changes weights that all rows of a pass share"
    assert sharing(plan(method="bitfit", task="rte")) == bitfit
    device = Device("toy", 8, 1e12, "made up")
    like = [estimate(p, device).full_seconds / p.steps for p in (demo, plan(method="pt"))]
    assert like[0] < like[1]  # a prompt of 100 rows costs more than a low rank


def test_lora_on_llama_has_its_published_size_as_well() -> None:
    made = plan(task="debsec", method="lora", backbone="llama3-8b", space="decoder-only")
    assert 9_437_184 in {t.parameters for t in made.trials}  # 9.4M (Table 7): queries, keys and values at rank 16
    assert made.spec.slots == 1


def test_lora_is_drawn_from_its_ranges() -> None:
    made = plan(method="lora", searcher="random", samples=5)
    assert len({t.parameters for t in made.trials}) > 1
    assert all(4 <= float(t.config.hyperparameters["rank"]) <= 16 for t in made.trials)


@pytest.mark.parametrize(("searcher", "drawn"), [("random", True), ("tpe", False)])
def test_a_searcher_draws_nothing_that_the_method_refuses_on_the_backbone(
    searcher: str, drawn: bool, tmp_path: Path
) -> None:
    """Ranks up to 300 where weights have 256; a grid of the same values is refused, and so is one without any other."""
    file = tmp_path / "ranks.yaml"
    head = "settings: {steps: 40, eval_every: 10, batch_size: 8, warmup_steps: 4}\ngrids:\n  lora: {lr: [1e-3, 1e-2], "
    file.write_text(head + "rank: [300, 230]}\n")
    made = plan(method="lora", space=file, searcher=searcher, samples=20)
    assert all(230 <= int(t.config.hyperparameters["rank"]) <= 256 for t in made.trials) and bool(made.trials) == drawn
    assert any("rank 300 is larger than 256" in note and note.endswith("are not drawn") for note in made.notes)
    assert made.spec.typical is not None and made.spec.typical.hyperparameters["rank"] == 230
    for options, ranks in (({}, "[300, 230]"), ({"searcher": searcher, "samples": 4}, "300")):
        file.write_text(head + f"rank: {ranks}}}\n")
        with pytest.raises(UserError, match="lora: rank 300 is larger than 256"):
            plan(method="lora", space=file, **options)


def tiny_model(folder: Path) -> Path:
    """A folder that looks like a model, as far as plans look, with a vocabulary of 9."""
    model = folder / "model"
    model.mkdir()
    (model / "config.json").write_text(
        '{"model_type": "gpt2", "n_embd": 8, "n_layer": 1, "n_head": 2, "vocab_size": 9}'
    )
    (model / "tokenizer.json").write_text("{}")
    (model / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    return model


@pytest.mark.parametrize(
    ("grid", "recipe", "refusal"),
    [
        ("pt: {prompt_lr: 1, prompt_length: [9, 10]}", "released_code", "or prompt_init: uniform"),
        ("pt: {prompt_lr: 1, prompt_length: [9, 10], prompt_init: uniform}", "released_code", ""),
        ("mpt: {prompt_lr: 1, task_lr: 1, prompt_length: 10}", "released_code", "or prompt_init: uniform"),
        ("adept: {prompt_lr: 1, mlp_lr: 1, prompt_length: 10, bottleneck: 1}", "released_code", ""),
        ("adept: {prompt_lr: 1, mlp_lr: 1, prompt_length: 10, bottleneck: 1}", "paper", "or prompt_init: text"),
    ],
)
def test_a_prompt_of_more_rows_than_the_vocabulary_has_is_refused(
    grid: str, recipe: str, refusal: str, tmp_path: Path
) -> None:
    file = tmp_path / "long.yaml"
    file.write_text(f"settings: {{steps: 4, eval_every: 2, batch_size: 8, warmup_steps: 0}}\ngrids: {{{grid}}}\n")
    options = {"space": file, "backbone": tiny_model(tmp_path), "method": grid.partition(":")[0], "recipe": recipe}
    if not refusal:
        assert max(t.config.prompt_length for t in plan(**options).trials) == 10
        return
    why = "prompt_length 10 is more than the 9 rows of the vocabulary that a prompt is drawn from; give at most 9, "
    with pytest.raises(UserError) as error:
        plan(**options)
    assert error.value.problems == [f"search space long: {options['method']}: {why}{refusal} (on model)"]


def test_what_a_method_inside_the_backbone_cannot_be_asked_for_is_said_with_everything_else(tmp_path: Path) -> None:
    model = tiny_model(tmp_path)
    with pytest.raises(UserError) as caught:
        plan(method="lora", slots=2, steps=-1, backbone=model)
    wrong, slots, method = caught.value.problems
    assert wrong.startswith("--steps -1: must be greater than 0")
    assert slots.startswith("--slots 2: lora changes weights inside the backbone") and "leave --slots out" in slots
    assert method.startswith("--method lora: on model the query, key and value projections are not kept")
    assert plan(method="lora", slots=1).spec.slots == 1


def test_the_demo_is_the_default() -> None:
    made = plan()
    assert (made.task.name, made.facts.name, made.space.name) == ("debsec", "t5-nano", "t5-nano")


def test_duplicates_are_dropped_and_said(space: Path) -> None:
    made = plan(space=space)
    assert len(made.trials) == 4
    assert any("2 duplicate" in note for note in made.notes)


def test_trials_are_numbered_by_the_grid_and_start_in_an_order_that_the_seed_decides(space: Path) -> None:
    def order(seed: int) -> list[int]:
        return [t.number for t in plan(space=space, seed=seed).trials]

    assert sorted(order(42)) == [1, 2, 3, 4]
    assert order(42) == order(42)
    assert len({tuple(order(seed)) for seed in range(6)}) > 1


def test_some_of_the_grid_keep_the_numbers_that_they_have_in_it(space: Path) -> None:
    made = plan(space=space, samples=2)
    whole = {t.number: t.config.hyperparameters for t in plan(space=space).trials}
    assert len(made.trials) == made.samples == 2
    assert all(whole[t.number] == t.config.hyperparameters for t in made.trials)


def test_random_search_draws_from_the_grids_ranges_the_same_for_the_same_seed(space: Path) -> None:
    made, again, other = (plan(space=space, searcher="random", samples=5, seed=seed) for seed in (1, 1, 2))
    assert [t.number for t in made.trials] == [1, 2, 3, 4, 5]
    drawn = [t.config.hyperparameters for t in made.trials]
    assert all(0.1 <= d["prompt_lr"] <= 0.2 and 4 <= d["prompt_length"] <= 8 for d in drawn)  # type: ignore[operator]
    assert len({str(d) for d in drawn}) == 5
    assert drawn == [t.config.hyperparameters for t in again.trials] != [t.config.hyperparameters for t in other.trials]


@pytest.mark.parametrize(
    ("asked", "length", "rank"),
    [({}, 512, 24), ({"max_source_length": 256}, 256, 30), ({"max_source_length": 1_024}, 1_024, 17)],
)
@pytest.mark.parametrize("searcher", ["grid", "random"])
def test_the_budget_is_counted_at_the_length_that_is_trained_with(
    asked: dict[str, int], length: int, rank: int, searcher: str, tmp_path: Path
) -> None:
    """The command line goes before the space's file, and that before the task (RTE: 256 tokens)."""
    file = tmp_path / "long.yaml"
    file.write_text(
        "settings: {steps: 40, eval_every: 10, batch_size: 8, warmup_steps: 4, max_source_length: 512}\n"
        "grids: {dept: {prompt_lr: 0.3, lowrank_lr: [1e-4, 1e-3], prompt_length: 60, rank: from_budget}}\n"
    )
    made = plan(task="rte", method="dept", space=file, searcher=searcher, samples=2, **asked)
    assert made.max_source_length == length
    assert {t.config.hyperparameters["rank"] for t in made.trials} == {rank}
    assert {t.parameters for t in made.trials} == {60 * 768 + rank * (length + 768)}  # at most 76,800


def test_a_searcher_that_learns_has_samples_but_no_trials_yet(space: Path) -> None:
    made = plan(space=space, searcher="tpe", samples=5)
    assert (made.trials, made.samples, made.numbers, made.steps) == ((), 5, [1, 2, 3, 4, 5], 5 * 40)
    others: list[dict[str, Any]] = [{"samples": 6}, {"seed": 1}, {"searcher": "gp"}, {"warm_start": "yes"}]
    names = {plan(**{"space": space, "searcher": "tpe", "samples": 5, **more}).name for more in ({}, *others)}
    assert made.name in names and len(names) == 5


def test_a_searcher_that_learns_begins_with_few_trials_at_once_unless_told_otherwise(space: Path) -> None:
    assert plan(space=space, searcher="tpe", samples=24).max_concurrent == 8
    assert plan(space=space, searcher="tpe", samples=24, max_concurrent=20).max_concurrent == 20
    assert plan(space=space).max_concurrent is None


def test_further_seeds_are_counted_and_leave_the_searchs_name_as_it_is(space: Path) -> None:
    one, three = plan(space=space), plan(space=space, seeds=3, top=2)
    assert three.name == one.name
    assert (three.samples, three.repeats, three.count, three.steps) == (4, 4, 8, 8 * 40)
    assert three.expected_steps == one.expected_steps + 4 * 40
    assert plan(space=space, deterministic="yes").name != one.name
    assert plan(space=space, ties="loss").name != one.name == plan(space=space, ties="keep").name
    assert plan(space=space, deterministic="yes").spec.deterministic


def test_a_shorter_budget_brings_interval_and_warm_up_with_it(space: Path) -> None:
    made = plan(space=space, steps=4)
    assert (made.training.eval_every, made.training.warmup_steps) == (4, 0)
    assert plan(space=space, steps=25).training.eval_every == 5


def test_the_same_request_has_the_same_name_and_another_has_another(space: Path) -> None:
    names = [
        plan(space=space, **more).name
        for more in ({}, {}, {"steps": 80}, {"seed": 1}, {"recipe": "paper"}, {"precision": "bfloat16"})
    ]
    assert names[0] == names[1]
    assert len(set(names)) == 5
    assert plan(space=space, slots=8, memory_limit=2.5, devices=1).name == names[0]  # they decide no number
    assert plan(space=space, name="mine", output="elsewhere").folder == Path.cwd() / "elsewhere" / "mine"


def test_what_an_engine_is_made_from(space: Path) -> None:
    spec = plan(space=space, slots=8, memory_limit=2.5, precision="bfloat16").spec
    assert (spec.slots, spec.memory_limit, spec.precision) == (8, 2_500_000_000, "bfloat16")
    assert spec.typical is not None and spec.typical.hyperparameters["prompt_length"] == 8
    assert plan(space=space).spec.slots is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"task": "rtr"}, "did you mean 'rte'?"),
        (
            {"method": "adpt"},
            f"--method adpt: must be one of {', '.join(method_names())} (did you mean 'adept'?)",
        ),
        ({"backbone": "t5-bse"}, "did you mean 't5-base'?"),
        ({"space": "smal"}, "did you mean 'small'?"),
        ({"data_dir": "/no/such"}, "--data-dir /no/such: there is no such folder"),
        ({"grace_period": 7}, "--grace-period 7: must be a multiple of --eval-every"),
        ({"steps": 10, "eval_every": 20}, "--eval-every: 20 is more than steps (10)"),
        ({"steps": 100, "warmup_steps": 100}, "--warmup-steps: 100 is not less than steps (100)"),
        ({"samples": 99}, "ask for at most that many"),
        (
            {"searcher": "tpe", "samples": 4, "space": "EQUAL"},
            "--samples 4: the ranges of equal hold one configuration",
        ),
        (
            {"searcher": "random", "samples": 4, "space": "EQUAL"},
            "hold one configuration for adept; ask for at most that",
        ),
        ({"searcher": "gp", "samples": 4, "space": "EQUAL", "method": "pt"}, "hold 3 different configurations for pt"),
        ({"seeds": 2, "top": 99}, "--top 99: there are"),
        ({"backbone": "smal/nothing/here"}, "an existing folder, nor a hub id"),
    ],
)
def test_a_wrong_request_is_refused_with_the_fix(options: dict[str, Any], expected: str, tmp_path: Path) -> None:
    if options.get("space") == "EQUAL":
        (tmp_path / "equal.yaml").write_text(EQUAL)
        options = {**options, "space": tmp_path / "equal.yaml"}
    with pytest.raises(UserError) as error:
        plan(**options)
    assert expected in str(error.value)
    assert len(error.value.problems) == 1


def test_everything_wrong_comes_at_once(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(UserError) as error:
        plan(
            task="rtr",
            method="x",
            backbone="t5-bse",
            data_dir="/no/such",
            output=file / "below",
            steps="x",
            reduction_factor=0,
        )
    assert len(error.value.problems) == 7


def test_an_output_folder_that_cannot_be_written_is_found_now() -> None:
    with pytest.raises(UserError, match="--output /proc/nothing: cannot write"):
        plan(output="/proc/nothing")


def test_a_space_without_the_method_says_which_it_has(space: Path) -> None:
    with pytest.raises(UserError, match="pt"):
        plan(space=space, method="pt")
