"""``search --task glue``: the searches of a group, from one command."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from orchestrator.sweep.sweep_file import read_and_plan
from tests.commands import adept
from tests.orchestrator.typed_commands import typed
from tests.trials.made_data import write_rows
from trials.tasks import get_task, groups


def test_the_plan_of_a_group_is_that_of_a_sweep_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("a plan asked for rows, which would come from the hub")

    monkeypatch.setattr("orchestrator.sweep.fingerprint.prepare_data", never)
    monkeypatch.chdir(tmp_path)
    code, out, err = typed(
        "search", "--task", "mrqa", "--method", "pt", "--backbone", "t5-nano", "--steps", "40", "--seeds", "2", "--plan"
    )
    assert code == 0, err
    assert "mrqa: 4 tasks, searched one after another as the sweep mrqa-pt-" in out
    for text in ("nq", "hotpotqa", "searchqa", "newsqa", "4 searches: 4 to run"):
        assert text in out
    assert list(tmp_path.iterdir()) == []
    assert typed("plan", "--task", "mrqa", "--method", "pt", "--backbone", "t5-nano", "--name", "mine")[0] == 0


def test_what_is_wrong_is_reported_at_once_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = typed("search", "--task", "glue", "--steps", "x", "--shots", "0", "--rerun", "3", "--seeds", "none")
    assert code == 2
    for text in ("--steps x: must be a whole number", "--shots 0: must be greater than 0", "--rerun: glue is a group"):
        assert text in err
    code, _, err = typed("search", "--task", "glue", "--backbone", "t5-nano", "--shots", "2", "--samples", "99")
    assert code == 2
    assert "--shots 2: MNLI has 3 classes" in err and "--samples 99" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_group_is_searched_and_the_same_command_takes_it_over(
    ray_local: None, default_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {"glue": ("rte", "mrpc")}
    for place in ("trials.tasks.task_groups", "trials.tasks.groups.task_groups"):
        monkeypatch.setattr(place, lambda: small)
    assert groups.members("glue") == small["glue"]
    for task in map(get_task, small["glue"]):
        for split, count in {"train": 40, "validation": 12, "test": 12}.items():
            rows = [{"sentence1": f"It is {n}.", "sentence2": f"It is {n % 2}.", "label": n % 2} for n in range(count)]
            write_rows(tmp_path / "data" / str(task.folder) / f"{split}.parquet", rows)
    space = tmp_path / "short.yaml"
    space.write_text(
        "settings: {steps: 4, eval_every: 4, batch_size: 4, warmup_steps: 1}\n"
        "grids: {pt: {prompt_lr: [0.1, 0.3], prompt_length: 4}}\n"
    )
    command = [
        "search", "--task", "glue", "--method", "pt", "--backbone", "t5-nano", "--space", str(space), "--shots", "16",
        "--name", "both", "--data-dir", "data", "--data-sizes", "any", "--devices", "1",
        "--tracking-uri", f"sqlite:///{default_database}",
    ]  # fmt: skip
    output = adept(tmp_path, *command)
    assert "glue: 2 tasks, searched one after another as the sweep both" in output
    file = tmp_path / "runs" / "both" / "both.yaml"
    assert yaml.safe_load(file.read_text())["options"]["shots"] == "16"
    searches = read_and_plan(file, {"output": str(tmp_path / "runs")})[1]
    assert {one.plan.trials[0].config.shots for one in searches} == {16}
    assert {one.key.task for one in searches} == set(small["glue"])
    records = {path: path.read_bytes() for path in file.parent.glob("*/*/search.json")}
    assert len(records) == 2
    adept(tmp_path, *command)
    assert {path: path.read_bytes() for path in file.parent.glob("*/*/search.json")} == records
