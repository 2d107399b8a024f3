"""Where configurations come from: inside the space and its budget, better than chance, the same after a restart."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from orchestrator.record.record import TrialRecord
from orchestrator.record.status import TrialStatus
from orchestrator.searchers.distributions import Distributions
from orchestrator.searchers.optuna_search import ConfigurationSearch, Tried
from search_spaces import Configuration, load_space, parameter_count
from tests.orchestrator.made_records import make_record, make_trial

WIDTH = 256
LEARNING = ["tpe", "gp"]


def small(method: str = "adept", name: str = "small") -> Distributions:
    return Distributions(load_space(name, method=method, d_model=WIDTH), WIDTH, 256)


def searcher(
    algorithm: str, seed: int = 1, samples: int = 20, distributions: Distributions | None = None
) -> ConfigurationSearch:
    return ConfigurationSearch(distributions or small(), algorithm, seed, samples)


def score(configuration: Configuration) -> float:
    """Best where the prompt's rate is near 0.35 and the network's near 6e-5."""
    prompt, mlp = (math.log10(float(configuration[name])) for name in ("prompt_lr", "mlp_lr"))
    return 80.0 - 4000 * (prompt + 0.46) ** 2 - 200 * (mlp + 4.2) ** 2


def run(search: ConfigurationSearch, trials: int) -> list[Configuration]:
    asked = []
    for _ in range(trials):
        found = search.ask()
        assert found is not None
        number, configuration = found
        asked.append(configuration)
        search.tell(number, score(configuration), 400, TrialStatus.FINISHED)
    return asked


@pytest.mark.parametrize("method", ["adept", "dept", "pt"])
@pytest.mark.parametrize("name", ["small", "t5-nano", "decoder-only-search"])
def test_draws_stay_within_the_grids_values_and_its_parameters(method: str, name: str) -> None:
    if (name, method) == ("decoder-only-search", "dept"):
        pytest.skip("that space has no grid for dept")
    distributions = small(method, name)
    space = distributions.space
    most = max(parameter_count(method, c, WIDTH, 256) for c in space.configurations)
    search = searcher("random", samples=distributions.count(40), distributions=distributions)
    drawn = [found[1] for _ in range(40) if (found := search.ask())]
    assert drawn
    for configuration in drawn:
        assert configuration.keys() == space.configurations[0].keys()
        assert parameter_count(method, configuration, WIDTH, 256) <= max(most, 100 * WIDTH)
        for name_, value in configuration.items():
            values: list[Any] = [c[name_] for c in space.configurations]
            if isinstance(value, str):
                assert value in values
            else:
                assert min(values) <= value <= max(values)
        back = distributions.parameters(configuration)
        assert back is not None
        assert distributions.configuration(back) == configuration


def test_rates_are_drawn_between_the_grids_and_the_bottleneck_follows_from_the_length() -> None:
    search = searcher("random", samples=60)
    drawn = [configuration for _ in range(60) if (found := search.ask()) for configuration in found[1:]]
    assert len({c["mlp_lr"] for c in drawn}) > 40
    below = sum(float(c["mlp_lr"]) < math.sqrt(1e-4 * 1e-5) for c in drawn)
    assert 15 <= below <= 45  # log-uniform: half of them in the lower half of the decade
    for c in drawn:
        assert c["bottleneck"] == ((100 - int(c["prompt_length"]) - 1) * WIDTH) // (2 * WIDTH + 1)


def test_a_size_that_the_budget_does_not_leave_is_cut(tmp_path: Path) -> None:
    file = tmp_path / "free.yaml"
    file.write_text(
        "settings: {steps: 100, eval_every: 50, batch_size: 4, warmup_steps: 0}\n"
        "grids: {adept: {prompt_lr: [1e-1, 1], mlp_lr: 1e-4, prompt_length: [10, 90], bottleneck: [2, 45]}}\n"
    )
    distributions = Distributions(load_space(file, method="adept", d_model=WIDTH), WIDTH, 256)
    assert distributions.ceiling == 90 * WIDTH + 2 * 45 * WIDTH + 45 + WIDTH  # the grid's own greatest
    tight = ConfigurationSearch(distributions, "random", 3, 50)
    object.__setattr__(distributions, "ceiling", 100 * WIDTH)
    drawn = [found[1] for _ in range(50) if (found := tight.ask())]
    counts = [parameter_count("adept", c, WIDTH) for c in drawn]
    assert max(counts) <= 100 * WIDTH
    assert sum(count > 97 * WIDTH for count in counts) > 5  # cut to what just fits


def test_a_grid_is_proposed_whole_in_an_order_of_the_seed_with_its_own_numbers() -> None:
    space = small().space
    search = searcher("grid", samples=1000)
    asked = [found for _ in range(len(space.configurations)) if (found := search.ask())]
    assert search.ask() is None
    assert sorted(number for number, _ in asked) == list(range(1, 25))
    assert all(space.configurations[number - 1] == configuration for number, configuration in asked)
    assert [number for number, _ in asked] != list(range(1, 25))


@pytest.mark.parametrize("algorithm", LEARNING)
def test_learning_beats_chance(algorithm: str) -> None:
    def late(name: str) -> float:
        found = [run(searcher(name, seed, 20), 20)[10:] for seed in range(2)]
        return sum(score(c) for part in found for c in part) / 20

    assert late(algorithm) > late("random") + 3.0


@pytest.mark.parametrize("algorithm", ["random", *LEARNING])
def test_a_resumed_search_proposes_what_it_would_have_proposed(algorithm: str) -> None:
    through = run(searcher(algorithm, samples=14), 14)
    first = searcher(algorithm, samples=14)
    run(first, 9)
    trials = [
        TrialRecord(f"t{n}", n, t.configuration, 42, TrialStatus.FINISHED, [{"step": 400, "score": t.score}])
        for n, t in first.tried.items()
    ]
    again = searcher(algorithm, samples=14)
    again.take_up(trials)
    assert run(again, 5) == through[9:]
    assert again.ask() is None


@pytest.mark.parametrize("algorithm", LEARNING)
def test_trials_that_run_wait_were_stopped_or_diverged_are_told_and_not_proposed_again(algorithm: str) -> None:
    search = searcher(algorithm, samples=15)
    ends = ["stopped early", "waiting", "diverged", "failed", "running"]
    asked = []
    for place in range(15):
        found = search.ask()
        assert found is not None
        number, configuration = found
        assert configuration not in asked
        asked.append(configuration)
        status = ends[place % len(ends)]
        search.tell(
            number, math.nan if status == "diverged" else score(configuration), 100 * (place % 4), TrialStatus(status)
        )


def few(tmp_path: Path, axes: str) -> Distributions:
    file = tmp_path / "few.yaml"
    file.write_text(f"settings: {{steps: 100, eval_every: 50, batch_size: 4, warmup_steps: 0}}\ngrids: {{{axes}}}\n")
    method = axes.partition(":")[0]
    return Distributions(load_space(file, method=method, d_model=WIDTH), WIDTH, 256)


@pytest.mark.parametrize("algorithm", ["random", *LEARNING])
def test_what_cannot_be_trained_on_the_backbone_is_not_drawn(tmp_path: Path, algorithm: str) -> None:
    """LAMP's rank is at most the rows that it decomposes: of 5 lengths with as many ranks 15 pairs are left."""
    distributions = few(tmp_path, "lamp: {prompt_lr: 0.1, prompt_length: [1, 5], pool: 1, rank: [1, 5]}")
    assert distributions.count(1_000) == 15
    search = searcher(algorithm, samples=15, distributions=distributions)
    drawn = [found[1] for _ in range(15) if (found := search.ask())]
    assert len(drawn) == 15 and all(int(c["rank"]) <= int(c["prompt_length"]) for c in drawn)


