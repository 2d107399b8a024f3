"""Champions move where a winner is better beyond noise, or the old one cannot run; nothing of a night is lost."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from orchestrator.nights.champions import champions, crown
from orchestrator.nights.night import CellStatus
from orchestrator.record.record import RECORD, SearchRecord
from orchestrator.store.layout import ADAPTER
from orchestrator.store.predictions import PREDICTIONS, read_predictions
from orchestrator.tracking.registry import Registry, champion_configurations
from tests.orchestrator.nights.made_champions import ALIKE, MODEL, STRONG, WEAK, Sweep
from tests.orchestrator.nights.made_nights import finding, night, verdict
from tests.orchestrator.nights.made_winners import ROWS
from tests.orchestrator.typed_commands import typed
from trials.export.adapters import read_description


@pytest.fixture
def sweep(tmp_path: Path, tracking_uri: str) -> Sweep:
    return Sweep(tmp_path, tracking_uri)


def test_a_nights_winner_becomes_a_version_that_says_all_of_itself(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pt = sweep.winners.cell(WEAK, method="pt", validation=60.0)
    adept = sweep.winners.cell(STRONG, validation=80.0)
    found = sweep.crown(pt, adept)
    assert all(one.moved for one in found.values()) and "no champion before" in found["champion"].sentence
    assert sweep.aliases == {"champion": 1, "champion-adept": 1, "champion-pt": 2}
    version = sweep.client.get_model_version_by_alias(MODEL, "champion")
    assert version.tags["score"] == "90.0" and version.tags["n"] == str(ROWS)
    assert version.tags["command"] == adept.command and version.tags["data_fingerprint"] == "rows-1 read"
    assert "since night 2026-03-01: there was no champion before" in version.tags["champion"]
    assert adept.command in str(version.description) and version.run_id
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sweep.uri)
    got = Path(download_artifacts(f"models:/{MODEL}@champion", dst_path=str(tmp_path / "got")))
    assert read_description(got)["trial"]["method"] == "adept"

    keys = [pt.key, adept.key, adept.key._replace(method="dept")]
    cells = champions(keys, sweep.uri, sweep.folder)
    assert list(cells) == keys[:2] and cells[adept.key].configuration == adept.configuration
    (score,) = cells[adept.key].scores
    assert sweep.folder in Path(score.predictions).parents
    assert read_predictions(score.predictions) == read_predictions(adept.scores[0].predictions)
    assert champion_configurations(keys, sweep.uri) == {key: cells[key].configuration for key in keys[:2]}


def test_the_alias_moves_to_what_is_better_beyond_noise_alone(sweep: Sweep) -> None:
    sweep.crown(sweep.winners.cell(WEAK))
    stays = sweep.crown(sweep.winners.cell(range(58)))
    assert not stays["champion"].moved and sweep.aliases == {"champion": 1, "champion-adept": 1}
    assert "not better than version 1 beyond noise: 70.0 to 71.0" in stays["champion"].sentence
    moves = sweep.crown(sweep.winners.cell(STRONG))
    assert moves["champion"].moved and sweep.aliases == {"champion": 3, "champion-adept": 3}
    assert "70.0 to 90.0 (+20.0, n 200; McNemar's exact test over 200 test rows, 40 of" in moves["champion"].sentence
    assert "p < 0.001" in moves["champion"].sentence
    worse = sweep.crown(sweep.winners.cell(WEAK))
    assert not worse["champion"].moved and sweep.aliases["champion"] == 3 and sweep.versions == 4


def test_methods_compete_by_validation(sweep: Sweep) -> None:
    sweep.crown(sweep.winners.cell(WEAK, method="pt", validation=75.0), sweep.winners.cell(STRONG, validation=60.0))
    assert sweep.aliases == {"champion": 1, "champion-pt": 1, "champion-adept": 2}
    found = sweep.crown(sweep.winners.cell(STRONG, validation=80.0))
    assert found["champion"].moved and "better than version 1 (pt)" in found["champion"].sentence
    assert not found["champion-adept"].moved


def test_a_champion_in_another_precision_is_called_so(sweep: Sweep) -> None:
    cells = [sweep.winners.cell(wrong, tracked=False) for wrong in (WEAK, STRONG)]
    for cell, precision in zip(cells, ("float32", "bfloat16"), strict=True):
        file = Path(cell.folder) / RECORD
        record = SearchRecord.load(file)
        record.settings["precision"] = precision
        record.save(file)
        sweep.winners.track(file.parent, record.uid)
    sweep.crown(cells[0])
    assert "better than version 1 (float32): 70.0 to 90.0" in sweep.crown(cells[1])["champion"].sentence
    assert sweep.client.get_model_version_by_alias(MODEL, "champion").tags["precision"] == "bfloat16"


def test_a_difference_that_trainings_make_anyway_is_no_reason(sweep: Sweep) -> None:
    scores = [70.0, 82.0, 71.0, 83.0, 70.0, 81.0]
    for day, score in enumerate(scores, 1):
        cell = sweep.winners.cell([], tracked=False)
        cell = replace(cell, scores=(replace(cell.scores[0], score=score),))
        sweep.nights.append(night(day, cell))
    sweep.crown(sweep.winners.cell(WEAK))
    found = sweep.crown(sweep.winners.cell(STRONG))
    assert not found["champion"].moved
    assert (
        "against the noise of training, " in found["champion"].sentence
        and "from 7 nights" in found["champion"].sentence
    )


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"data": "rows-2"}, "the data of rte have changed"),
        ({"revision": "v2-ff"}, "the weights of t5-nano have changed"),
    ],
)
def test_a_champion_of_other_data_or_weights_cannot_be_run(fields: dict[str, str], says: str, sweep: Sweep) -> None:
    sweep.crown(sweep.winners.cell(STRONG))
    found = sweep.crown(sweep.winners.cell(WEAK, **fields))  # type: ignore[arg-type]
    assert found["champion"].moved and f"version 1 cannot be run any more: {says}" in found["champion"].sentence


def test_a_champion_whose_adapter_is_gone_cannot_be_run(sweep: Sweep) -> None:
    sweep.crown(sweep.winners.cell(STRONG))
    (sweep.artifacts("1") / "best_adapter" / "adapter_model.safetensors").write_bytes(b"no tensors")
    found = sweep.crown(sweep.winners.cell(WEAK))
    assert found["champion"].moved and "adapter_model.safetensors of models:/" in found["champion"].sentence
    shutil.rmtree(sweep.artifacts("2"))
    found = sweep.crown(sweep.winners.cell(WEAK))
    assert found["champion"].moved and "holds no adapter" in found["champion"].sentence


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_winner_of_before_deposes_no_later_champion_that_it_cannot_be_compared_with(
    by_hand: bool, sweep: Sweep
) -> None:
    waits = sweep.winners.cell(WEAK, method="pt", validation=60.0, tracked=False)
    sweep.crown(sweep.winners.cell(WEAK), waits)  # competes again each night, as long as pt is refused
    assert sweep.crown(sweep.winners.cell(STRONG, data="rows-2"))["champion-adept"].moved
    sweep.crown(sweep.winners.cell(ALIKE, data="rows-2"))
    champion = sweep.versions if by_hand else sweep.aliases["champion-adept"]
    sweep.client.set_registered_model_alias(MODEL, "champion-adept", str(champion))
    for _ in range(2):
        found = sweep.crown(sweep.winners.cell(WEAK, data="rows-2"))
        assert not found["champion-adept"].moved and sweep.aliases["champion-adept"] == champion
        assert f"not better than version {champion} beyond noise" in found["champion-adept"].sentence


def test_results_that_are_taken_over_count_as_of_the_night_that_takes_them_over(sweep: Sweep) -> None:
    first = sweep.winners.cell(WEAK)
    sweep.crown(first)
    sweep.crown(sweep.winners.cell(STRONG, data="rows-2"))
    back = replace(first, status=CellStatus.TAKEN_OVER, measured_on=sweep.nights[0].date)
    assert sweep.crown(back)["champion"].moved  # the data are those of the first night again
    late = night(2, sweep.winners.cell(STRONG, data="rows-2"))
    (found, _) = crown(late, verdict(), tracking_uri=sweep.uri, folder=sweep.folder)
    assert not found.moved and "but it has been the champion since 2026-03-03" in found.sentence


def test_a_champion_that_a_sweeps_run_trained_is_of_the_night_that_takes_it_over(sweep: Sweep) -> None:
    """The name of a run is no date: such a champion would never be compared, or be later than all others."""
    sweep.crown(sweep.winners.cell(WEAK, status=CellStatus.TAKEN_OVER, measured_on="try-2"))
    assert sweep.client.get_model_version_by_alias(MODEL, "champion").tags["night"] == sweep.nights[0].date
    assert sweep.crown(sweep.winners.cell(STRONG, data="rows-2"))["champion"].moved


def test_a_version_that_a_person_has_made_is_of_the_day_of_its_making(sweep: Sweep) -> None:
    cell = sweep.winners.cell(WEAK)
    sweep.crown(cell)
    mine = sweep.winners.cell(STRONG, revision="v2-ff")
    made = sweep.client.create_model_version(MODEL, (Path(mine.folder) / ADAPTER).as_uri())
    sweep.client.set_registered_model_alias(MODEL, "champion", made.version)
    assert not sweep.crown(sweep.winners.cell(WEAK))["champion"].moved
    assert sweep.aliases["champion"] == int(made.version)
    sweep.nights.append(replace(night(3, sweep.winners.cell(WEAK)), date="2999-01-01"))
    assert sweep.again()["champion"].moved


def test_what_a_person_has_set_stays_until_it_is_taken_back(sweep: Sweep) -> None:
    sweep.crown(sweep.winners.cell(WEAK))
    sweep.crown(sweep.winners.cell(STRONG))
    sweep.client.set_registered_model_alias(MODEL, "champion", "1")
    for _ in range(2):
        found = sweep.crown(sweep.winners.cell(STRONG))
        assert (
            not found["champion"].moved
            and "somebody has set the alias to version 1 by hand" in found["champion"].sentence
        )
        assert sweep.aliases == {"champion": 1, "champion-adept": 2}
    sweep.client.delete_registered_model_alias(MODEL, "champion")
    assert sweep.crown(sweep.winners.cell(ALIKE))["champion"].moved
    sweep.client.set_model_version_tag(MODEL, "2", "cell", '{"of": "a later version"}')
    assert champions([sweep.nights[0].cells[0].key], sweep.uri, sweep.folder) == {}
    by_hand = sweep.client.create_model_version(MODEL, "runs:/0123/elsewhere")
    sweep.client.set_registered_model_alias(MODEL, "champion-adept", by_hand.version)
    assert champions([sweep.nights[0].cells[0].key], sweep.uri, sweep.folder) == {}


def test_a_champions_record_is_there_whole_or_is_fetched_again(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep.crown(sweep.winners.cell(WEAK))
    whole = MlflowClient.download_artifacts

    def full(client: MlflowClient, run: str, path: str, folder: str) -> str:
        file = Path(whole(client, run, path, folder))
        if path == RECORD:
            file.write_bytes(file.read_bytes()[:99])
            raise OSError(28, "No space left on device")
        return str(file)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "download_artifacts", full)
        champions([sweep.nights[0].cells[0].key], sweep.uri, sweep.folder)
    kept = sweep.folder / "champions" / MODEL
    assert not list(kept.rglob(RECORD))
    assert sweep.crown(sweep.winners.cell(STRONG))["champion"].version == 2
    (kept / "2").mkdir(exist_ok=True)
    for name in (RECORD, PREDICTIONS):  # as a kill of an earlier version has left them
        (kept / "2" / name).write_bytes((Path(sweep.nights[1].cells[0].folder) / name).read_bytes()[:99])
    found = sweep.crown(sweep.winners.cell([]))
    assert found["champion"].moved and "McNemar's exact test over 200 test rows" in found["champion"].sentence
    assert sorted(file.name for file in kept.iterdir()) == ["1", "2"]


def test_the_command_shows_champions_and_why(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = typed("champions", "--tracking-uri", sweep.uri)
    assert code == 0 and "has no champion yet" in out
    sweep.crown(sweep.winners.cell(WEAK), sweep.winners.cell(STRONG, method="pt", validation=60.0))
    sweep.client.set_registered_model_alias(MODEL, "champion", "2")
    code, out, _ = typed("champions", "--tracking-uri", sweep.uri)
    lines = [line.split() for line in out.splitlines() if line.startswith("champion")]
    assert code == 0 and MODEL in out
    assert lines[1][:6] == ["champion", "2", "pt", "accuracy", "90.0", "200"] and lines[1][-3:] == ["set", "by", "hand"]
    assert lines[2][:5] == ["champion-adept", "1", "adept", "accuracy", "70.0"]
    assert typed("champions", "--tracking-uri", "sqlite:////none/there.db")[0] == 2


def test_names_that_two_pairs_would_share(sweep: Sweep) -> None:
    registry = Registry.open(sweep.uri)
    sweep.crown(sweep.winners.cell(WEAK))
    cell = sweep.winners.cell(STRONG)
    other = replace(cell, key=cell.key._replace(task="rte-t5", backbone="nano"))
    sweep.crown(other)
    models = {model.tags["task"]: model.name for model in registry.models()}
    assert models["rte"] == MODEL and models["rte-t5"].startswith(f"{MODEL}-") and sweep.versions == 1


def test_alarms_of_the_night_stand_in_the_version(sweep: Sweep) -> None:
    cell = sweep.winners.cell(WEAK)
    found = verdict(finding(key=cell.key, sentence="rte, adept: 10 % slower"))
    crown(night(1, cell), found, tracking_uri=sweep.uri, folder=sweep.folder)
    assert sweep.client.get_model_version(MODEL, "1").tags["alarms"] == "rte, adept: 10 % slower"
    assert json.loads(sweep.client.get_model_version(MODEL, "1").tags["configuration"]) == cell.configuration
