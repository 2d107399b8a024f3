"""Engines: reports, neighbours, checkpoints at any report, divergence, adapters."""

from __future__ import annotations

import copy
import errno
import json
import weakref
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import trials.engine as engine_module
from tests.trials.making import Rows, config, source_prompts, trial
from trials.backbones.loading import Backbone
from trials.config import TRAINER_REVISION, Report, TrialConfig
from trials.engine import Engine, EngineSettings
from trials.errors import UserError
from trials.export.adapters import load_adapter
from trials.export.tensors import write_tensors
from trials.tasks.base import Task
from trials.tasks.targets import Labels


def data(rows: Rows) -> Any:
    labels = {i: str(i) for i in range(5)}  # the last of them never occurs
    task = Task(
        name="made-up", title="made up", template="{text}", target=Labels(labels), metrics=("accuracy", "f1_macro")
    )
    return SimpleNamespace(
        task=task,
        split=lambda name: rows,
        max_source_length=16,
        max_target_length=2,
        fingerprint="0" * 16,
        label_token_ids={str(i): [30 + i, 1] for i in range(5)},
    )


def engine(backbone: Backbone, rows: Rows, **settings: Any) -> Engine:
    return Engine(backbone, data(rows), EngineSettings(**settings), sources=source_prompts(backbone))


def run(e: Engine, trial_id: str = "a") -> list[Report]:
    reports = [e.next_report(trial_id)]
    while reports[-1].status == "running":
        reports.append(e.next_report(trial_id))
    return reports


def numbers(reports: list[Report]) -> list[dict[str, Any]]:
    """All but times."""
    return [{k: v for k, v in r.as_dict().items() if not k.startswith("seconds/")} for r in reports]


def test_reports_come_every_n_steps_up_to_the_budget(backbone: Backbone, rows: Rows) -> None:
    e = engine(backbone, rows)
    e.start("a", config(steps=25, eval_every=10))
    reports = run(e)
    assert [r.step for r in reports] == [10, 20, 25]
    assert [r.status for r in reports] == ["running", "running", "finished"]
    assert set(reports[0].as_dict()) >= {
        "score",
        "best_score",
        "train/loss",
        "validation/loss",
        "validation/f1_macro",
        "learning_rate/mlp",
    }
    assert reports[-1].learning_rates == {"prompt": 0.0, "mlp": 0.0}


