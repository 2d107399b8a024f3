"""A backbone and data that only the driver's host has: put into the storage once, fetched once a host."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.engines.build import build_engine
from orchestrator.engines.hosts import paths_read
from orchestrator.engines.shipping import fetched, ship
from orchestrator.store.paths import StoragePath
from tests.orchestrator.searching_toys import toy_plan
from trials.backbones.facts import DEFAULT, EMBEDDED
from trials.checkpoint import ADAPTER
from trials.errors import UserError
from trials.export.adapters import load_adapter, read_description

if TYPE_CHECKING:
    from tests.orchestrator.s3_server import S3


@pytest.fixture
def task(tmp_path: Path) -> Path:
    folder = tmp_path / "driver" / "task"
    (folder / "data").mkdir(parents=True)
    for split in ("train", "validation", "test"):
        (folder / "data" / f"{split}.csv").write_text("text,label\n" + "a game,0\na mail,1\n" * 8)
    files = "{train: data/train.csv, validation: data/validation.csv, test: data/test.csv}"
    (folder / "mine.yaml").write_text(f'name: mine\ntemplate: "{{text}}"\nfiles: {files}\n')
    return folder / "mine.yaml"


def test_an_engine_on_another_host_gets_backbone_and_task(
    s3: S3, task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADEPT_CACHE", str(tmp_path / "cache"))
    backbone = tmp_path / "driver" / "my-t5"
    shutil.copytree(EMBEDDED / DEFAULT, backbone)
    plan = toy_plan(tmp_path, [0.1], task=task, backbone=backbone, storage=s3.uri)
    shipments = ship(plan, paths_read(plan))
    written = s3.names()
    assert ship(plan, paths_read(plan)) == shipments and s3.names() == written  # once
    spec = replace(plan.spec, shipments=shipments, slots=1)
    shutil.rmtree(tmp_path / "driver")
    engine = build_engine(spec, "cpu")
    assert engine.backbone.facts.revision == plan.facts.revision  # type: ignore[attr-defined]
    assert len(engine.data.task.files) == 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("method", ["ia3", "prefix", "pt"])  # the first two look at the backbone's config once more
def test_adapters_from_another_host_name_the_backbone_as_the_user_does(
    method: str, task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADEPT_CACHE", str(tmp_path / "cache"))
    backbone = tmp_path / "driver" / "my-t5"
    shutil.copytree(EMBEDDED / DEFAULT, backbone)
    given = {
        "task": task,
        "backbone": backbone,
        "storage": f"file://{tmp_path}/storage",
        "method": method,
        "space": DEFAULT,
    }
    plan = toy_plan(tmp_path, [], **given, steps=1, eval_every=1, batch_size=1, warmup_steps=0)
    spec = replace(plan.spec, shipments=ship(plan, paths_read(plan)), slots=1, deterministic=True)
    shutil.rmtree(tmp_path / "driver")
    engine = build_engine(spec, "cpu")
    engine.start("1", plan.trials[0].config)
    assert engine.advance() == ["1"]
    (checkpoint := tmp_path / "checkpoint").mkdir()
    engine.save("1", checkpoint)
    adapter = checkpoint / ADAPTER
    assert read_description(adapter)["base_model_name_or_path"] == str(backbone)
    assert load_adapter(adapter, EMBEDDED / DEFAULT).predict(["a game"])


def test_the_second_engine_of_a_host_waits_for_the_firsts_copy(
    s3: S3, task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = toy_plan(tmp_path, [0.1], task=task, storage=s3.uri)
    (shipment,) = ship(plan, paths_read(plan))
    fetches: list[str] = []
    download = StoragePath.download
    both = threading.Barrier(2)

    def counted(self: StoragePath, file: Path) -> None:
        fetches.append(self.name)
        download(self, file)

    def engine(_: int) -> Path:
        both.wait()
        return fetched(shipment, tmp_path / "cache")

    monkeypatch.setattr(StoragePath, "download", counted)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(engine, range(2))
    assert first == second and first.read_bytes() == task.read_bytes()
    assert sorted(fetches) == ["mine.yaml", "test.csv", "train.csv", "validation.csv"]


def test_what_was_changed_on_the_way_is_refused(s3: S3, task: Path, tmp_path: Path) -> None:
    plan = toy_plan(tmp_path, [0.1], task=task, storage=s3.uri)
    (shipment,) = ship(plan, paths_read(plan))
    s3.damage(f"inputs/{shipment.digest}/data/test.csv")
    with pytest.raises(UserError, match=r"is damaged: what came from there is not what .*mine\.yaml held"):
        fetched(shipment, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("shipped-*/*"))
