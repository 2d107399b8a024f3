"""Champions on a real MLflow server, as a team has one: away for a night, an adapter that answers, files that go."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from orchestrator.nights.champions import champions, crown
from orchestrator.nights.night import Cell
from orchestrator.store.layout import ADAPTER
from tests.faults.small_search import Server
from tests.orchestrator.nights.made_nights import night, verdict
from tests.orchestrator.nights.made_winners import Winners
from tests.orchestrator.typed_commands import typed
from tests.test_documented_commands import write_adapter

pytestmark = pytest.mark.cluster

MODEL = "adept-rte-t5-nano"


@pytest.fixture
def server(tmp_path: Path, fresh_database: Path) -> Iterator[Server]:
    shutil.copy(fresh_database, tmp_path / "mlflow.db")
    running = Server(tmp_path)
    running.start()
    yield running
    running.kill()


def test_champions_on_a_server(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    winners = Winners(tmp_path / "searches", server.uri)
    client = MlflowClient(server.uri)

    def crowned(day: int, cell: Cell) -> dict[str, bool]:
        found = crown(night(day, cell), verdict(), tracking_uri=server.uri, folder=tmp_path / "demo")
        return {one.alias: one.moved for one in found}

    def champion() -> str:
        return str(client.get_model_version_by_alias(MODEL, "champion").tags["search"])

    first, better = winners.cell(range(60)), winners.cell(range(20))
    write_adapter(Path(better.folder) / ADAPTER)
    assert crowned(1, first) == {"champion-adept": True, "champion": True}
    server.kill()
    assert crowned(2, better) == {} and "kept, and written into the registry by the next night" in caplog.text
    assert champions([first.key], server.uri, tmp_path / "demo") == {}, "none was known here before"
    server.start()
    again = winners.cell(range(30))
    assert crowned(3, again) == {"champion-adept": False, "champion": False}
    assert champion() == "rte-adept-2"
    cells = champions([first.key], server.uri, tmp_path / "demo")
    server.kill()
    assert champions([first.key], server.uri, tmp_path / "demo") == cells and first.key in cells
    server.start()

    got = download_artifacts(f"models:/{MODEL}@champion", dst_path=str(tmp_path / "got"))
    code, out, err = typed("predict", got, "arcade game with falling blocks")
    assert code == 0 and out.strip(), err

    for folder in (tmp_path / "artifacts").rglob(ADAPTER):
        shutil.rmtree(folder)
    assert crowned(4, winners.cell(range(80))) == {"champion-adept": True, "champion": True}
    assert "version 2 cannot be run any more" in client.get_model_version_by_alias(MODEL, "champion").tags["champion"]
