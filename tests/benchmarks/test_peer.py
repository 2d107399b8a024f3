"""The peer trains on the rows that our searches train on, and its script runs."""

from __future__ import annotations

import json
import sys
from inspect import signature
from pathlib import Path

import pytest

from tests.commands import as_a_process

pytest.importorskip("peft", reason="the peer needs `pip install -e '.[benchmarks]'`")
pytest.importorskip("accelerate")


@pytest.fixture
def task(tmp_path: Path) -> str:
    for split, count in {"train": 12, "validation": 6, "test": 2}.items():
        rows = [{"text": f"row {i} of {'red' if i % 2 else 'green'} apples", "label": str(i % 2)} for i in range(count)]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    file = tmp_path / "apples.yaml"
    file.write_text(
        "name: apples\ntemplate: 'text: {text}'\nlabels: {'0': '0', '1': '1'}\nmax_source_length: 24\n"
        "files: {train: train.jsonl, validation: validation.jsonl, test: test.jsonl}\n"
    )
    return str(file)


@pytest.mark.parametrize("padding", ["max_length", "longest"])
def test_the_peers_rows_are_ours(task: str, padding: str, tmp_path: Path) -> None:
    from benchmarks.peer import options, tokenised
    from trials.backbones.describe import describe, load_tokenizer
    from trials.data import prepare
    from trials.tasks import get_task

    args = options(["--task", task, "--padding", padding])
    tokenizer = load_tokenizer(describe("t5-nano"))
    theirs = tokenised(args, tokenizer)
    ours = prepare(get_task(task), tokenizer, architecture="encoder-decoder", cache_dir=tmp_path / "cache")
    for split in ("train", "validation"):
        sources, targets, _ = ours.split(split).batch(range(ours.sizes[split]))
        rows = theirs[split]
        real = [[t for t, m in zip(r["input_ids"], r["attention_mask"], strict=True) if m] for r in rows]
        assert real == [list(ids) for ids in sources]
        assert [row["labels"] for row in rows] == [list(ids) for ids in targets]
        lengths = {len(row["input_ids"]) for row in rows}
        assert lengths == {24} if padding == "max_length" else max(lengths) < 24


@pytest.mark.cluster  # for what its libraries take to import
def test_the_script_runs_its_first_trials(
    ray_local: None, task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, on the Ray of the tests: the libraries that it needs are a quarter of a minute to import."""
    import ray

    from benchmarks import peer

    out = tmp_path / "peer.json"
    command = ["--task", task, "--trials", "2", "--out", str(out)]
    command += ["--steps", "4", "--eval-every", "2", "--batch-size", "2", "--warmup-steps", "1"]
    monkeypatch.setattr(sys, "argv", ["peer", *command])
    begins = signature(ray.init)
    monkeypatch.setattr(ray, "init", begins.bind)  # it would start one of its own with these
    with as_a_process():
        peer.main()
    document = json.loads(out.read_text())
    figures = document["figures"]
    assert (figures["trials"], figures["steps"], figures["any_stopped"]) == (2, 8, False)
    assert [r["step"] for r in document["run"]["trials"][0]["reports"]] == [2, 4]
    assert 0 < figures["step"] < figures["makespan"]
    assert 0 <= figures["best_score"] <= 100
    assert document["memory"]["workers"] > document["memory"]["largest_worker"] > 0
