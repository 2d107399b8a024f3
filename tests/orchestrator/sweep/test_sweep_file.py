"""A sweep file: what it means, and that all that is wrong with it is reported at once, before anything starts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from orchestrator.sweep.cells import CellKey
from orchestrator.sweep.expand import PlannedSearch
from orchestrator.sweep.sweep_file import SweepFile, read_and_plan, read_sweep
from trials.errors import UserError
from trials.tasks.groups import members

SMALL = "tasks: [debsec, debmatch]\nmethods: [adept, pt]\nbackbones: [t5-nano]\n"


def planned(folder: Path, text: str) -> tuple[SweepFile, list[PlannedSearch]]:
    path = folder / "small.yaml"
    path.write_text(text)
    return read_and_plan(path, {"output": str(folder)})


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(UserError) as raised:
        planned(folder, text)
    return raised.value.problems


def test_the_product_is_searched_with_overrides_in_their_order(tmp_path: Path) -> None:
    sweep, searches = planned(
        tmp_path,
        SMALL
        + """
seeds: 2
options: {steps: 60, samples: 2}
overrides:
- {where: {method: pt}, options: {steps: 120, samples: null}}
- {where: {task: debsec, method: [pt, dept]}, options: {steps: 30}, search: pinned}
without:
- {task: debmatch, method: adept}
time_limit: 1h 30m
""".replace("[pt, dept]", "[pt]"),
    )
    assert sweep.name == "small" and sweep.time_limit == 5400
    assert [(one.key, one.plan.training.steps, one.plan.samples, one.search) for one in searches] == [
        (CellKey("debsec", "adept", "t5-nano"), 60, 2, "full"),
        (CellKey("debsec", "pt", "t5-nano"), 30, 3, "pinned"),
        (CellKey("debmatch", "pt", "t5-nano"), 120, 3, "full"),
    ]
    assert {one.plan.settings.seeds for one in searches} == {2}


def test_one_name_needs_no_list(tmp_path: Path) -> None:
    notify = "notify: {mail_to: a@b.example, mail_from: c@d.example, smtp: SMTP}\n"
    sweep, searches = planned(tmp_path, "tasks: debsec\nmethods: pt\nbackbones: t5-nano\n" + notify)
    assert sweep.notify.mail_to == ("a@b.example",) and len(searches) == 1


def test_a_group_stands_for_its_tasks(tmp_path: Path) -> None:
    _, searches = planned(
        tmp_path,
        "tasks: [debsec, mrqa, cb]\nmethods: pt\nbackbones: t5-nano\n"
        "options: {data_quirks: corrected}\n"
        "overrides: [{where: {task: mrqa}, options: {steps: 40}}, {where: {task: newsqa}, options: {steps: 20}}]\n"
        "without: [{task: hotpotqa}]\n",
    )
    assert [(one.key.task, one.plan.training.steps) for one in searches if one.key.task != "debsec"] == [
        ("nq", 40), ("searchqa", 40), ("newsqa", 20), ("superglue-cb", searches[0].plan.training.steps),
    ]  # fmt: skip
    assert {one.key.task for one in searches if one.plan.task.corrected} == {"nq", "searchqa", "newsqa"}


@pytest.mark.parametrize("tasks", ["[all]", "[debsec, sst2, nq]"])
def test_a_group_may_be_named_whose_tasks_stand_in_the_list_otherwise(tasks: str, tmp_path: Path) -> None:
    text = f"tasks: {tasks}\nmethods: pt\nbackbones: t5-nano\nwithout: [{{task: glue}}]\n"
    tasks_left = {one.key.task for one in planned(tmp_path, text)[1]}
    assert "nq" in tasks_left and not tasks_left & set(members("glue"))


def test_a_task_of_a_group_that_stands_beside_it_is_named(tmp_path: Path) -> None:
    found = problems(tmp_path, "tasks: [glue, rte]\nmethods: pt\nbackbones: t5-nano\nwithout: [{task: mrqa}]\n")
    assert found[0] == "small.yaml:1: tasks[1]: the task rte stands twice: remove one"
    assert "the sweep has no task 'mrqa'" in found[1]


def test_files_are_meant_from_the_folder_of_the_sweep(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.csv").write_text("text,label\n" + f"{split} a,x\n{split} b,y\n" * 20)
    files = "{train: train.csv, validation: validation.csv, test: test.csv}"
    (tmp_path / "own.yaml").write_text(f"name: mine\nfiles: {files}\ntemplate: 'text: {{text}}'\n")
    _, searches = planned(
        tmp_path,
        "tasks: [own.yaml, debsec]\nbackbones: t5-nano\n"
        "overrides: [{where: {task: mine}, options: {steps: 20, eval_every: 10}}]\n",
    )
    assert [one.key.task for one in searches] == ["mine", "debsec"]
    assert searches[0].options["task"] == str(tmp_path / "own.yaml")
    assert searches[0].plan.training.steps == 20


def test_everything_wrong_is_reported_at_once_with_its_line(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """tasks: [debsec, debsex, debsec]
methods: [adept, adpt]
seeds: 0
optons: {}
options: {step: 3, steps: x, output: here}
overrides:
- where: {task: debsecc, methd: pt}
  serch: full