@pytest.mark.parametrize(
    ("axes", "count"),
    [
        ("pt: {prompt_lr: [0.1, 0.1], prompt_length: 20}", 1),
        ("pt: {prompt_lr: [0.1, 0.1], prompt_length: [20, 22]}", 3),
        ("pt: {prompt_lr: [0.1, 0.1004], prompt_length: 20}", 1),  # all of it is rounded to 0.1
        ("pt: {prompt_lr: [0.1, 0.1006], prompt_length: 20}", 2),  # what would be 0.101 is the end
        ("pt: {prompt_lr: [0.0998, 0.101], prompt_length: 20}", 4),  # 0.0998, 0.0999, 0.1, 0.101
        ("pt: {prompt_lr: 0.1, prompt_length: [20, 21], prompt_init: [uniform, vocabulary]}", 4),
        ('adept: {prompt_lr: 0.1, mlp_lr: 1e-3, "prompt_length, bottleneck": [[4, 2], [8, 1], [8, 1]]}', 2),
        ("adept: {prompt_lr: 0.1, mlp_lr: 1e-3, prompt_length: [20, 24], bottleneck: from_budget}", 5),
        (
            "adept: {prompt_lr: [0.1, 0.1006], mlp_lr: 1e-3, prompt_length: [0, 2], bottleneck: 5}",
            5,
        ),  # 0 rows: one rate
    ],
)
@pytest.mark.parametrize("algorithm", ["random", *LEARNING])
def test_few_configurations_are_counted_and_all_of_them_proposed(
    tmp_path: Path, axes: str, count: int, algorithm: str
) -> None:
    distributions = few(tmp_path, axes)
    assert distributions.count(1000) == count
    search = searcher(algorithm, samples=count, distributions=distributions)
    asked = [c for _ in range(count) if (found := search.ask()) for c in found[1:]]
    assert len({str(c) for c in asked}) == count
    assert search.ask() is None
    search.samples += 1
    with pytest.raises(ValueError, match="the ranges hold"):
        search.ask()


