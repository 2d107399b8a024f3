"""The HTML report: what it says, that nothing is injected into it, and that no odd search breaks it."""

from __future__ import annotations

import itertools
import math
import random
import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.record.record import SearchRecord, TestResult
from orchestrator.summarizer.page import write_results_page, write_search_page
from orchestrator.summarizer.page.search_section import SearchSection
from orchestrator.summarizer.page.search_view import SearchView
from tests.orchestrator.made_records import make_record, make_trial
from tests.orchestrator.made_searches import BOTTLENECK, made_search, search_of, with_test
from tests.orchestrator.summarizer.page.parsed_page import Page

HOSTILE = "<script>window.hit=1</script><img src=x onerror=hit()> \"'&amp; {{ 7*7 }} $\\alpha_$ \x1b[31m中"


@pytest.fixture(scope="module")
def record() -> SearchRecord:
    return with_test(made_search())


@pytest.fixture(scope="module")
def page(record: SearchRecord, tmp_path_factory: pytest.TempPathFactory) -> Page:
    return Page(write_search_page(record, tmp_path_factory.mktemp("page") / "new" / "report.html"))


def test_the_decision_comes_first_with_what_it_is_worth(record: SearchRecord, page: Page) -> None:
    assert record.test is not None
    number = record.test.trial_number
    assert f"trial {number}" in page.texts
    assert f"{record.test.score:.1f}" in page.texts
    assert "95 % interval" in page.text and "one example is 0.72 points" in page.text
    assert page.all("section")[0]["id"] == "decision"


def test_every_trial_is_in_the_table_and_in_the_charts(record: SearchRecord, page: Page) -> None:
    keys = {found["data-trial"] for found in page.all("tr") if "data-trial" in found}
    assert keys == {str(rank) for rank in range(1, 25)} == page.marked()
    statuses = [found["data-status"] for found in page.all("tr") if "data-status" in found]
    assert sorted(statuses) == sorted(trial.status for trial in record.trials)


def test_rungs_say_who_came_and_who_was_stopped(record: SearchRecord) -> None:
    first, second = SearchView(record).rungs
    assert (first.step, second.step) == (8_000, 24_000)
    assert len(first.scores) - len(first.stopped) == len(second.scores)
    stopped = [trial for trial in record.trials if trial.status == "stopped early"]
    assert len(first.stopped) + len(second.stopped) == len(stopped)
    assert first.cutoff == min(score for view, score in first.scores if view.trial.step > 8_000)


def test_where_losses_decided_no_score_is_drawn_as_the_cutoff(record: SearchRecord) -> None:
    by_loss = replace(record, settings={**record.settings, "rank_by": "loss"})
    assert [rung.cutoff for rung in SearchView(by_loss).rungs] == [None, None]
    assert "losses decided" in str(SearchSection(SearchView(by_loss)).chart("rungs"))
    assert "losses decided" not in str(SearchSection(SearchView(record)).chart("rungs"))


def test_compute_adds_up_to_the_full_grid(record: SearchRecord) -> None:
    shares = {kind: share for kind, _, share in SearchSection(SearchView(record)).shares}
    assert sum(shares.values()) == pytest.approx(100.0)
    trained = sum(trial.step for trial in record.trials)
    assert shares["trained"] == pytest.approx(100.0 * trained / (24 * 30_000))


def test_the_heat_map_has_the_best_score_of_each_configuration(record: SearchRecord) -> None:
    drawn = str(SearchSection(SearchView(record)).chart("map"))
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", drawn)
    for trial in record.trials:
        assert any(text.startswith(f"{trial.best_score:.1f}") for text in texts)
    assert {"20 · 39", "40 · 29", "60 · 19", "80 · 9"} <= set(texts)


def test_the_page_needs_no_network_and_keeps_secrets(page: Page) -> None:
    for name, found in page.elements:
        assert "src" not in found
        for link in (found.get("href", "#"), found.get("xlink:href", "#")):
            assert link.startswith(("#", "data:")), (name, link)
    assert not re.search(r"@import|url\((?!#)|\bfetch\(|XMLHttpRequest", page.source)
    assert "tracking.example" in page.text and "secret" not in page.source


