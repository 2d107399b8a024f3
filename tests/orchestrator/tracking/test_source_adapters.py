"""Sources that are adapters of the method itself: found by name, the space that they leave, what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from orchestrator.plan.plan import Plan
from orchestrator.searchers.distributions import Distributions
from tests.orchestrator.tracking.test_sources import FACTS, adapter, begun, planned, problems
from trials.methods import Sizes, get_method
from trials.methods.base.tensors import RECIPE

SIZES = {20: 39, 40: 29}
"""Bottlenecks of ADePT beside so many rows of prompt, in the space t5-nano."""


def own(folder: Path, value: float = 1.0, rows: int = 20, size: int = 39, method: str = "adept", **other: Any) -> Path:
    """An adapter of a method with offsets on t5-nano, all of whose numbers are equal."""
    adapter(folder, value, rows, method=method, **other)
    config, weights = folder / "adapter_config.json", folder / "adapter_model.safetensors"
    description = json.loads(config.read_text())
    declared = get_method(method)
    values = {"prompt_length": rows, str(declared.sized): size}
    description["trial"]["hyperparameters"] = {**values, "prompt_lr": 0.1, "mlp_lr": 0.01}
    config.write_text(json.dumps(description))
    shapes = declared.tensors(values, Sizes(FACTS.width, description["max_source_length"]), RECIPE)
    tensors = {name: np.full(made.shape, value, np.float32) for name, made in shapes.items()}
    save_file({"prompt": load_file(weights)["prompt_embeddings"], **tensors}, weights)
    return folder


def lengths(plan: Plan) -> set[object]:
    return {trial.config.hyperparameters["prompt_length"] for trial in plan.trials}


def test_a_search_starts_from_its_methods_adapter_by_a_name(here: Path) -> None:
    """Of a search, or of a task, whose best one of the method is meant."""
    own(here / "runs" / "a" / "best_adapter", 1.0, validation_score=60.0)
    own(here / "runs" / "b" / "best_adapter", 2.0, validation_score=70.0)
    adapter(here / "runs" / "c" / "best_adapter", 3.0, validation_score=90.0)  # of prompt tuning
    for named, origin, value in (("a", "search a", 1.0), ("sst2", "search b", 2.0)):
        plan = planned("adept", sources=named)
        [source] = plan.sources
        assert (source.origin, source.method, source.values) == (
            origin, "adept", {"prompt_length": 20, "bottleneck": 39},
        )  # fmt: skip
        assert set(source.tensors) == {"down", "down_bias", "up", "up_bias"}
        assert {float(tensor.array.max()) for tensor in source.tensors.values()} == {value}
        assert {trial.config.sources for trial in plan.trials} == {(named,)}
        assert f"trials start from {named}: {origin} (20 rows, bottleneck 39, fingerprint {source.fingerprint})" in (
            plan.notes
        )
    assert planned("pt", sources="sst2").sources[0].origin == "search c"
    assert "sources" not in planned("adept").definition  # searches of before keep their names


def test_the_space_is_searched_where_it_has_the_sources_shapes(here: Path) -> None:
    source = own(here / "runs" / "mine" / "best_adapter")
    whole, plan = planned("adept"), planned("adept", sources="mine")
    assert (lengths(whole), lengths(plan)) == ({20, 40}, {20})
    assert (len(whole.trials), plan.samples, plan.count) == (8, 4, 4)
    assert sorted(trial.number for trial in plan.trials) == [1, 2, 3, 4]
    assert "search space t5-nano: 4 of 8 configurations have the source's shapes, and are searched" in plan.notes
    for searcher in ("random", "tpe"):
        drawn = planned("adept", sources="mine", searcher=searcher, samples="6")
        assert lengths(drawn) <= {20}
        found = Distributions(drawn.space, drawn.facts.width, drawn.max_source_length, drawn.sizes).describe()
        assert found["prompt_length, bottleneck"] == "20, 39"
    begun(plan)
    shutil.rmtree(source)
    again = planned("adept", sources="mine")
    assert (again.sources, again.trials, again.definition) == (plan.sources, plan.trials, plan.definition)
    own(source, 2.0, rows=40, size=29)
    assert planned("adept", sources="mine").trials == plan.trials
    other = planned("adept", sources="mine", name="other")
    assert lengths(other) == {40} and other.definition == plan.definition  # the request is the same
    assert "--top 6: there are 4 configurations; ask for at most that many (with the shapes of --sources mine)" in (
        problems(method="adept", sources="mine", name="other", top="6", seeds="2")
    )


def test_shapes_that_the_space_has_not_are_refused_with_both_values(here: Path) -> None:
    own(here / "odd", rows=33, size=7)
    own(here / "ranked", rows=20, size=4, method="dept")
    found = problems(method="adept", sources="./odd").splitlines()
    assert found == [
        f"search space t5-nano: adept: prompt_length {rows}, bottleneck {size}: its source odd has prompt_length 33, "
        "bottleneck 7; the space must give the source's, as a file for --space can (prompt_length: 33, bottleneck: 7)"
        for rows, size in SIZES.items()
    ]
    assert "its source ranked has rank 4; the space must give" in problems(method="dept", sources="./ranked")


def test_sources_of_another_method_or_backbone_are_refused(here: Path) -> None:
    own(here / "runs" / "mine" / "best_adapter")
    own(here / "runs" / "far" / "best_adapter", backbone_revision="0" * 16, base_model_name_or_path="t5-base")
    adapter(here / "runs" / "prompt" / "best_adapter")
    for named, origin in (("prompt", "search prompt"), ("runs/prompt", f"adapter {Path('runs/prompt/best_adapter')}")):
        found = problems(method="adept", sources=named)
        assert f"source prompt ({origin}) was learnt by pt, and adept starts from an adapter of adept alone" in found
        assert found.endswith("train the source with --method adept")
    assert "source far (search far) was trained on other weights than those of t5-nano, on t5-base" in problems(
        method="adept", sources="far"
    )
    assert "source mine (search mine) was learnt by adept, which is more than a soft prompt" in problems(
        method="spot", sources="mine"
    )
    assert "--sources a,b: --method dept starts from one adapter of dept or none, and 2 are given" in problems(
        method="dept", sources="a,b"
    )
    found = problems(method="dept", sources="sst2")
    assert "sst2: no search, and no task with a trained adapter of dept, is called so in" in found
    assert "--method dept trains a source on its task, as in: adept-search search --task sst2 --method dept" in found
