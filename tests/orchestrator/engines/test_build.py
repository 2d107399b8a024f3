"""Engines made one after the other in one process: what is loaded once, and that nothing of the former one is left."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.engines import build
from orchestrator.engines.build import build_engine, peak_memory
from orchestrator.plan.engine_spec import EngineSpec
from trials.backbones.facts import DEFAULT, EMBEDDED
from trials.config import TrialConfig
from trials.evaluation import Scored
from trials.tasks import get_task
from trials.tasks.metrics import METRICS

HYPERPARAMETERS: dict[str, dict[str, Any]] = {
    "adept": {"prompt_lr": 0.3, "mlp_lr": 1e-3, "prompt_length": 4, "bottleneck": 2},
    "pt": {"prompt_lr": 0.3, "prompt_length": 12},
    "lora": {"lr": 1e-2, "rank": 2},
}


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that has loaded nothing yet, as far as engines know, and a cache of its own."""
    monkeypatch.setenv("ADEPT_CACHE", str(tmp_path / "cache"))
    build._held.clear()
    yield
    build._held.clear()


def task(folder: Path, name: str, words: tuple[str, str]) -> str:
    """A task of its own that is told apart by a word."""
    for first, split in enumerate(("train", "validation", "test")):
        with (folder / f"{name}-{split}.csv").open("w") as stream:
            rows = [[f"{word} number {first * 16 + i}", word] for i in range(16) for word in words]
            csv.writer(stream).writerows([["text", "kind"], *rows])
    files = {split: f"{name}-{split}.csv" for split in ("train", "validation", "test")}
    facts = {"name": name, "template": "{text}", "label_column": "kind", "files": files}
    (folder / f"{name}.yaml").write_text(json.dumps(facts))
    return str(folder / f"{name}.yaml")


def trial(method: str, seed: int = 7) -> TrialConfig:
    return TrialConfig(method, HYPERPARAMETERS[method], steps=6, eval_every=2, batch_size=4, warmup_steps=1, seed=seed)


def engine_for(task_file: str, method: str, **more: Any) -> Any:
    given = {"backbone": DEFAULT, "data_dir": None, "max_source_length": 32, "deterministic": True, **more}
    return build_engine(EngineSpec(task=task_file, typical=trial(method), **given), "cpu")


def trained(engine: Any, method: str) -> list[dict[str, Any]]:
    """The reports of two trials side by side, without their seconds."""
    for seed in (1, 2):
        engine.start(str(seed), trial(method, seed))
    reports = [engine.next_report(str(seed)).as_dict() for _ in range(3) for seed in (1, 2)]
    return [{name: value for name, value in report.items() if "seconds" not in name} for report in reports]


@pytest.mark.parametrize("method", ["adept", "lora"])
def test_an_engine_after_others_trains_bit_for_bit_as_a_fresh_one(tmp_path: Path, method: str) -> None:
    first, other = task(tmp_path, "first", ("game", "mail")), task(tmp_path, "other", ("red", "blue"))
    alone = trained(engine_for(first, method), method)
    backbone = build._held[0].backbone
    build._held.clear()
    trained(engine_for(other, "lora"), "lora")
    unfinished = engine_for(other, "pt", slots=3)
    unfinished.start("1", trial("pt"))
    unfinished.advance()
    between = build._held[0].backbone
    again = engine_for(first, method)
    assert again.backbone is between and between is not backbone
    assert again.slots == {} and again.settings.slots is None
    assert trained(again, method) == alone


def test_a_backbone_is_loaded_again_where_precision_lane_or_its_files_are_others(tmp_path: Path) -> None:
    data, folder = task(tmp_path, "first", ("game", "mail")), tmp_path / "my-t5"
    shutil.copytree(EMBEDDED / DEFAULT, folder)
    found = [
        engine_for(data, "adept", **more).backbone for more in ({}, {}, {"lane": "stock"}, {"backbone": str(folder)})
    ]
    assert [found[0] is each for each in found] == [True, True, False, False]
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"dropout_rate": 0.2}))
    changed = engine_for(data, "adept", backbone=str(folder)).backbone
    assert changed is not found[3] and changed.facts.revision != found[3].facts.revision
    assert len(build._held) == 1


def test_what_came_of_running_the_programs_is_kept_with_the_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    class Rows:
        groups = None

        def __len__(self) -> int:
            return 2

        def batch(self, places: range) -> tuple[list[list[int]], list[list[int]], list[str]]:
            return [[1], [2]], [], []

    monkeypatch.setitem(METRICS, "pass_at_1", replace(METRICS["pass_at_1"], by_rows=lambda given, _: [1.0, 0.0]))
    monkeypatch.setattr("trials.export.adapters.load_adapter", lambda folder, backbone: SimpleNamespace(method=None))
    scored = Scored({"pass_at_1": 50.0}, [" return 1", " return 2"], ["a", "b"])
    data = SimpleNamespace(task=get_task("mbpp"), split=lambda name: Rows())
    engine = SimpleNamespace(backbone=None, data=data, score=lambda method, split: scored)
    assert build.test_scores(engine, {})["rows"]["passed"] == [1.0, 0.0]
    data.task, scored.metrics = get_task("debsec"), {"accuracy": 50.0}
    assert "passed" not in build.test_scores(engine, {})["rows"]


def test_passes_are_measured_once_for_the_same_rows_limit_and_shape_of_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trials import engine

    measure = engine.measure
    times: list[int] = []

    def counting(*arguments: Any) -> Any:
        times.append(1)
        return measure(*arguments)

    monkeypatch.setattr(engine, "measure", counting)
    first, other = task(tmp_path, "first", ("game", "mail")), task(tmp_path, "other", ("red", "blue"))
    counted = []
    for task_file, method, limit in (
        (first, "adept", None),
        (first, "adept", None),
        (first, "pt", None),  # a longer prompt
        (other, "adept", None),
        (first, "adept", 8 << 30),
    ):
        made = engine_for(task_file, method, deterministic=False, memory_limit=limit)
        assert made.measured is not None and made.stack.cost == made.measured.cost
        counted.append(len(times))
    assert counted == [1, 1, 2, 3, 4]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak begins anew on Linux only")
def test_the_peak_of_memory_is_that_of_the_engine_and_not_of_those_before(tmp_path: Path) -> None:
    data = task(tmp_path, "first", ("game", "mail"))
    engine_for(data, "adept")
    held = bytearray(400 << 20)
    held[::4096] = b"1" * len(held[::4096])
    before = peak_memory("cpu")
    del held
    engine_for(data, "adept")
    assert peak_memory("cpu") < before - (300 << 20)


def test_a_deterministic_engine_cuts_passes_as_in_a_fresh_process(tmp_path: Path) -> None:
    file = task(tmp_path, "first", ("game", "mail"))
    measured = engine_for(file, "adept", deterministic=False)
    assert measured.measured is not None
    again = engine_for(file, "adept")
    build._held.clear()
    fresh = engine_for(file, "adept")
    assert again.measured is None and again.stack.cost == fresh.stack.cost != measured.stack.cost
