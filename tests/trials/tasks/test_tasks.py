from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trials.made_data import REPOSITORY, made_task
from trials.errors import TaskError
from trials.tasks import get_task, registered, task_names
from trials.tasks.base import template_columns
from trials.tasks.groups import members, task_groups
from trials.tasks.metrics import unfit
from trials.tasks.targets import label_key


def test_the_registry_loads_no_library_that_takes_time() -> None:
    heavy = "{'torch', 'transformers', 'datasets', 'pyarrow', 'pandas', 'sklearn'}"
    code = f"import sys, trials.tasks; print(sorted({heavy} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_names_and_aliases_lead_to_one_task_each() -> None:
    assert set(task_names()) >= {"rte", "cola", "sst2", "superglue-boolq", "debsec", "debmatch"}
    assert get_task("boolq") is get_task("superglue-boolq")
    names = [name for task in registered().values() for name in (task.name, *task.aliases)]
    assert len(names) == len(set(names))


def test_groups_are_the_benchmarks_of_the_papers_tables() -> None:
    sizes = {group: len(names) for group, names in task_groups().items()}
    assert sizes == {"glue": 8, "superglue": 6, "mrqa": 4, "others": 4, "all": 22}
    assert members("mrqa") == ("nq", "hotpotqa", "searchqa", "newsqa")
    assert members("rte") == ("rte",)
    with pytest.raises(TaskError, match=r"no task is called 'glue' .it is a group of tasks"):
        get_task("glue")


@pytest.mark.parametrize("name", task_names())
def test_a_registered_task_is_whole(name: str) -> None:
    task = registered()[name]
    assert task.columns
    assert task.selection_metric == task.metrics[0]
    assert task.embedded or (task.hub and task.folder)
    assert all(target.isdigit() for target in task.labels.values())
    assert not unfit(task.metrics, task.target.kind, task.answers, task.grouped)
    assert pickle.loads(pickle.dumps(task)) == task
    assert hash(task) == hash(pickle.loads(pickle.dumps(task)))


def test_a_misspelt_name_gets_a_hint_and_the_list() -> None:
    with pytest.raises(TaskError) as caught:
        get_task("boollq")
    assert "did you mean 'boolq'?" in str(caught.value)
    assert "debsec" in str(caught.value)


def test_a_missing_task_file_is_no_unknown_task(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("")
    with pytest.raises(TaskError, match=r"no such task file .did you mean 'mine.yaml'"):
        get_task(tmp_path / "mien.yaml")


def test_the_template_is_filled_in_as_published() -> None:
    assert get_task("rte").render({"sentence1": "It rains.", "sentence2": "{Wet}"}) == (
        "sentence1: It rains. sentence2: {Wet}"
    )
    assert template_columns("{{literal}} {b} {a} {b}") == ("b", "a")


def test_a_dot_belongs_to_the_name_of_a_column() -> None:
    task = made_task(template="{{}} {text.upper}: {a.b}")
    assert task.columns == ("text.upper", "a.b")
    assert task.render({"text.upper": "up", "a.b": "{x}"}) == "{} up: {x}"


@pytest.mark.parametrize("template", ["{}", "{0}", "{text[0]}", "{text!r}", "{text:>5}", "{text"])
def test_a_template_takes_plain_columns_only(template: str) -> None:
    with pytest.raises(ValueError):
        template_columns(template)


def test_the_published_splits_that_each_rule_reads() -> None:
    assert made_task(split="as_given").raw_splits == ("train", "validation", "test")
    assert made_task(split="small").raw_splits == ("train", "validation")
    assert made_task(split="large").raw_splits == ("train", "validation")
    assert made_task(split="large", files={}).raw_splits == ("train", "test")


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (1, "1"),
        (1.0, "1"),
        (0.5, "0.5"),
        ("1", "1"),
        ("1.0", "1"),
        ("-0.0", "0"),
        ("1.10", "1.10"),
        (True, "true"),
        ("False", "false"),
        (-1, "-1"),
        ("Yes", "Yes"),
    ],
)
def test_one_spelling_for_a_label(value: object, key: str) -> None:
    assert label_key(value) == key
