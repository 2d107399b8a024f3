"""ADePT, DePT and prompt tuning from an adapter of their own: what the source had learnt, and nothing without one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.trials.making import SMALL, Rows, config, trial
from tests.trials.methods.test_read_by_peft import shaken
from trials.backbones.loading import Backbone
from trials.batching.randomness import stream
from trials.config import TrialConfig
from trials.errors import UserError
from trials.evaluation import answers
from trials.export.adapters import describe_adapter, load_adapter, save_adapter
from trials.export.source_prompts import read_source
from trials.methods import Sizes, get_method
from trials.methods.base.module import MethodModule, Surroundings, initial_prompt, make_method
from trials.source_prompts import SourcePrompt, from_file, to_file
from trials.stack.step import Stack
from trials.tasks import get_task
from trials.trial import Trial

METHODS = ["adept", "dept", "pt"]
LONGEST = 16  # tokens of a source


def written(folder: Path, method: MethodModule, made_of: TrialConfig, on: Backbone, longest: int = LONGEST) -> Path:
    description = describe_adapter(made_of, get_task("debsec"), on, longest, 2)
    save_adapter(folder, method.to_file(method.state_dict()), description)
    return folder


def read(folder: Path, name: str, on: Backbone) -> SourcePrompt:
    return read_source(folder, "old", get_method(name), on.facts, "an adapter")


def around(on: Backbone, source: SourcePrompt, longest: int = LONGEST) -> Surroundings:
    sources, adapters = {source.name: source.tensor()}, {source.name: source.adapter("cpu")}
    return replace(on.surroundings(longest), sources=sources, adapters=adapters)


@pytest.mark.parametrize("name", METHODS)
def test_it_starts_with_the_sources_answers_and_leaves_the_source_alone(
    name: str, t5: Backbone, rows: Rows, tmp_path: Path
) -> None:
    """Also after the source has travelled, and from its own adapter again, which needs the source no more."""
    old = shaken(t5, name, {})
    source = read(written(tmp_path / "old", old.method, old.config, t5), name, t5)
    [source] = from_file(to_file([source]))
    places = around(t5, source)
    made_of = config(name, sources=("old",), seed=7)
    one, other = (Trial(made_of, make_method(made_of, places)) for _ in range(2))
    tensors = dict(old.method.state_tensors())
    assert [key for key, _ in one.method.state_tensors()] == list(tensors)
    assert all(torch.equal(tensor, tensors[key]) for key, tensor in one.method.state_tensors())
    told = answers(t5, [old.method], rows.sources, 4)[0]
    assert answers(t5, [one.method], rows.sources, 4)[0] == told
    assert told != answers(t5, [trial(t5, config(name)).method], rows.sources, 4)[0]
    stack = Stack(t5, rows)
    for _ in range(3):
        stack.step([one])
    assert not any(torch.equal(tensor, tensors[key]) for key, tensor in one.method.named_parameters())
    assert all(torch.equal(tensor, tensors[key]) for key, tensor in other.method.state_tensors())
    assert torch.equal(source.tensor(), tensors["prompt"])
    loaded = load_adapter(written(tmp_path / "new", one.method, made_of, t5), t5)
    assert all(torch.equal(tensor, dict(loaded.method.state_tensors())[key]) for key, tensor in
               one.method.state_tensors())  # fmt: skip
    assert loaded.description["trial"]["sources"] == ["old"]


@pytest.mark.parametrize("name", METHODS)
def test_without_a_source_it_starts_as_it_ever_did(name: str, t5: Backbone, tmp_path: Path) -> None:
    """The prompt is drawn first, then each tensor in its order, though a source is at hand."""
    old = shaken(t5, name, {})
    places = around(t5, read(written(tmp_path, old.method, old.config, t5), name, t5))
    made_of = config(name, seed=3)
    made = make_method(made_of, places)
    method, values, generator = get_method(name), made_of.hyperparameters, stream(3, "initialisation")
    init = str(method.value(values, "prompt_init") or made_of.constants.prompt_init)
    expected = {"prompt": initial_prompt(method.prompt_length(values), init, places, generator).data}
    for key, weights in method.tensors(values, places.sizes, made_of.constants).items():
        drawn = None if weights.start is None else weights.start(weights.shape, generator)
        expected[key] = torch.zeros(weights.shape) if drawn is None else drawn
    assert "sources" not in made_of.as_dict()
    assert {key: tensor.detach() for key, tensor in made.named_parameters()}.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in made.named_parameters())


WRONG = {
    (
        "adept",
        "prompt_length",
    ): r"prompt_length 9: its source old has prompt_length 5; the space must give the source's",
    ("adept", "bottleneck"): r"bottleneck 9: its source old has bottleneck 3; .*\(prompt_length: 5, bottleneck: 3\)",
    ("dept", "prompt_length,rank"): r"prompt_length 9, rank 9: its source old has prompt_length 4, rank 2",
    ("pt", "prompt_length"): r"prompt_length 9: its source old has prompt_length 7",
}
"""What is said of a configuration that has 9 where the source has another value."""


@pytest.mark.parametrize(("name", "changed"), WRONG)
def test_other_shapes_are_refused_with_both_values(name: str, changed: str, t5: Backbone, tmp_path: Path) -> None:
    old = shaken(t5, name, {})
    places = around(t5, read(written(tmp_path, old.method, old.config, t5), name, t5))
    values = {**SMALL[name], **dict.fromkeys(changed.split(","), 9)}
    with pytest.raises(UserError, match=WRONG[name, changed]):
        make_method(config(name, values, sources=("old",)), places)


def test_depts_offsets_are_those_of_texts_of_one_length(t5: Backbone, tmp_path: Path) -> None:
    old = shaken(t5, "dept", {})
    source = read(written(tmp_path, old.method, old.config, t5), "dept", t5)
    why = r"offsets for texts of 16 tokens, and texts here have up to 20: --max-source-length 16 makes them equal"
    with pytest.raises(UserError, match=why):
        make_method(config("dept", sources=("old",)), around(t5, source, 20))


def test_a_configuration_that_says_less_than_the_numbers_is_refused(t5: Backbone, tmp_path: Path) -> None:
    """An adapter whose config belongs to other numbers."""
    old = shaken(t5, "adept", {})
    wider = shaken(t5, "adept", {**SMALL["adept"], "bottleneck": 4})
    source = read(written(tmp_path, wider.method, old.config, t5), "adept", t5)
    with pytest.raises(
        UserError, match=r"the tensors of its source old have other shapes: down \(32, 4\), not \(32, 3\)"
    ):
        make_method(config("adept", sources=("old",)), around(t5, source))


def test_an_adapter_of_before_is_read_though_its_rank_would_be_refused_now(t5: Backbone, tmp_path: Path) -> None:
    """DePT's ranks were once not held to the places that its offsets have."""
    wide = config("dept", {**SMALL["dept"], "rank": LONGEST + 1})
    places = t5.surroundings(LONGEST)
    with pytest.raises(UserError, match=f"dept: rank {LONGEST + 1} is more than {LONGEST}"):
        make_method(wide, places)
    old = make_method(wide, places, trained=True)
    loaded = load_adapter(written(tmp_path, old, wide, t5), t5).method
    assert all(torch.equal(tensor, loaded.state_dict()[key]) for key, tensor in old.state_dict().items())


