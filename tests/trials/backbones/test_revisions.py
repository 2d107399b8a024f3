"""A backbone's fingerprint covers what is loaded, and nothing trained on other weights is taken up."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.trials.making import Rows, config, trial
from tests.trials.test_engine import engine
from trials.backbones import revisions
from trials.backbones.describe import describe
from trials.backbones.facts import DEFAULT, EMBEDDED, EMBEDDED_REVISION, UNKNOWN_REVISION
from trials.backbones.loading import load_backbone
from trials.backbones.revisions import former_fingerprint, same_revision, weights_fingerprint
from trials.errors import UserError
from trials.export.adapters import describe_adapter, load_adapter, save_adapter
from trials.export.files import CONFIG
from trials.tasks import get_task

SHARD = "weights/part-1.safetensors"


@pytest.fixture
def folder(t5_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A backbone whose weights lie in a subfolder that its index names."""
    monkeypatch.setenv("ADEPT_CACHE", str(tmp_path / "cache"))
    made = tmp_path / "backbone"
    shutil.copytree(t5_folder, made)
    (made / "weights").mkdir()
    (made / "model.safetensors").rename(made / SHARD)
    names = dict.fromkeys(load_file(made / SHARD), SHARD)
    (made / revisions.INDEX).write_text(json.dumps({"metadata": {}, "weight_map": names}))
    return made


def other_last_byte(file: Path) -> None:
    """Another last weight, as after a fine-tuning of the last layer alone; same size and time."""
    import os

    content, times = bytearray(file.read_bytes()), file.stat()
    content[-1] ^= 0x40
    file.write_bytes(content)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def other_value(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        values = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**values, name: "another"}))

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: other_last_byte(folder / SHARD),
        lambda folder: (folder / revisions.INDEX).write_text(json.dumps({"weight_map": {"a": SHARD}})),
        lambda folder: (folder / "adapter_config.json").write_text("{}"),  # transformers would load one
        lambda folder: (folder / "tokenizer.json").write_text("{}"),
        other_value("layer_norm_epsilon"),
    ],
)
def test_whatever_changes_the_answers_changes_the_fingerprint(folder: Path, change: Callable[[Path], object]) -> None:
    before = weights_fingerprint(folder)
    assert before.startswith(revisions.SCHEME)
    other_value("_name_or_path")(folder)
    other_value("transformers_version")(folder)
    (folder / "README.md").write_text("a remark")
    assert weights_fingerprint(folder) == before
    assert weights_fingerprint(Path(shutil.copytree(folder, folder.parent / "copy"))) == before
    change(folder)
    assert weights_fingerprint(folder) != before


def test_a_large_file_is_read_once_and_again_when_it_was_touched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revisions, "LARGE", 1)
    monkeypatch.setattr(revisions, "SETTLED", -1.0)
    read: list[str] = []
    monkeypatch.setattr(revisions, "_read", lambda file, really=revisions._read: read.append(file.name) or really(file))
    before = weights_fingerprint(folder)
    assert "part-1.safetensors" in read
    read.clear()
    assert weights_fingerprint(folder) == before and read == []
    other_last_byte(folder / SHARD)  # neither its size nor its time tells
    assert weights_fingerprint(folder) != before and read == ["part-1.safetensors"]


def test_an_adapter_and_a_checkpoint_do_not_load_on_other_weights(folder: Path, tmp_path: Path, rows: Rows) -> None:
    backbone = load_backbone(str(folder))
    made, adapter, checkpoint = trial(backbone, config("pt")), tmp_path / "adapter", tmp_path / "checkpoint"
    save_adapter(adapter, made.method.state_dict(), describe_adapter(made.config, get_task("debsec"), backbone, 64, 2))
    trained = engine(backbone, rows)
    trained.start("a", config("pt"))
    trained.next_report("a")
    checkpoint.mkdir()
    trained.save("a", checkpoint)
    assert load_adapter(adapter).predict(["a text"])
    trained.start("b", config("pt"), checkpoint)

    weights = load_file(folder / SHARD)
    torch.manual_seed(1)
    save_file({k: torch.randn_like(v) for k, v in weights.items()}, folder / SHARD, {"format": "pt"})
    with pytest.raises(UserError, match=f"trained on other weights of backbone: {backbone.facts.revision} then, v2-"):
        load_adapter(adapter)
    with pytest.raises(UserError, match="was trained on other weights of backbone"):
        engine(load_backbone(str(folder)), rows).start("a", config("pt"), checkpoint)


