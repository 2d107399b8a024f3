"""Fixtures for what needs Ray or an MLflow database: both are made once, since each takes seconds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

RAY_ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",  # else a local Ray writes a token into the home folder
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "OMP_NUM_THREADS": "1",
}


@pytest.fixture(scope="session")
def ray_local() -> Iterator[None]:
    """A Ray of two CPUs of its own, which joins no cluster that may be running on the machine."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in RAY_ENVIRONMENT.items():
            patch.setenv(name, value)
        import ray

        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=100_000_000,
            log_to_driver=False,
            logging_level="ERROR",
        )
        yield
        ray.shutdown()


@pytest.fixture(scope="session")
def fresh_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without experiments; copied, because laying out its tables takes seconds."""
    from orchestrator.tracking_store import open_store

    folder = tmp_path_factory.mktemp("mlflow")
    store = open_store(f"sqlite:///{folder / 'mlflow.db'}", "template")
    store.client.delete_experiment(store.experiment.experiment_id)
    return folder / "mlflow.db"


@pytest.fixture
def tracking_uri(tmp_path: Path, fresh_database: Path) -> str:
    """The URI of a database of the test's own; its path has a space in it."""
    folder = tmp_path / "my runs"
    folder.mkdir()
    shutil.copy(fresh_database, folder / "mlflow.db")
    return f"sqlite:///{folder / 'mlflow.db'}"