- options: {steps: 60}
- where: {}
time_limit: 6
unchanged: tak over
worse: {windw: 3}
notify: {when: sometimes}
""",
    )
    expected = [
        "small.yaml:1: tasks[1]: no task is called 'debsex' (did you mean 'debsec'?)",
        "small.yaml:1: tasks[2]: the task debsec stands twice",
        "small.yaml:2: methods[1]: method 'adpt': must be one of",
        "small.yaml:3: seeds: should be greater than 0, found 0",
        "small.yaml:4: optons: unknown key (did you mean 'options'?)",
        "small.yaml:5: options.step: a search has no such option (did you mean 'steps'?)",
        "small.yaml:5: options.steps: must be a whole number, found 'x'",
        "small.yaml:5: options.output: this is an option of the command: --output",
        "small.yaml:7: overrides[0].where.methd: unknown key (did you mean 'method'?); keys are task, method, backbone",
        "small.yaml:8: overrides[0].serch: unknown key (did you mean 'search'?)",
        "small.yaml:9: overrides[1]: the key 'where' is missing",
        "small.yaml:11: time_limit: should be a duration with its unit",
        "small.yaml:12: unchanged: should be 'take over' or 'train again' (did you mean 'take over'?)",
        "small.yaml:13: worse.windw: unknown key (did you mean 'window'?)",
        "small.yaml:14: notify.when: should be 'worse', 'always' or 'never'",
    ]
    assert len(found) == len(expected)
    assert all(problem.startswith(start) for problem, start in zip(found, expected, strict=True)), found


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "small.yaml:1: a sweep is a mapping with the key tasks, ...; nothing is in it"),
        ("methods: [pt]\n", "small.yaml:1: the key 'tasks' is missing"),
        ("tasks: []\n", "small.yaml:1: tasks: should not be empty"),
        ("tasks: debsec\ntasks: debmatch\n", "tasks: stands twice, on lines 1 and 2"),
        (SMALL + "without: [{backbone: t5-nano}]\n", "small.yaml:4: without: leaves every search out"),
        (SMALL + "overrides: {options: {}}\n", "small.yaml:4: overrides: should be a list of mappings"),
        (SMALL + "overrides: [{where: {task: rte}}]\n", "where.task: the sweep has no task 'rte'"),
        (SMALL + "options: {seeds: 2}\nseeds: 2\n", "small.yaml:4: options.seeds: stands twice"),
        (SMALL + "options: {steps: 4000}\ntime_limit: 1s\n", "small.yaml:5: time_limit: 1 s is shorter than the"),
    ],
)
def test_what_cannot_be_run_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    assert any(problem in one for one in problems(tmp_path, text))


def test_what_does_not_go_together_is_said_once_with_its_searches(tmp_path: Path) -> None:
    (found,) = problems(
        tmp_path, SMALL + "options: {samples: 99}\noverrides: [{where: {method: pt}, options: {samples: 1}}]\n"
    )
    assert found.startswith("small.yaml:1: tasks[0]: (debsec, adept, t5-nano; debmatch, adept, t5-nano) --samples 99: ")


def test_a_method_that_a_backbone_cannot_have_is_refused_or_left_out(tmp_path: Path) -> None:
    falcon = tmp_path / "falcon"
    falcon.mkdir()
    (falcon / "config.json").write_text(
        '{"model_type": "falcon", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 99}'
    )
    (falcon / "tokenizer.json").write_text("{}")
    save_file({"wte": np.zeros((99, 8), dtype=np.float32)}, falcon / "model.safetensors")
    text = "tasks: debsec\nmethods: [pt, lora]\nbackbones: [t5-nano, falcon]\n"
    found = problems(tmp_path, text)
    assert len(found) == 1 and found[0].startswith("small.yaml:2: methods[1]: (debsec, lora, falcon) --method lora: on")
    _, searches = planned(tmp_path, text + "without: [{method: lora, backbone: falcon}]\n")
    assert [one.key[1:] for one in searches] == [("pt", "t5-nano"), ("pt", "falcon"), ("lora", "t5-nano")]


def test_a_sweep_that_is_not_there_has_a_near_one() -> None:
    with pytest.raises(UserError, match=r"dem: there is no such sweep file \(did you mean 'demo'\?\)"):
        read_sweep("dem")