def test_another_method_two_adapters_and_one_that_is_not_at_hand(t5: Backbone, tmp_path: Path) -> None:
    for taken, wanted in (("pt", "adept"), ("adept", "dept"), ("spot", "pt")):
        old = shaken(t5, taken, {})
        folder = written(tmp_path / taken, old.method, old.config, t5)
        with pytest.raises(UserError, match=rf"learnt by {taken}, and {wanted} starts from an adapter of {wanted}"):
            read(folder, wanted, t5)
    with pytest.raises(UserError, match=r"adept starts from the adapters old, which are not at hand"):
        make_method(config("adept", sources=("old",)), t5.surroundings(LONGEST))
    assert get_method("adept").wrong_sources(["a", "b"]) == "starts from one adapter of adept or none, and 2 are given"
    assert not get_method("adept").wrong_sources([])
    assert not get_method("adept").refuses(SMALL["adept"], Sizes(32))


def test_a_fingerprint_is_of_all_that_was_learnt(t5: Backbone, tmp_path: Path) -> None:
    old = shaken(t5, "adept", {})
    before = read(written(tmp_path, old.method, old.config, t5), "adept", t5)
    old.method.get_parameter("up_bias").data[0] += 1
    after = read(written(tmp_path, old.method, old.config, t5), "adept", t5)
    assert after.numbers == before.numbers and after.fingerprint != before.fingerprint
    file = bytearray(to_file([before]))
    file[file.index(before.tensors["up_bias"].numbers)] ^= 1
    with pytest.raises(ValueError, match="the numbers of old are not those that were written"):
        from_file(bytes(file))
