"""A registry that is away, refuses or is asked by two at once: no night is lost, and nothing is given to it twice."""

from __future__ import annotations

import json
import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from orchestrator.nights.champions import champions, crown
from orchestrator.nights.crowning import Crowning
from orchestrator.tracking.registry import Registry
from tests.orchestrator.nights.made_champions import ALIKE, MODEL, STRONG, WEAK, Sweep
from tests.orchestrator.nights.made_nights import night, verdict


@pytest.fixture
def sweep(tmp_path: Path, tracking_uri: str) -> Sweep:
    return Sweep(tmp_path, tracking_uri)


def test_the_same_night_again_writes_nothing_new(sweep: Sweep) -> None:
    sweep.crown(sweep.winners.cell(WEAK), sweep.winners.cell(WEAK, method="pt"))
    sweep.crown(*sweep.nights[0].cells)  # taken over by the next night
    before = sweep.aliases, sweep.versions
    assert not any(one.moved for one in sweep.again().values())
    assert (sweep.aliases, sweep.versions) == before == ({"champion": 1, "champion-adept": 1, "champion-pt": 2}, 2)


def test_a_registry_that_is_away_loses_no_night(sweep: Sweep, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sweep.crown(sweep.winners.cell(WEAK))
    key = sweep.nights[0].cells[0].key
    known = champions([key], sweep.uri, sweep.folder)
    there = sweep.uri
    cell = sweep.winners.cell(STRONG)
    sweep.uri = f"sqlite:///{tmp_path}/none.db"
    assert sweep.crown(cell) == {} and "kept, and written into the registry by the next night" in caplog.text
    assert champions([key], sweep.uri, sweep.folder) == known
    sweep.uri = there
    found = sweep.crown(sweep.winners.cell(WEAK))
    assert not found["champion"].moved and sweep.aliases["champion"] == 2
    assert "since night 2026-03-02" in sweep.client.get_model_version(MODEL, "2").tags["champion"]
    assert not (sweep.folder / "champions" / "waiting.json").exists()


def test_a_registry_that_refuses_in_the_middle_is_asked_again(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sweep.crown(sweep.winners.cell(WEAK))
    for call in ("create_model_version", "set_registered_model_tag", "set_registered_model_alias"):
        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, call, lambda *_, **__: (_ for _ in ()).throw(PermissionError("403 forbidden")))
            sweep.crown(sweep.winners.cell(STRONG, validation=90.0))
            assert "refused: 403 forbidden" in caplog.text
        assert sweep.again()["champion-adept"].version == sweep.aliases["champion-adept"]
        assert sweep.aliases["champion"] == sweep.aliases["champion-adept"]
        assert not Registry.open(sweep.uri).model("rte", "t5-nano").is_set_by_hand("champion")  # type: ignore[union-attr]


def test_a_search_that_mlflow_has_no_run_of_waits_for_it(sweep: Sweep, caplog: pytest.LogCaptureFixture) -> None:
    cell = sweep.winners.cell(WEAK, tracked=False)
    assert sweep.crown(cell) == {}
    command = f"adept-search resume rte-adept-1 --output '{sweep.winners.folder}'"
    assert f"has no run of this search (rte-adept-1): `{command}` writes it" in caplog.text
    sweep.winners.track(Path(cell.folder), "uid-rte-adept-1")
    assert sweep.crown(sweep.winners.cell(ALIKE))["champion"].version == 1


@pytest.mark.parametrize("best_is_refused", [False, True])
def test_a_method_that_is_refused_keeps_no_other_one_from_its_champion(best_is_refused: bool, sweep: Sweep) -> None:
    pt = sweep.winners.cell(WEAK, method="pt", validation=80.0 if best_is_refused else 60.0, tracked=False)
    adept = sweep.winners.cell(STRONG, validation=70.0)
    moved = sweep.crown(pt, adept)
    # Were pt the best by validation, the test scores of one night must not choose adept instead.
    assert moved.keys() == {"champion-adept"} | (set() if best_is_refused else {"champion"})
    assert all(one.moved for one in moved.values()) and sweep.aliases == dict.fromkeys(moved, 1)
    sweep.winners.track(Path(pt.folder), "uid-rte-pt-1")
    sweep.crown(sweep.winners.cell(WEAK, method="ia3", validation=50.0))
    tags = {alias: sweep.client.get_model_version_by_alias(MODEL, alias).tags for alias in sweep.aliases}
    champion = pt if best_is_refused else adept
    assert tags["champion"]["method"] == champion.key.method and tags["champion"]["night"] == "2026-03-01"
    assert tags["champion-pt"]["method"] == "pt" and tags["champion-adept"]["method"] == "adept"
    assert not (sweep.folder / "champions" / "waiting.json").exists()


def test_what_the_registry_took_of_a_night_is_not_given_to_it_again(sweep: Sweep) -> None:
    gone = sweep.winners.cell(STRONG)
    shutil.rmtree(gone.folder)
    gone = replace(gone, key=gone.key._replace(task="qqp"))
    taken = sweep.winners.cell(WEAK)
    assert sweep.crown(taken, gone)["champion"].moved
    waiting = json.loads((sweep.folder / "champions" / "waiting.json").read_text())
    assert [[cell["key"][0] for cell in past["cells"]] for past, _ in waiting] == [["qqp"]]
    sweep.nights.append(night(2, sweep.winners.cell(ALIKE)))
    found = crown(sweep.nights[-1], verdict(), tracking_uri=sweep.uri, folder=sweep.folder)
    assert [(one.key.task, one.alias) for one in found] == [("rte", "champion-adept"), ("rte", "champion")]


@pytest.mark.parametrize("away", [False, True])
def test_nights_that_wait_are_limited_and_those_given_up_are_named(
    away: bool, sweep: Sweep, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("orchestrator.nights.champions.MOST_KEPT", 2)
    there, sweep.uri = sweep.uri, f"sqlite:///{sweep.folder}/none.db" if away else sweep.uri
    for _ in range(2):
        sweep.crown(sweep.winners.cell(WEAK, tracked=False))
    assert "given up" not in caplog.text
    sweep.crown(sweep.winners.cell(WEAK, tracked=False))
    assert "no more than 2 nights wait for the registry: the winners of night 2026-03-01 are given up" in caplog.text
    waiting = json.loads((sweep.folder / "champions" / "waiting.json").read_text())
    assert [past["date"] for past, _ in waiting] == ["2026-03-02", "2026-03-03"]
    sweep.uri = there
    for cell in [one.cells[0] for one in sweep.nights]:
        sweep.winners.track(Path(cell.folder), f"uid-{Path(cell.folder).name}")
    sweep.crown(sweep.winners.cell(ALIKE))
    assert sweep.client.get_model_version_by_alias(MODEL, "champion").tags["night"] == "2026-03-02"


def test_two_sweeps_at_once_make_one_champion(sweep: Sweep, tmp_path: Path) -> None:
    cells = [sweep.winners.cell(WEAK), sweep.winners.cell(STRONG)]
    folders = [tmp_path / "one", tmp_path / "other"]

    def crowned(place: int) -> list[Crowning]:
        return crown(night(1, cells[place]), verdict(), tracking_uri=sweep.uri, folder=folders[place])

    with ThreadPoolExecutor(2) as pool:
        assert all(pool.map(crowned, (0, 1)))
    assert sweep.versions == 2
    sweep.crown(cells[1])
    assert sweep.client.get_model_version_by_alias(MODEL, "champion").tags["search"] == "rte-adept-2"


def test_damaged_state_is_made_anew(sweep: Sweep, caplog: pytest.LogCaptureFixture) -> None:
    place = sweep.folder / "champions"
    place.mkdir(parents=True)
    (place / "waiting.json").write_text("{")
    (place / "known.json").write_text("[1]")
    with caplog.at_level(logging.WARNING):
        assert sweep.crown(sweep.winners.cell(WEAK))["champion"].moved
        assert champions([sweep.nights[0].cells[0].key], sweep.uri, sweep.folder)
    assert caplog.text.count("cannot be read") == 2