def test_macro_f1_knows_classes_that_no_row_has(t5: Backbone, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(t5, "text", lambda tokens, stops: rows.texts[: len(tokens)])  # every answer right
    e = engine(t5, rows)
    e.data.label_token_ids = {}  # so that answers are decoded
    scored = e.score(trial(t5, config()).method, "validation")
    assert scored.predictions == rows.texts
    assert scored.metrics["f1_macro"] == pytest.approx(80.0)  # four of five


@pytest.mark.parametrize("method", ["adept", "dept", "pt", "lora"])
def test_a_trial_resumed_at_any_report_gives_the_same_numbers(
    backbone: Backbone, rows: Rows, tmp_path: Path, method: str
) -> None:
    whole = engine(backbone, rows, deterministic=True)
    whole.start("a", config(method))
    expected = run(whole)

    first, got = engine(backbone, rows, deterministic=True), []
    first.start("a", config(method))
    for reports in (1, 2, 3):
        folder = tmp_path / str(reports)
        folder.mkdir()
        got.append(first.next_report("a"))
        first.save("a", folder)
        second = engine(backbone, rows, deterministic=True)
        second.start("beside", config("pt", seed=8))
        second.start("a", config(method), folder)
        assert numbers([*got, *run(second)]) == numbers(expected), reports
        for a, b in zip(whole.slots["a"].method.parameters(), second.slots["a"].method.parameters(), strict=True):
            assert torch.equal(a, b), reports
        assert whole.slots["a"].best.state.keys() == second.slots["a"].best.state.keys()


def test_a_checkpoint_of_another_trial_is_refused(t5: Backbone, rows: Rows, tmp_path: Path) -> None:
    e = engine(t5, rows)
    e.start("a", config())
    e.next_report("a")
    e.save("a", tmp_path)
    with pytest.raises(UserError, match="another trial"):
        e.start("b", config(seed=1), tmp_path)


def test_a_checkpoint_of_another_revision_of_the_trainer_is_refused(t5: Backbone, rows: Rows, tmp_path: Path) -> None:
    """Its moments would fit, but its first updates were computed otherwise: no trial is half of each."""
    e = engine(t5, rows)
    e.start("a", config())
    e.next_report("a")
    e.save("a", tmp_path)
    facts = json.loads((tmp_path / "training.json").read_text())
    assert facts.pop("trainer_revision") == TRAINER_REVISION
    (tmp_path / "training.json").write_text(json.dumps(facts))  # as it was before there was a number
    with pytest.raises(UserError, match="revision 1 of the trainer, and this is revision"):
        e.start("b", config(), tmp_path)


def test_neighbours_report_for_themselves_and_wait_for_decisions(t5: Backbone, rows: Rows) -> None:
    e = engine(t5, rows)
    e.start("a", config(steps=30))
    e.start("b", config("pt", steps=30, seed=2))
    e.next_report("a")
    assert e.slots["b"].step == 10 and "b" in e.reports
    e.next_report("a")
    assert e.slots["b"].step == 10  # its report has not been fetched: nobody has said that it may go on
    assert e.next_report("b").step == 10
    e.stop("a")
    assert [r.step for r in run(e, "b")] == [20, 30]


def test_a_diverged_trial_ends_at_once_and_keeps_its_last_score(t5: Backbone, rows: Rows) -> None:
    e = engine(t5, rows)
    e.start("a", config())
    first = e.next_report("a")
    e.slots["a"].method.prompt.data.fill_(float("inf"))
    report = e.next_report("a")
    assert (report.status, report.step) == ("diverged", 11)
    assert report.score == first.score and report.best_score == first.best_score


def test_an_adapter_holds_the_best_checkpoint_and_little_else(
    t5_folder: str, t5: Backbone, rows: Rows, tmp_path: Path
) -> None:
    e = engine(t5, rows)
    e.start("a", config())
    run(e)
    e.save("a", tmp_path)
    folder = tmp_path / "adapter"
    assert sorted(f.name for f in folder.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    assert sum(f.stat().st_size for f in folder.iterdir()) < 20_000
    adapter = load_adapter(folder)
    best = e.slots["a"].best
    for name, tensor in adapter.method.state_dict().items():
        assert torch.equal(tensor, best.state[name])
    assert adapter.description["step"] == best.step
    answers = adapter.predict(["arcade game", {"text": "mail server"}])
    assert len(answers) == 2 and answers == load_adapter(folder, t5).predict(["arcade game", "mail server"])


def test_an_adapter_says_what_does_not_fit(t5: Backbone, llama: Backbone, rows: Rows, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no adapter"):
        load_adapter(tmp_path)
    e = engine(t5, rows)
    e.start("a", config())
    e.next_report("a")
    e.save("a", tmp_path)
    with pytest.raises(UserError, match="other weights"):
        load_adapter(tmp_path / "adapter", llama)
    description = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert TrialConfig(**description["trial"]).as_dict() == json.loads(json.dumps(config().as_dict()))
    adapter = load_adapter(tmp_path / "adapter", t5)
    with pytest.raises(UserError, match="lacks the column"):
        adapter.predict([{"txt": "?"}])


def test_rows_that_a_model_has_no_positions_for_are_refused_before_training(llama: Backbone, rows: Rows) -> None:
    """GPT-2 and its like would end in the middle of an epoch, at the first row that is too long."""
    few = copy.copy(llama)
    longest = int(rows.lengths.max())
    few.facts = replace(llama.facts, positions=longest + 6)
    assert llama.facts.positions == 2048
    needs = rf"positions for {longest + 6} tokens.*needs {longest + 7} \(5 of the prompt"
    expected = rf"{needs}.*--max-source-length {longest - 1} "
    with pytest.raises(UserError, match=expected):
        Engine(few, data(rows), typical=config("adept"))
    e = engine(few, rows)
    with pytest.raises(UserError, match=expected):
        e.start("a", config("adept"))
    few.facts = replace(llama.facts, positions=longest + 7)
    e.start("a", config("adept"))
    assert e.next_report("a").step > 0


def test_a_trial_that_leaves_between_two_reports_reports_what_it_would_have(
    backbone: Backbone, rows: Rows, tmp_path: Path
) -> None:
    """Its training loss is of all updates since the last report, those before it left among them."""
    whole = engine(backbone, rows, deterministic=True)
    whole.start("a", config(steps=12, eval_every=6))
    expected = numbers(run(whole))
    first, second = (engine(backbone, rows, deterministic=True) for _ in range(2))
    first.start("a", config(steps=12, eval_every=6))
    for _ in range(4):
        first.advance()
    first.save("a", tmp_path)
    second.start("a", config(steps=12, eval_every=6), tmp_path)
    assert numbers(run(second)) == expected


def test_an_evaluation_that_does_not_fit_is_made_in_smaller_passes(
    t5: Backbone, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    e = engine(t5, rows, deterministic=True)
    method, score, most = trial(t5, config()).method, engine_module.score, e.stack.cost.most
    expected = e.score(method, "validation").predictions

    def too_large(*given: Any) -> Any:
        if e.stack.cost.most > most // 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return score(*given)

    monkeypatch.setattr(engine_module, "score", too_large)
    assert e.score(method, "validation").predictions == expected
    assert e.stack.cost.most == most // 4


def test_a_trial_that_has_left_holds_no_memory(t5: Backbone, rows: Rows) -> None:
    e = engine(t5, rows)
    e.start("a", config())
    e.advance()
    held = weakref.ref(e.slots["a"])
    e.stop("a")
    assert held() is None


def test_a_full_disk_is_an_error_of_the_system(tmp_path: Path) -> None:
    """The file's library raises one of its own, which nobody who looks for another place would catch."""
    with pytest.raises(OSError, match="No such file") as found:
        write_tensors(tmp_path / "none" / "file", {"a": torch.ones(2)})
    assert found.value.errno == errno.ENOENT