@pytest.mark.parametrize(
    ("ends", "count", "given", "rounded"),
    [
        ("0.0, 0.1", 101, 0.0124, 0.012),  # steps of a thousandth
        ("0.0, 0.25", 251, 0.25, 0.25),
        ("-0.5, 2.25", 276, -0.125, -0.12),  # of a hundredth: three digits of 2.25
        ("-10.0, -2.0", 81, -2.0, -2.0),
    ],
)
def test_a_range_from_zero_or_below_is_drawn_evenly_to_three_digits_of_its_larger_end(
    tmp_path: Path, ends: str, count: int, given: float, rounded: float
) -> None:
    distributions = few(tmp_path, f"peft: {{lr: 1e-3, tuner: LOKR, module_dropout: [{ends}], r: 8}}")
    there = list(distributions.different())
    assert len(there) == distributions.count(1_000) == count
    search = searcher("random", samples=40, distributions=distributions)
    drawn = [found[1] for _ in range(40) if (found := search.ask())]
    assert all(configuration in there for configuration in drawn)
    low, high = map(float, ends.split(", "))
    assert 10 <= sum(float(c["module_dropout"]) < (low + high) / 2 for c in drawn) <= 30
    known = distributions.parameters({**there[0], "module_dropout": given})  # of an earlier search
    assert known == {"module_dropout": given}
    assert distributions.configuration(known)["module_dropout"] == rounded
    assert distributions.parameters({**there[0], "module_dropout": high + 1}) is None


def test_the_last_of_many_configurations_is_found_though_chance_may_never_draw_it(tmp_path: Path) -> None:
    distributions = few(tmp_path, "pt: {prompt_lr: 0.1, prompt_length: [1, 300]}")
    search = searcher("random", samples=300, distributions=distributions)
    search.tried = {
        n: Tried({"prompt_lr": 0.1, "prompt_length": n, "prompt_init": "vocabulary"}) for n in range(1, 300)
    }
    found = search.ask()
    assert found is not None and found[1]["prompt_length"] == 300


def test_rates_over_decades_are_more_than_anybody_samples() -> None:
    assert small().count(10_000) == 10_000


def test_earlier_searches_of_the_same_task_count_and_of_another_give_their_best(tmp_path: Path) -> None:
    grid = small().space.configurations
    trials = [make_trial(n + 1, [score(c)], configuration=dict(c)) for n, c in enumerate(grid)]
    best = max(grid, key=score)
    like = make_record()
    other = make_record(*trials, task="cola", name="cola-search")
    strange = make_record(make_trial(1, [90.0]), task="boolq", name="strange")  # its rates are no part of the space
    search = searcher("tpe", samples=8)
    said = search.learn_from([make_record(*trials), other, strange, make_record(method="pt", name="pt-one")], like)
    assert said == [
        "rte-adept: 24 of its 24 trials count as tried before",
        "cola-search: its best configuration is tried first",
        "strange: nothing that this space holds and that is new",
        "pt-one: of another method (pt), not used",
    ]
    moved = make_record(*trials, provenance={"rows fingerprint": "r2"}, name="moved")
    like.provenance["rows fingerprint"] = "r1"
    assert searcher("tpe", samples=8).learn_from([moved], like) == [
        "moved: of other data (fingerprints r2 and r1), so its scores do not count; "
        "its best configuration is tried first"
    ]
    asked = run(search, 8)
    assert asked[0] == best
    alone = [score(c) for c in run(searcher("tpe", samples=8), 8)]
    assert sum(score(c) for c in asked) > sum(alone) + 30.0
    for now in (
        make_record(settings={**like.settings, "trainer_revision": 99}),
        make_record(settings={**like.settings, "shots": 16}),
        make_record(provenance={"source_fingerprints": "mnli 0123456789abcdef"}),
    ):
        assert searcher("tpe").learn_from([make_record(*trials)], now) == [
            "rte-adept: its best configuration is tried first"
        ]
