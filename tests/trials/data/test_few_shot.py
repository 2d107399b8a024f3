"""Few rows of train, as the released code draws them, and a trial that sees no others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch

from tests.trials.made_data import made_task, nano_tokenizer, numbered, write_splits
from tests.trials.making import config, source_prompts
from trials.backbones.loading import Backbone
from trials.config import TrialConfig
from trials.data import prepare
from trials.data.few_shot import drawn, few_shot_rows, shots_problem
from trials.engine import Engine, EngineSettings
from trials.methods.base.module import SourceAdapter
from trials.tasks import get_task

CLASSES = {"superglue-boolq": ["0", "1"], "superglue-cb": ["0", "1", "2"], "scitail": ["0", "1"], "stsb": ["0", "1"]}


def drawn_as_published(task: str, targets: list[str], shots: int, seed: int) -> list[int]:
    """Lines 633 to 651 of the released code's `train.py`, on rows that know their place."""
    counts = dict.fromkeys(CLASSES[task], 0)
    each = shots // len(counts)
    rows = datasets.Dataset.from_dict({"target": targets, "place": range(len(targets))}).shuffle(seed=seed)
    found = []
    for row in rows:
        if sum(counts.values()) == shots:
            break
        label = row["target"]
        if task == "stsb":
            label = "0" if float(label) <= 2.5 else "1"
        if counts[label] < each or sum(counts.values()) == shots - 1:
            counts[label] += 1
            found.append(row["place"])
    return found


@pytest.mark.parametrize("shots", [4, 16, 32])
@pytest.mark.parametrize("name", CLASSES)
def test_rows_are_drawn_as_published(name: str, shots: int) -> None:
    task, source = get_task(name), np.random.default_rng(0)
    targets = [str(target) for target in source.choice(task.answers, size=250)]
    seen = set()
    for seed in (42, 43, 44, 7):
        rows = few_shot_rows(task, targets, shots, seed)
        assert rows == drawn_as_published(name, targets, shots, seed)
        assert len(rows) == drawn(task, shots) and len(set(rows)) == len(rows)
        seen.add(tuple(rows))
    assert len(seen) == 4  # each seed has its own
    assert drawn(get_task("cb"), 32) == 30  # ten of each of three classes: the rule finds no 31st


def test_the_last_row_is_of_whatever_class() -> None:
    task, targets = get_task("boolq"), ["1"] * 97 + ["0"] * 3
    counts = [few_shot_rows(task, targets, 4, seed) for seed in range(40)]
    ones = {sum(targets[row] == "1" for row in rows) for rows in counts}
    assert ones == {2, 3} and {len(rows) for rows in counts} == {4}


def test_texts_have_no_classes_and_too_few_shots_are_refused() -> None:
    order = np.random.default_rng(3).permutation(50).tolist()
    assert few_shot_rows(get_task("nq"), ["x"] * 50, 16, 3) == order[:16]
    assert shots_problem(get_task("nq"), 1) == ""
    assert "CB has 3 classes" in shots_problem(get_task("cb"), 2)


def test_a_trial_trains_on_its_few_rows_alone_and_goes_on_with_them(tmp_path: Path, t5: Backbone) -> None:
    data = prepare(
        made_task(),
        nano_tokenizer(),
        architecture="encoder-decoder",
        data_dir=write_splits(tmp_path, train=numbered(60)),
        cache_dir=tmp_path / "cache",
    )
    targets = data.split("train").targets
    engine = Engine(t5, data, EngineSettings(deterministic=True))
    few: dict[str, Any] = {"shots": 4, "steps": 6, "eval_every": 3, "batch_size": 3}
    seeds = {"a": 42, "b": 43}
    for name, seed in seeds.items():
        engine.start(name, config("pt", seed=seed, **few))
    engine.start("all", config("pt", **{**few, "shots": None}))
    wanted = {name: few_shot_rows(data.task, targets, 4, seed) for name, seed in seeds.items()}
    for name, rows in wanted.items():
        trial = engine.slots[name]
        passes = [trial.next_rows(60) for trial.step in range(4)]
        trial.step = 0
        assert [len(rows) for rows in passes] == [3, 1, 3, 1]  # what is left is the last batch of a pass
        assert sorted(passes[0] + passes[1]) == sorted(passes[2] + passes[3]) == sorted(rows)
    engine.next_report("a")
    (tmp_path / "a").mkdir()
    engine.save("a", tmp_path / "a")
    last = engine.next_report("a").train_loss
    again = Engine(t5, data, EngineSettings(deterministic=True))
    again.start("a", config("pt", **few), tmp_path / "a")
    assert again.slots["a"].rows == wanted["a"]
    assert again.next_report("a").train_loss == last
    assert engine.next_report("all").train_loss != last


@pytest.mark.parametrize("method", ["spot", "pt"])
def test_a_transfer_starts_from_its_source_and_trains_on_its_few_rows(
    method: str, tmp_path: Path, t5: Backbone
) -> None:
    data = prepare(
        made_task(), nano_tokenizer(), architecture="encoder-decoder",
        data_dir=write_splits(tmp_path, train=numbered(60)), cache_dir=tmp_path / "cache",
    )  # fmt: skip
    source = source_prompts(t5)["sst2"]
    adapters = {"sst2": SourceAdapter({"prompt_length": 6})}
    engine = Engine(t5, data, EngineSettings(deterministic=True), sources={"sst2": source}, adapters=adapters)
    values = {"prompt_lr": 0.1, "prompt_length": 6}
    for seed in (42, 43):
        few = config(method, values, seed=seed, sources=("sst2",), shots=2, steps=2, eval_every=2, batch_size=2)
        engine.start(str(seed), few)
    one, other = engine.slots["42"], engine.slots["43"]
    assert one.rows == few_shot_rows(data.task, data.split("train").targets, 2, 42) and one.rows != other.rows
    assert torch.equal(one.method.prompt, source) and torch.equal(other.method.prompt, source)
    engine.next_report("42")
    assert not torch.equal(one.method.prompt, source)


def test_a_configuration_that_sees_all_rows_is_written_as_before() -> None:
    plain = config("pt").as_dict()
    assert "shots" not in plain and TrialConfig(**plain) == config("pt")
    few = json.loads(json.dumps(config("pt", shots=16).as_dict()))
    assert few["shots"] == 16 and TrialConfig(**few) == config("pt", shots=16)
