"""What an adapter answers: probabilities against transformers, its precision, rows by number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import OPTConfig, OPTForCausalLM

from tests.trials.making import config, save, trial
from trials.backbones.answers import AnswerTree
from trials.backbones.loading import Backbone, load_backbone
from trials.errors import UserError
from trials.evaluation import answers, answers_and_likelihoods
from trials.export.adapters import describe_adapter, load_adapter, save_adapter
from trials.export.files import CONFIG
from trials.tasks.base import Task
from trials.tasks.targets import Labels

LABELS = {"bad": "2", "good": "13", "fine": "13"}  # of unlike lengths in tokens; two share a target


def saved(backbone: Backbone, folder: Path, method: str = "pt", longest: int = 16, **labels: str) -> Path:
    task = Task(name="made-up", title="made up", template="{text}", target=Labels(labels or LABELS))
    made = trial(backbone, config(method))
    save_adapter(
        folder,
        made.method.to_file(made.method.state_dict()),
        describe_adapter(made.config, task, backbone, longest, 4),
    )
    return folder


def likelihood(backbone: Backbone, prompt: Any, source: list[int], target: list[int]) -> float:
    """By the model of transformers, one row, nothing shared."""
    with torch.no_grad():
        tokens = backbone.embedding[torch.tensor([source])].float()
        embedded = torch.cat([prompt[None], tokens], dim=1)
        if backbone.embeds_answers:
            answer = backbone.embedding[torch.tensor([target])].float()
            decoder: Any = backbone
            logits = decoder.model(inputs_embeds=torch.cat([embedded, answer], dim=1)).logits[
                0, embedded.shape[1] - 1 :
            ]
        else:
            from transformers import AutoModelForSeq2SeqLM

            model = AutoModelForSeq2SeqLM.from_pretrained(backbone.facts.location)
            logits = model(inputs_embeds=embedded, labels=torch.tensor([target])).logits[0]
        chosen = logits.log_softmax(-1)[torch.arange(len(target)), torch.tensor(target)]
    return float(chosen.sum())


@pytest.mark.parametrize("most", [64, 3])
def test_likelihoods_are_those_of_transformers(backbone: Backbone, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr("trials.backbones.answers.MOST_NODES", most)  # 3: the labels need several trees
    made = trial(backbone, config("pt"))
    sources = [[50, 60, 1], [70, 80, 90, 100, 1]]
    labels = [[30, 1], [30, 31, 32, 1], [40, 41, 1]]
    told, found = answers_and_likelihoods(backbone, made.method, sources, 4, labels)
    assert told == answers(backbone, [made.method], sources, 4, labels)[0]
    expected = [[likelihood(backbone, made.method.prompt.detach(), s, t) for t in labels] for s in sources]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert len(AnswerTree.small(labels)) == (1 if most == 64 else 2)


def test_probabilities_are_of_the_users_labels_and_add_up_to_one(backbone: Backbone, tmp_path: Path) -> None:
    adapter = load_adapter(saved(backbone, tmp_path / "a"), backbone)
    assert adapter.columns == ("text",) and adapter.labels == {"2": "bad", "13": "good"}  # the first of a target
    found = adapter.predict_rows(["one", {"text": "two words"}])
    for row in found:
        assert set(row.probabilities) == {"bad", "good"}
        assert sum(row.probabilities.values()) == pytest.approx(1)
    assert [row.answer for row in found] == adapter.predict(["one", {"text": "two words"}])
    assert adapter.predict_rows([]) == []


def test_the_precision_is_that_of_the_scores_unless_another_is_asked_for(t5_folder: str, tmp_path: Path) -> None:
    folder = saved(load_backbone(t5_folder, precision="bfloat16"), tmp_path / "a")
    assert load_adapter(folder).backbone.precision == "bfloat16"
    assert load_adapter(folder, precision="float32").backbone.precision == "float32"
    assert load_adapter(folder, t5_folder).backbone.precision == "bfloat16"
    description = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**description, "precision": "half"}))
    with pytest.raises(UserError, match="half"):
        load_adapter(folder)


def test_a_folder_at_home_is_found(t5: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python does not put the home folder in the place of ~, as a shell does."""
    saved(t5, tmp_path / "a")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_adapter("~/a", t5).columns == ("text",)