def test_provenance_has_what_repeats_the_search(page: Page) -> None:
    assert "git checkout cd42a33c2b962f37d3e1f20716f71168307a0d76\n" in page.source
    assert "python orchestrator/search.py --task rte --name &#39;my search&#39;" in page.source
    assert "changes that are not in this commit" in page.text
    for known in ("d1cbe256eb54d102", "AMD EPYC, 2 cores", "2.13.0", "train 2,490, validation 138, test 139"):
        assert known in page.text


def test_names_are_shown_and_never_run(tmp_path: Path) -> None:
    search = with_test(
        search_of([{HOSTILE: rate, "prompt_lr": rate, "note": HOSTILE + str(rate)} for rate in (0.3, 0.5)])
    )
    for name in ("name", "task", "method", "backbone", "recipe", "metric", "adapter"):
        setattr(search, name, HOSTILE)
    search.provenance = {HOSTILE: HOSTILE, "command": HOSTILE, "git_commit": HOSTILE}
    search.trials[0].reason = search.trials[0].trial_id = HOSTILE
    search.settings[HOSTILE] = search.tracking_uri = HOSTILE
    ours = Page(write_search_page(made_search(), tmp_path / "ours.html"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pages = [write_search_page(search, tmp_path / "a.html"), write_results_page([search], tmp_path / "b.html")]
    for path in pages:
        found = Page(path)
        assert len(found.all("script")) == 1
        assert not found.all("img")
        assert {name for name, _ in found.elements} <= {name for name, _ in ours.elements} | {
            "details",
            "summary",
            "small",
        }
        assert not any(key.startswith("on") for _, attributes in found.elements for key in attributes)
        assert "window.hit=1" in found.text and "{{ 7*7 }}" in found.text and "\x1b" not in found.source


def grid(**values: list[object]) -> list[dict[str, object]]:
    return [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]


ODD: dict[str, Callable[[], SearchRecord]] = {
    "no trial": lambda: make_record(),
    "nothing but names": lambda: SearchRecord(
        name="n", task="t", method="m", backbone="b", recipe="r", metric="accuracy"
    ),
    "no report yet": lambda: make_record(make_trial(1, status="waiting"), make_trial(2, status="running")),
    "no finished trial": lambda: make_record(
        make_trial(1, [50.0, 52.0], "stopped early"), make_trial(2, [51.0], "running")
    ),
    "one trial": lambda: make_record(make_trial(1, [50.0, 60.0])),
    "one report": lambda: make_record(make_trial(1, [50.0])),
    "ties everywhere": lambda: make_record(*(make_trial(number, [50.0] * 5) for number in range(1, 9))),
    "all diverged": lambda: make_record(*(make_trial(n, [math.nan], "diverged") for n in (1, 2, 3))),
    "NaN and infinity": lambda: make_record(
        make_trial(1, [math.nan, 50.0, math.inf, 60.0, -math.inf]), make_trial(2, [50.0, math.nan], "diverged")
    ),
    "all failed": lambda: make_record(make_trial(1, status="failed", error="CUDA out of memory\n" * 40)),
    "no test example counted": lambda: make_record(make_trial(1, [50.0] * 5), sizes={}, majority={}, settings={}),
    "prompt tuning": lambda: with_test(search_of(grid(prompt_lr=[0.03, 0.1, 0.3], prompt_length=[100]), method="pt")),
    "DePT": lambda: with_test(
        search_of(
            [
                {**point, "rank": {20: 60, 40: 45}[point["prompt_length"]]}  # type: ignore[index]
                for point in grid(prompt_lr=[0.3, 0.4], lowrank_lr=[1e-4, 5e-4, 1e-3], prompt_length=[20, 40])
            ],
            method="dept",
        )
    ),
    "decoder-only": lambda: search_of(
        grid(prompt_init=["vocabulary", "uniform"], prompt_lr=[1e-3, 1e-2], mlp_lr=[1e-4]), backbone="smollm2-135m"
    ),
    "text, truth values, lists and nothing": lambda: search_of(
        [*grid(init=["a", None, True, [1, 2]], dropout=[0.0, 0.1]), {"prompt_lr": 0.1}, {"init": {"deep": [1]}}]
    ),
    "two seeds": lambda: two_seeds(),
    "a metric that is no share": lambda: make_record(
        make_trial(1, [-3.0, 12.5]), make_trial(2, [9.0, 99.0]), metric="f1"
    ),
    "steps reported twice": lambda: twice(),
    "names of three hundred letters": lambda: with_test(
        search_of(grid(**{"x" * 300: [1, 2], "y_lr" * 60: [0.1, 0.2]}))  # type: ignore[arg-type]
    ),
    "thirty levels": lambda: search_of(
        grid(prompt_lr=[i / 50 for i in range(1, 31)], kind=[f"kind {i}" for i in range(6)])
    ),
}


def two_seeds() -> SearchRecord:
    one, other = made_search(seed=1), made_search(seed=2)
    one.trials += other.trials
    return with_test(one)


def twice() -> SearchRecord:
    trial = make_trial(1, [50.0, 55.0, 60.0, 61.0, 62.0])
    trial.reports.insert(3, {"step": 2_000, "score": 56.0, "best_score": 56.0, "best_step": 2_000})
    return make_record(trial, make_trial(2, [50.0, 51.0]))


@pytest.mark.parametrize("kind", ODD)
def test_no_odd_search_breaks_the_page(kind: str, tmp_path: Path) -> None:
    odd = ODD[kind]()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = Page(write_search_page(odd, tmp_path / "search.html"))
    assert f"Trials {len(odd.trials)}" in found.text or f"{len(odd.trials):,}" in found.texts
    scored = sum(trial.best_score is not None for trial in odd.trials)
    assert len(found.marked()) == scored, "each trial with a score has its marks"
    assert "nan" not in re.sub(r"[^\W\d_]{4,}", "", found.text.lower()).split(), "no number is printed as nan"


def test_no_odd_search_breaks_the_page_of_all(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = Page(write_results_page([make() for make in ODD.values()], tmp_path / "results.html"))
    assert len(found.all("details", **{"class": "search"})) == len(ODD)


def test_a_trial_without_a_score_does_not_hide_the_reason(tmp_path: Path) -> None:
    found = Page(write_search_page(ODD["all diverged"](), tmp_path / "page.html"))
    assert "No winner." in found.text
    assert "no trial has a validation score that may win (3 diverged)" in found.text


@pytest.mark.slow
def test_a_thousand_trials_within_ten_megabytes(tmp_path: Path) -> None:
    dice = random.Random(1)
    lengths = [dice.choice(list(BOTTLENECK)) for _ in range(1_000)]
    record = with_test(search_of([
        {"prompt_lr": 10 ** dice.uniform(-2, 0), "mlp_lr": 10 ** dice.uniform(-5, -2), "prompt_length": length,
         "bottleneck": BOTTLENECK[length]} for length in lengths
    ]))  # fmt: skip
    path = write_search_page(record, tmp_path / "report.html")
    assert path.stat().st_size < 10e6
    assert len(Page(path).marked()) == 1_000


def test_one_validation_example_is_enough(tmp_path: Path) -> None:
    trials = make_trial(1, [0.0, 100.0]), make_trial(2, [0.0, 0.0])
    record = make_record(*trials, sizes={"train": 8, "validation": 1, "test": 1})
    record.test = TestResult(1, 100.0, {"accuracy": 100.0}, 1, 100.0, 2_000)
    assert "one example is 100.00 points" in Page(write_search_page(record, tmp_path / "one.html")).text


def test_the_same_record_gives_the_same_page(tmp_path: Path) -> None:
    record = make_record(make_trial(1, [50.0, 60.0]), make_trial(2, [50.0, 51.0], "stopped early"))
    first = write_search_page(record, tmp_path / "a.html").read_bytes()
    assert write_search_page(record, tmp_path / "b.html").read_bytes() == first
