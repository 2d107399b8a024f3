"""WinnerCheck searches: in folders, and in a tracking store that others use too."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from orchestrator.record.record import SearchRecord, TrialRecord
from orchestrator.record.status import TrialStatus
from orchestrator.summarizer.results.found_search import FoundSearch
from orchestrator.summarizer.results.groups import make_groups
from orchestrator.summarizer.results.mlflow_searches import read_store
from orchestrator.summarizer.results.saved_searches import SearchFilter, read_folders, unique
from orchestrator.tracking.store import TrackingError
from orchestrator.tracking.tracker import End, Tracker
from tests.orchestrator.made_results import searched
from trials.errors import UserError


def saved(search: FoundSearch, folder: Path) -> SearchRecord:
    search.record.uid = search.record.name
    search.record.save(folder / search.record.name / "search.json")
    return search.record


def test_searches_are_found_below_a_folder_and_damaged_ones_are_named(tmp_path: Path) -> None:
    saved(searched(seed=1), tmp_path / "night" / "one")
    saved(searched(seed=2), tmp_path)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "search.json").write_text('{"schema": 1, "na')
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "search.json").write_text('{"query": "cats"}')
    found = read_folders([tmp_path])
    assert sorted(search.record.name for search in found.searches) == ["rte-adept-1", "rte-adept-2"]
    assert len(found.unread) == 2
    assert any("cut off" in text for text in found.unread)
    with pytest.raises(UserError, match="no such folder"):
        read_folders([tmp_path / "nothing"])


def test_a_copy_counts_once_and_the_longer_one_wins() -> None:
    short, whole = searched(None), searched(80.0)
    assert [search.record.test for search in unique([whole, short])] == [whole.record.test]
    assert len(unique([searched(seed=1), searched(seed=2)])) == 2


def test_a_record_says_when_it_began(tmp_path: Path) -> None:
    search = searched(provenance={"started": "2026-02-03T04:05:06+00:00"})
    saved(search, tmp_path)
    (found,) = read_folders([tmp_path]).searches
    assert found.started is not None and found.started.isoformat() == "2026-02-03T04:05:06+00:00"


def test_a_selection_takes_our_names_and_the_papers() -> None:
    searches = [searched(task="superglue-boolq"), searched(method="pt"), searched(backbone="google-t5/t5-base", day=5)]
    assert len(SearchFilter(tasks=("boolq",)).of(searches)) == 1
    assert len(SearchFilter(methods=("PT",)).of(searches)) == 1
    assert len(SearchFilter(backbones=("t5-base",)).of(searches)) == 3
    assert len(SearchFilter(since=date(2026, 3, 2)).of(searches)) == 1
    assert len(SearchFilter(until=date(2026, 3, 4)).of(searches)) == 2
    with pytest.raises(UserError) as caught:
        SearchFilter(tasks=("bolq",), methods=("lorra",)).of(searches)
    assert len(caught.value.problems) == 2
    assert "did you mean" in caught.value.problems[0]
    known = SearchFilter(methods=("pt", "lora"))  # of this version, if of no search: said, and no mistake
    assert len(known.of(searches)) == 1
    assert known.without(searches) == ["--method lora: no search has it yet"]


def test_the_newest_search_of_a_seed_counts_and_other_settings_stay_apart() -> None:
    old, new = searched(70.0, day=1), searched(80.0, day=2)
    short = searched(60.0, seed=3, settings={"steps": 100, "eval_every": 20})
    groups, left = make_groups([new, old, short])
    assert {tuple(group.scores().items()) for group in groups} == {((3, 60.0),), ((42, 80.0),)}
    assert left == ("rte-adept-42: a newer search has the same settings and seed",)


def test_searches_that_drew_from_one_space_are_seeds_of_one_group() -> None:
    drawn = [searched(80.0 + seed, seed=seed, provenance={"space": "small", "search": "random"}) for seed in (1, 2)]
    for search in drawn:  # what two draws have in common by chance is no setting
        for trial in search.record.trials:
            trial.configuration["bottleneck"] = search.seed
    (group,), _ = make_groups(drawn)
    assert group.scores() == {1: 81.0, 2: 82.0}
    assert group.fixed == {"prompt_lr": 0.3, "mlp_lr": 1e-4}
    limited = searched(70.0, seed=3, provenance={"space": "small-5", "search": "random"})
    assert len(make_groups([*drawn, limited])[0]) == 2


def test_a_store_gives_back_what_was_attached(tmp_path: Path, tracking_uri: str) -> None:
    search = searched(81.0)
    saved(search, tmp_path)
    with Tracker.open(tracking_uri, "rte") as tracker:
        tracker.start(search.record, {"task": "rte", "method": "adept", "backbone": "t5-base"})
        tracker.end(search.record, End(artifacts=[tmp_path / search.record.name / "search.json"]))
        assert tracker.close() == []
    (found,) = read_store(tracking_uri).searches
    assert found.record == search.record
    assert found.started is not None


def test_a_search_without_its_record_is_put_together_from_its_runs(tracking_uri: str) -> None:
    with Tracker.open(tracking_uri, "rte") as tracker:
        settings = {"task": "rte", "method": "adept", "backbone": "t5-base", "recipe": "paper", "steps": 40, "seed": 7}
        killed = SearchRecord(
            name="killed",
            task="rte",
            method="adept",
            backbone="t5-base",
            recipe="paper",
            metric="accuracy",
            uid="killed",
        )
        for number, scores in ((1, [50.0, 70.0]), (2, [40.0])):
            trial = TrialRecord(f"t{number}", number, {"prompt_lr": 0.1 * number}, 7, reason="rank 2 of 2")
            trial.status = TrialStatus.FINISHED if number == 1 else TrialStatus.STOPPED_EARLY
            for place, score in enumerate(scores, 1):
                best = {"best_score": max(scores[:place]), "best_step": 20 * place, "validation/accuracy": score}
                trial.reports.append({"step": 20 * place, "score": score, "seconds/train": 2.0, **best})
            killed.trials.append(trial)
        tracker.start(killed, settings, {"git_commit": "abc"})
        figures = {"validation/accuracy": 70.0, "validation/n": 138, "test/accuracy": 68.0, "test/n": 139}
        tracker.end(killed, End(figures=figures, winner={"trial": 1, "prompt_lr": 0.1}))
        assert tracker.close() == []
    (found,) = read_store(tracking_uri).searches
    record = found.record
    assert (record.task, record.recipe, record.metric, record.settings["steps"]) == ("rte", "paper", "accuracy", 40)
    assert [(t.number, t.seed, t.status, t.best_score, t.step) for t in record.trials] == [
        (1, 7, "finished", 70.0, 40),
        (2, 7, "stopped early", 40.0, 20),
    ]
    assert record.trials[0].configuration == {"prompt_lr": 0.1}
    assert record.trials[0].train_seconds == 4.0
    assert record.test is not None and (record.test.score, record.test.n, record.test.step) == (68.0, 139, 40)
    assert record.sizes == {"validation": 138, "test": 139}


@pytest.mark.parametrize(("metrics", "found"), [("f1, accuracy", "f1"), (None, "accuracy")], ids=["now", "before"])
def test_a_search_that_was_killed_is_measured_by_the_metric_that_selects(
    tracking_uri: str, metrics: str | None, found: str
) -> None:
    """A store gives a run's scores by their names."""
    with Tracker.open(tracking_uri, "cb") as tracker:
        scores = {"validation/accuracy": 90.0, "validation/f1": 70.0, "validation/loss": 0.5}
        trial = TrialRecord("t1", 1, {"prompt_lr": 0.1}, 7, reports=[{"step": 20, "score": 70.0, **scores}])
        killed = SearchRecord(
            name="killed",
            task="cb",
            method="adept",
            backbone="t5-base",
            recipe="paper",
            metric="f1",
            uid="killed",
            trials=[trial],
        )
        params = {"task": "cb", "method": "adept", "backbone": "t5-base"}
        tracker.start(killed, params | ({"metrics": metrics} if metrics else {}))
        assert tracker.close() == []
    (search,) = read_store(tracking_uri).searches
    assert search.record.metric == found