def test_wrong_rows_are_named_by_their_numbers(t5: Backbone, tmp_path: Path) -> None:
    adapter = load_adapter(saved(t5, tmp_path / "a"), t5)
    rows: list[Any] = ["fine", {"txt": "?"}, {"text": None}, {"text": 3}, {"txt": "!"}]
    with pytest.raises(UserError) as error:
        adapter.predict_rows(rows)
    said = str(error.value)
    assert "2 rows (1, 4; the first row is 0): lacks the column(s) text" in said
    assert "1 row (2; " in said and "1 row (3; the first row is 0): column 'text' holds 3" in said


def test_a_text_longer_than_the_backbone_has_positions_is_cut(bart: Backbone, tmp_path: Path) -> None:
    """Training asks for positions for its own rows alone, and new ones may be as long as its longest source."""
    torch.manual_seed(0)
    small = OPTConfig(
        vocab_size=8128, hidden_size=32, word_embed_proj_dim=32, ffn_dim=48, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=48, bos_token_id=3, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    opt = load_backbone(save(tmp_path / "opt", OPTForCausalLM(small)))
    for name, backbone, method in (("bart", bart, "pt"), ("opt", opt, "pt"), ("prefix", opt, "prefix")):
        adapter = load_adapter(saved(backbone, tmp_path / name, method, longest=400), backbone)
        words = "one two three four " * 200
        whole, cut = adapter.predict_rows([words, words[:-9]])
        assert whole == cut  # both are cut at the same place
        shorter = load_adapter(saved(backbone, tmp_path / "shorter", method), backbone)
        assert adapter.predict_rows(["one"]) == shorter.predict_rows(["one"])


@pytest.mark.parametrize("rows", ["one text", {"text": "one row"}, pa.table({"text": ["a", "b"]}), b"text"])
def test_one_text_or_a_table_is_not_taken_for_rows(t5: Backbone, tmp_path: Path, rows: Any) -> None:
    """Python walks through a text by its characters, through a mapping or pandas' table by the names of its columns."""
    adapter = load_adapter(saved(t5, tmp_path / "a"), t5)
    with pytest.raises(UserError, match="a list of"):
        adapter.predict(rows)


def test_an_adapter_answers_without_its_offsets_and_with_moved_ones(t5: Backbone, tmp_path: Path) -> None:
    """ADePT's Tables 11 and 1: the prompt alone, and offsets by place shifted cyclically to the left."""
    e = torch.randn(1, 16, 32, generator=torch.Generator().manual_seed(0))
    for name in ("adept", "dept"):
        adapter = load_adapter(saved(t5, tmp_path / name, name), t5)
        for parameter in adapter.method.parameters():
            parameter.data.normal_(generator=torch.Generator().manual_seed(1))
        alone = adapter.without_offsets()
        assert torch.equal(alone.method.offset(e), e) and not torch.allclose(adapter.method.offset(e), e)
        assert torch.equal(alone.method.prompt, adapter.method.prompt)
    offsets = adapter.method.offset(e) - e
    moved = adapter.with_offsets_moved(5)
    assert torch.allclose(moved.method.offset(e) - e, offsets.roll(-5, 1), atol=1e-5)
    assert torch.allclose(moved.method.offset(e)[0, 0] - e[0, 0], offsets[0, 5], atol=1e-5)
    assert torch.equal(adapter.with_offsets_moved(16).method.offset(e), adapter.method.offset(e))
    plain = load_adapter(saved(t5, tmp_path / "pt", "pt"), t5)
    with pytest.raises(UserError, match="pt has no offsets of token"):
        plain.without_offsets()
    with pytest.raises(UserError, match="pt has no offsets by place"):
        plain.with_offsets_moved(1)
