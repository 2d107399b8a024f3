"""A real search with secrets of every kind in its environment: they are used, and are nowhere to be read."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.small_search import ROOT, make_task
from tests.planted import ProcessWatch, found_in, planted, texts_below

if TYPE_CHECKING:
    from tests.orchestrator.s3_server import S3

SPACE = """
about: one configuration of a few steps
settings: {steps: 4, eval_every: 2, batch_size: 4, warmup_steps: 1}
grids: {adept: {prompt_lr: 0.3, mlp_lr: 1e-2, prompt_length: 4, bottleneck: 2}}
"""


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    """For Ray's sessions and for nothing else; its path is short, since Ray's sockets are in it."""
    folder = Path(tempfile.mkdtemp(prefix="planted-", dir="/tmp"))
    folder.chmod(0o755)  # as a folder for everybody's files is
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
def test_secrets_of_the_environment_are_used_and_are_nowhere_to_be_read(
    s3: S3, tmp_path: Path, ray_folder: Path, fresh_database: Path
) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    make_task(work)
    shutil.copy(fresh_database, work / "mlflow.db")
    (work / "space.yaml").write_text(SPACE)
    values = planted()
    keys = tmp_path / "google.json"
    values["the file of $GOOGLE_APPLICATION_CREDENTIALS"] = planted()["HF_TOKEN"]
    keys.write_text(values["the file of $GOOGLE_APPLICATION_CREDENTIALS"])
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_"))}
    environment |= {name: value for name, value in values.items() if name.isupper()}
    environment |= {"GOOGLE_APPLICATION_CREDENTIALS": str(keys), "MLFLOW_TRACKING_USERNAME": "joe"}
    environment |= {"HOME": str(home), "RAY_TMPDIR": str(ray_folder), "RAY_ADDRESS": "local", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(ROOT / "orchestrator" / "search.py"), "--task", "task.yaml", "--space", "space.yaml"]
    command += ["--backbone", "t5-nano", "--storage", s3.uri, "--name", "toy", "--debug"]  # which logs the most
    with ProcessWatch() as watch:
        done = subprocess.run(
            command, cwd=work, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=280, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert any(name.startswith("toy/tune/") for name in s3.names()), "engines have written to the storage"
    logs = [file for file in ray_folder.rglob("*") if file.is_file()]
    assert watch.looks > 20 and len(logs) > 3
    token = home / ".ray" / "auth_token"
    values["Ray's token"] = token.read_text()
    places = {"the output": done.stdout, "command lines": "\n".join(watch.seen), **texts_below(work, ray_folder)}
    assert found_in(places, values) == []
    (private,) = ray_folder.iterdir()
    assert all(private in file.parents for file in logs) and not stat.S_IMODE(private.stat().st_mode) & 0o077
    assert not stat.S_IMODE(token.stat().st_mode) & 0o077