def test_foreign_runs_do_not_disturb(tmp_path: Path, tracking_uri: str) -> None:
    search = searched(81.0)
    saved(search, tmp_path)
    with Tracker.open(tracking_uri, "shared") as tracker:
        client, experiment = tracker.store.client, tracker.store.experiment.experiment_id
        other = client.create_experiment("somebody's")
        for where, tags in (
            (experiment, {}),
            (other, {"kind": "search"}),
            (other, {"kind": "search", "search": "cats and dogs"}),
            (other, {"search": "no kind"}),
        ):
            run = client.create_run(where, tags=tags)
            client.log_metric(run.info.run_id, "loss", float("nan"))
        garbage = client.create_run(other, tags={"kind": "search", "search": "garbage"})
        (tmp_path / "search.json").write_text("not JSON")
        client.log_artifact(garbage.info.run_id, str(tmp_path / "search.json"))
        tracker.start(search.record, {"task": "rte", "method": "adept", "backbone": "t5-base"})
        tracker.end(search.record, End(artifacts=[tmp_path / search.record.name / "search.json"]))
        tracker.close()
    found = read_store(tracking_uri)
    assert [one.record.name for one in found.searches] == [search.record.name]
    assert len(found.unread) == 3
    assert all("somebody" not in text for text in found.unread)


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="no such database"):
        read_store(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert not (tmp_path / "mlflow.db").exists()
