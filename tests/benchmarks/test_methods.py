"""The table of all methods: of searches that were run alike, and of nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import methods
from orchestrator.record.record import SearchRecord, TestResult, TrialRecord
from orchestrator.record.status import TrialStatus


def searched(folder: Path, task: str, method: str, scores: list[float], steps: int = 120) -> None:
    """A search's record: one configuration on as many seeds as there are test scores, and one that was stopped."""
    record = SearchRecord(
        name=f"{task}-{method}",
        task=task,
        method=method,
        backbone="t5-nano",
        recipe="released_code",
        metric="accuracy",
    )
    record.settings, record.sizes = {"steps": steps, "seeds": len(scores)}, {"test": 600}
    record.majority = {"test": 50.0}
    for number, _ in enumerate(scores, 1):
        report = {"step": steps, "score": 60.0, "best_score": 60.0, "best_step": steps, "status": "finished"}
        report |= {"seconds/train": 1.0, "seconds/evaluation": 0.5}
        record.trials.append(
            TrialRecord(f"t{number}", number, {"lr": 0.1}, 41 + number, TrialStatus.FINISHED, [report])
        )
        record.parameters[number] = 1000
    record.trials.append(TrialRecord("other", 9, {"lr": 0.3}, 42, TrialStatus.STOPPED_EARLY))
    tests = [TestResult(n, score, {"accuracy": score}, 600, 1 / 6, steps) for n, score in enumerate(scores, 1)]
    record.test, record.seed_tests = tests[0], tests[1:]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / record.name).mkdir()
    record.save(folder / record.name / "search.json")


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(methods, "RESULTS", tmp_path / "results")
    (tmp_path / "results").mkdir()
    return tmp_path / "results"


def test_the_best_method_comes_first_and_tasks_of_earlier_runs_stay(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    searched(tmp_path / "one", "debsec", "pt", [50.0, 52.0, 54.0])
    searched(tmp_path / "one", "debsec", "adept", [60.0, 61.0, 65.0])
    methods.main([str(tmp_path / "one"), "--name", "made"])
    searched(tmp_path / "two", "debmatch", "pt", [70.0, 70.0, 70.0])
    capsys.readouterr()
    methods.main([str(tmp_path / "two"), "--name", "made"])
    rows = capsys.readouterr().out.splitlines()
    assert rows[2:] == [
        "| `pt` | 1,000 | 52.0 ± 2.0 | 70.0 ± 0.0 |",
        "| `adept` | 1,000 | 62.0 ± 2.6 | not run |",
        "| constant best answer | 0 | 50.0 | 50.0 |",
    ]
    kept = json.loads((results / "made.json").read_text())["debsec"]["methods"]["adept"]
    assert kept["test"] == [60.0, 61.0, 65.0] and kept["trials"] == 2 and kept["device seconds"] == 4.5


def test_searches_of_other_budgets_do_not_come_into_one_table(tmp_path: Path, results: Path) -> None:
    searched(tmp_path, "debsec", "pt", [50.0])
    searched(tmp_path, "debsec", "adept", [60.0], steps=240)
    with pytest.raises(ValueError, match="debsec-adept was not run as debsec-pt was: steps differ"):
        methods.main([str(tmp_path)])
    assert not list(results.iterdir())


def test_a_later_search_joins_those_that_were_run_alike(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    searched(tmp_path / "one", "debsec", "pt", [50.0])
    searched(tmp_path / "one", "debsec", "adept", [60.0])
    methods.main([str(tmp_path / "one")])
    searched(tmp_path / "two", "debsec", "spot", [40.0])
    searched(tmp_path / "two", "debsec", "pt", [70.0])
    capsys.readouterr()
    methods.main([str(tmp_path / "two")])
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [(row[0], row[2]) for row in rows[:3]] == [
        ("| `pt`", "70.0 |"),
        ("| `adept`", "60.0 |"),
        ("| `spot`", "40.0 |"),
    ]
    searched(tmp_path / "three", "debsec", "pt", [99.0], steps=240)
    before = (results / "methods.json").read_bytes()
    with pytest.raises(ValueError, match="debsec: those kept were not run alike: protocol differ; give another --name"):
        methods.main([str(tmp_path / "three")])
    assert (results / "methods.json").read_bytes() == before
