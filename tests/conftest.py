"""Fixtures for what needs Ray or an MLflow database: both are made once, since each takes seconds (tests/README.md)."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from tests import commands

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

    from tests.orchestrator.s3_server import S3

RAY_ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",  # else a local Ray writes a token into the home folder
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "OMP_NUM_THREADS": "1",
    "AWS_ACCESS_KEY_ID": "us",  # of the `s3` server, for trials: workers have the environment of Ray's start
    "AWS_SECRET_ACCESS_KEY": "hush",
}

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: the tests share the cores already
os.environ.setdefault("REPORTER_UPDATE_INTERVAL_MS", "60000")  # Ray's agents look at each process of theirs every 5 s
if shutil.which("nvidia-smi") is None:
    os.environ.setdefault("TRITON_INTERPRET", "1")  # before Triton is, which transformers does where it is installed

SOON_DEAD = {"RAY_health_check_period_ms": "1000", "RAY_health_check_failure_threshold": "8"}
"""For a head that hears soon of a host's end."""


@pytest.hookimpl(trylast=True)  # when those that were not asked for are out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have each process of pytest-xdist begin with its share of the files that have slow tests.

    ``--dist worksteal`` cuts the list into as many parts as there are processes; one that has nothing left takes from
    the end of another's. So the last to run are many short tests, and no long one runs alone.
    """
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if processes == 1:
        return
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    slow = {file: sum(item.get_closest_marker("slow") is not None for item in found) for file, found in files.items()}
    shares: list[list[Path]] = [[] for _ in range(processes)]
    for file in sorted(filter(slow.get, files), key=slow.__getitem__, reverse=True):
        min(shares, key=lambda share: sum(slow[file] for file in share)).append(file)
    rest = [item for file, found in files.items() if not slow[file] for item in found]
    ordered: list[pytest.Item] = []
    for number, share in enumerate(shares):
        first = [item for file in share for item in files[file]]
        size = (len(items) - len(ordered)) // (processes - number)
        fill = max(0, size - len(first))
        ordered += first + rest[:fill]
        del rest[:fill]
    items[:] = ordered + rest


@pytest.fixture(scope="session")
def ray_local() -> Iterator[None]:
    """A Ray of two CPUs of its own, which joins no cluster that may be running on the machine."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in RAY_ENVIRONMENT.items():
            patch.setenv(name, value)
        start_ray()
        yield
        import ray

        ray.shutdown()


def start_ray() -> None:
    """The Ray of `ray_local`."""
    import ray

    from orchestrator.engines.ray_internals import lean_head

    with lean_head():
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=100_000_000,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )


@pytest.fixture(scope="session")
def engines_kept(ray_local: None) -> Iterator[None]:
    """The Ray of `ray_local`, with the engines that searches of `tests.commands.adept` have left, as in a sweep."""
    from orchestrator.engines.kept import KeptEngines

    commands.KEPT = KeptEngines()
    yield
    commands.KEPT.close()
    commands.KEPT = None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that uses Ray without `engines_kept` finds all of its cores free."""
    used = set(getattr(item, "fixturenames", ()))
    if commands.KEPT is not None and used & {"ray_local", "cluster_of_a_head"} and "engines_kept" not in used:
        commands.KEPT.close()


@pytest.fixture(scope="module")
def cluster_of_a_head() -> Iterator[Cluster]:
    """A Ray cluster whose head has no cores, and no other host."""
    import ray
    from ray.cluster_utils import Cluster

    before = ray.is_initialized()
    ray.shutdown()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**RAY_ENVIRONMENT, **SOON_DEAD}.items():
            patch.setenv(name, value)
        patch.delenv("RAY_ADDRESS", raising=False)
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 80_000_000})
        ray.init(address=made.address, log_to_driver=False, logging_level=logging.ERROR)
        yield made
        ray.shutdown()
        made.shutdown()
    if before:
        start_ray()


@pytest.fixture
def cluster(cluster_of_a_head: Cluster) -> Iterator[Cluster]:
    """A Ray cluster whose head has no cores, and no other host yet: processes on this machine that act as hosts."""
    import ray

    yield cluster_of_a_head
    for node in list(cluster_of_a_head.worker_nodes):
        cluster_of_a_head.remove_node(node)
    end = time.monotonic() + 60
    while sum(node["Alive"] for node in ray.nodes()) > 1:
        assert time.monotonic() < end, "hosts of the test are still there"
        time.sleep(0.2)


@pytest.fixture
def ray_address(ray_local: None) -> str:
    """Where the Ray of `ray_local` is: $RAY_ADDRESS for a search in a process of its own, which starts none then."""
    import ray

    return str(ray.get_runtime_context().gcs_address)


@pytest.fixture(scope="session")
def fresh_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without experiments, the same for all processes of pytest-xdist: its tables take seconds."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "mlflow"
    file = folder / "mlflow.db"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "lock"):
        if not file.exists():
            from orchestrator.tracking.store import open_store

            made = folder / "made.db"
            open_store(f"sqlite:///{made}", "template")
            with sqlite3.connect(made) as database:
                database.execute("DELETE FROM experiments WHERE name = 'template'")
            made.rename(file)
    return file


@pytest.fixture
def tracking_uri(tmp_path: Path, fresh_database: Path) -> str:
    """The URI of a database of the test's own; its path has a space in it."""
    folder = tmp_path / "my runs"
    folder.mkdir()
    shutil.copy(fresh_database, folder / "mlflow.db")
    return f"sqlite:///{folder / 'mlflow.db'}"


@pytest.fixture
def default_database(tmp_path: Path, fresh_database: Path) -> Path:
    """`mlflow.db` in the test's folder, where commands that run there find it."""
    return Path(shutil.copy(fresh_database, tmp_path / "mlflow.db"))


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """An S3-compatible server with an empty bucket, and its keys in the environment."""
    pytest.importorskip("moto.server", reason="there is no S3-compatible server here: pip install 'moto[s3]'")
    from tests.orchestrator.s3_server import S3

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, RAY_ENVIRONMENT[name])
    server = S3()
    yield server
    server.stop()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to run a command in, and nothing in the environment that names another."""
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "ADEPT_OUTPUT", "ADEPT_STORAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path