def test_an_adapter_on_a_folder_called_like_the_embedded_backbone_names_that_folder(
    t5_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADEPT_CACHE", str(tmp_path / "cache"))
    backbone = load_backbone(str(shutil.copytree(t5_folder, tmp_path / DEFAULT)))
    made, adapter = trial(backbone, config("pt")), tmp_path / "adapter"
    description = describe_adapter(made.config, get_task("debsec"), backbone, 64, 2)
    save_adapter(adapter, made.method.state_dict(), description)
    assert description["base_model_name_or_path"] == str(tmp_path / DEFAULT)
    assert load_adapter(adapter).backbone.facts.revision == backbone.facts.revision
    assert describe(DEFAULT).is_embedded and not backbone.facts.is_embedded


def test_a_checkpoint_of_other_data_is_refused_also_one_of_an_earlier_version(
    t5_folder: str, tmp_path: Path, rows: Rows
) -> None:
    trained = engine(load_backbone(t5_folder), rows)
    trained.start("a", config("pt"))
    trained.next_report("a")
    trained.save("a", tmp_path)
    trained.data.fingerprint = "1" * 16
    with pytest.raises(UserError, match=r"trained on other data \(fingerprint 0{16}, here 1{16}\)"):
        trained.start("b", config("pt"), tmp_path)
    facts = json.loads((tmp_path / "training.json").read_text())
    assert facts.pop("data_fingerprint") == "0" * 16 and facts.pop("backbone_revision")
    (tmp_path / "training.json").write_text(json.dumps(facts))  # then the adapter beside it tells
    with pytest.raises(UserError, match="trained on other data"):
        trained.start("b", config("pt"), tmp_path)
    shutil.rmtree(tmp_path / "adapter")
    facts["best_score"] = None
    (tmp_path / "training.json").write_text(json.dumps(facts))  # nothing tells: the search's record does
    trained.start("b", config("pt"), tmp_path)


def test_a_revision_of_an_earlier_version_counts_where_it_had_covered_all_weights(
    t5_folder: str, folder: Path, tmp_path: Path
) -> None:
    whole = Path(t5_folder)
    assert same_revision(former_fingerprint(whole), describe(t5_folder).revision, t5_folder)
    assert not same_revision("0123456789abcdef", describe(t5_folder).revision, t5_folder)
    # Of weights in a subfolder it had seen nothing: all such folders had one fingerprint.
    assert not same_revision(former_fingerprint(folder), describe(str(folder)).revision, str(folder))

    backbone, adapter = load_backbone(str(folder)), tmp_path / "adapter"
    made = trial(backbone, config("pt"))
    told = describe_adapter(made.config, get_task("debsec"), backbone, 64, 2)
    save_adapter(adapter, made.method.state_dict(), {**told, "backbone_revision": former_fingerprint(folder)})
    with pytest.raises(UserError, match="written by an earlier version, whose fingerprint did not cover") as error:
        load_adapter(adapter)
    assert f"write its revision {backbone.facts.revision} into {adapter / CONFIG}" in str(error.value)


def test_nothing_speaks_against_a_model_of_the_hub_of_which_no_commit_is_known() -> None:
    commit, other = "1" * 40, "2" * 40
    assert same_revision(UNKNOWN_REVISION, commit, "lab/never-here")
    assert same_revision(commit, UNKNOWN_REVISION, "lab/never-here")
    assert not same_revision(commit, other, "lab/never-here")


def test_the_embedded_backbone_has_the_name_that_adapters_know_it_by() -> None:
    """Other weights, config or tokenizer in its folder need another `EMBEDDED_REVISION`, and this test its value."""
    assert describe(DEFAULT).revision == EMBEDDED_REVISION == former_fingerprint(EMBEDDED / DEFAULT)
    assert weights_fingerprint(EMBEDDED / DEFAULT) == "v2-30b6a52b8916ccf4"
