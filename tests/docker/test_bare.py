"""The tracking server, its database, its artifact store and Ray as compose.yaml runs them, but as plain processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException
from mlflow.server import get_app_client

from benchmarks.tracking import compare, trained, write
from orchestrator.tracking.tracker import End, Tracker, TrackingError
from tests.docker.bare_services import ROOT, Services, missing, running
from tests.planted import command_lines, found_in

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(bool(missing()), reason=missing())]

TOKEN = "hf_thisWouldBeSomebodysToken"


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    with running() as started:
        yield started


@pytest.fixture(autouse=True)
def searcher(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test is the user as whom searches write."""
    for name, value in services.credentials.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(bytes(50_000))
    return folder


def become(monkeypatch: pytest.MonkeyPatch, user: str, password: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)


def status(url: str, user: str = "", password: str = "") -> int:
    request = urllib.request.Request(url)
    if user:
        request.add_header("Authorization", "Basic " + b64encode(f"{user}:{password}".encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_all_services_answer_and_a_second_start_changes_nothing(services: Services) -> None:
    before = services.secrets
    assert services.call("start").splitlines() == [f"{name} answers" for name in ("postgres", "artifacts", "mlflow")]
    assert services.secrets == before
    assert services.call("status").count("answers") == 3
    assert "no service database" in services.call("start", "database", code=2)


def test_nobody_gets_in_without_a_password(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = f"{services.uri}/api/2.0/mlflow/experiments/search?max_results=1"
    assert status(runs) == 401
    assert status(runs, "admin", "password1234") == 401, "the password that MLflow once shipped"
    assert status(runs, "search", services.secret("mlflow_password")) == 200
    users = get_app_client("basic-auth", services.uri)
    with pytest.raises(MlflowException, match="Permission denied"):
        users.create_user("mallory", "a password long enough")
    become(monkeypatch, "admin", services.secret("mlflow_admin_password"))
    assert not users.get_user("search").is_admin


def test_artifacts_go_through_the_server_and_the_store_wants_its_keys(
    services: Services, adapter: Path, tmp_path: Path
) -> None:
    with Tracker.open(services.uri, "artifacts") as tracker:
        record = trained("s", 1, 1)
        tracker.start(record, find_adapter=lambda number: adapter)
        tracker.end(record, End())
    client = MlflowClient(services.uri)
    (run,) = client.search_runs([tracker.store.experiment.experiment_id], "tags.kind = 'trial'")
    assert run.info.artifact_uri is not None and run.info.artifact_uri.startswith("mlflow-artifacts:")
    got = download_artifacts(run_id=run.info.run_id, tracking_uri=services.uri, dst_path=str(tmp_path / "got"))
    assert (Path(got) / "adapter" / "adapter_model.safetensors").read_bytes() == bytes(50_000)

    at = {"service_name": "s3", "endpoint_url": services.artifacts, "region_name": "us-east-1"}
    keys = services.secret("artifacts_key_id"), services.secret("artifacts_key")
    store = boto3.client(**at, aws_access_key_id=keys[0], aws_secret_access_key=keys[1])
    kept = [entry["Key"] for entry in store.list_objects_v2(Bucket="mlflow")["Contents"]]
    assert [key for key in kept if run.info.run_id in key and key.endswith("adapter_model.safetensors")]
    with pytest.raises(ClientError):
        boto3.client(**at, aws_access_key_id=keys[0], aws_secret_access_key="wrong").list_objects_v2(Bucket="mlflow")
    inner = [f"http://127.0.0.1:{services.ports['ARTIFACTS_PORT'] + place}" for place in (0, 3)]
    assert status(f"{inner[0]}/mlflow/{kept[0]}") == 403
    assert status(f"{inner[1]}/buckets/mlflow/{kept[0]}") == 401, "nor is there a way around S3"


def test_a_second_user_reads_all_and_writes_where_it_is_allowed(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Tracker.open(services.uri, "shared")
    become(monkeypatch, "admin", services.secret("mlflow_admin_password"))
    users = get_app_client("basic-auth", services.uri)
    users.create_user("ada", "a password long enough")
    become(monkeypatch, "ada", "a password long enough")
    with pytest.raises(TrackingError, match=r"does not take search 's'.*Permission denied"):
        Tracker.open(services.uri, "shared").start(trained("s", 0, 0))
    become(monkeypatch, "admin", services.secret("mlflow_admin_password"))
    users.grant_user_permission("ada", "experiment", opened.store.experiment.experiment_id, "EDIT")
    become(monkeypatch, "ada", "a password long enough")
    with Tracker.open(services.uri, "shared") as tracker:
        tracker.start(trained("s", 0, 0))
        tracker.end(trained("s", 0, 0), End())
    opened.close()


def test_many_runs_arrive_once_and_complete(services: Services, adapter: Path, tmp_path: Path) -> None:
    told = write(services.uri, "many", 60, 16, adapter, tmp_path)
    faults = compare(services.uri, "many", 60, 16)
    assert told["left"] == 0 and not any(faults.values()), faults
    assert told["seconds"] < 60, "60 runs take a quarter of that (benchmarks/tracking.py), and half where all is busy"


@pytest.mark.parametrize("how", ["restarted", "killed"])
def test_the_database_goes_away_in_the_middle_of_a_search(
    services: Services, adapter: Path, tmp_path: Path, how: str
) -> None:
    name = f"database {how}"
    tracker = Tracker.open(services.uri, "benchmark")
    tracker.start(trained(name, 3, 3), find_adapter=lambda number: adapter)
    time.sleep(0.5)  # in the middle of a write
    os.kill(services.postgres(), signal.SIGINT if how == "restarted" else signal.SIGKILL)
    begun = time.monotonic()
    tracker.put(trained(name, 6, 3))
    assert time.monotonic() - begun < 2, "the search waited for the database"
    assert not tracker.flush(timeout=3)
    wait_for_end(services.postgres())
    services.call("start", "postgres")
    tracker.end(trained(name, 6, 3), End())
    assert tracker.close(timeout=120) == []
    assert not any(compare(services.uri, name, 6, 3).values())


def wait_for_end(pid: int) -> None:
    end = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text():
        assert time.monotonic() < end, "PostgreSQL does not end"
        time.sleep(0.1)


def test_a_wrong_password_is_said_once_and_nothing_starts(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "not-the-right-one")
    code, said = search(tmp_path)
    assert code == 2
    errors = [line for line in said.splitlines() if "error" in line.lower()]
    assert len(errors) == 1 and "does not accept this user with this password" in errors[0]
    assert "Traceback" not in said and "not-the-right-one" not in said
    assert not list(tmp_path.glob("runs/*/search.json"))
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME")
    monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(TrackingError, match="wants to know who we are"):
        Tracker.open(services.uri, "debsec")


def search(folder: Path) -> tuple[int, str]:
    """The exit code and the output of a search of one trial."""
    (folder / "space.yaml").write_text(
        "about: one configuration of a few steps\n"
        "settings: {steps: 4, eval_every: 2, batch_size: 4, warmup_steps: 1}\n"
        "grids: {adept: {prompt_lr: 0.1, mlp_lr: 1e-2, prompt_length: 4, bottleneck: 2}}\n"
    )
    for split in ("train", "validation", "test"):
        words = [f"{{word}} of {split} number {place}" for place in range(8)]
        rows = [{"text": text.format(word=kind), "kind": kind} for text in words for kind in ("game", "mail")]
        (folder / f"{split}.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    files = {split: f"{split}.jsonl" for split in ("train", "validation", "test")}
    task = {"name": "toy", "template": "{text}", "label_column": "kind", "files": files}
    (folder / "toy.yaml").write_text(json.dumps(task))
    command = [sys.executable, str(ROOT / "orchestrator" / "search.py"), "--task", "toy.yaml", "--backbone", "t5-nano"]
    command += ["--space", "space.yaml", "--name", "toy", "--debug"]
    environment = {"RAY_ADDRESS": "local", "RAY_AUTH_MODE": "disabled", "ADEPT_CACHE": str(folder / "cache")}
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=240, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_no_secret_is_in_output_files_tags_or_process_lists(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    secrets = {**services.secrets, "token of the hub": TOKEN}
    code, said = search(tmp_path)
    assert code == 0, said
    client = MlflowClient(services.uri)
    experiment = client.get_experiment_by_name("toy")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 2
    places = {"the output": said, "MLflow": json.dumps([run.to_dictionary() for run in runs]) + str(experiment.tags)}
    written = [file for folder in (tmp_path, services.folder / "log") for file in folder.rglob("*") if file.is_file()]
    assert [file for file in written if file.name == "search.json"]
    places |= {str(file): file.read_text(errors="replace") for file in written}
    places |= {f"process {file.parent.name}": text for file, text in command_lines()}
    assert not found_in(places, secrets)


def test_rays_head_and_a_worker_take_nobody_without_the_token(services: Services, tmp_path: Path) -> None:
    assert services.call("start", "head", "worker").splitlines() == ["head answers", "worker answers"]
    look = "import ray; ray.init(address='auto', logging_level='ERROR'); print(sum(n['Alive'] for n in ray.nodes()))"
    address = f"127.0.0.1:{services.ports['HEAD_PORT']}"
    known = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(services.folder / "secrets" / "ray_token")}

    def ask(**auth: str) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
        environment |= {"RAY_ADDRESS": address, "HOME": str(tmp_path), **auth}
        return subprocess.run(
            [sys.executable, "-c", look], env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    asked = ask(**known)
    assert asked.stdout.strip() == "2", asked.stderr
    (tmp_path / "wrong").write_text("0" * 48)
    refused = ask(**{**known, "RAY_AUTH_TOKEN_PATH": str(tmp_path / "wrong")})
    assert refused.returncode != 0 and "token" in refused.stderr.lower()
    written = (services.folder / "head" / "home" / ".mlflow" / "credentials").stat()
    assert written.st_mode & 0o077 == 0


def test_stopping_leaves_nothing_running(services: Services) -> None:
    assert "mlflow stopped" in services.call("stop")
    assert not [text for _, text in command_lines() if str(services.folder) in text]
    assert "postgres is not started" in services.call("status")
    assert "is not started" in services.call("upgrade", code=2)
    services.call("start", "postgres")
    services.call("upgrade")
    assert services.call("start").count("answers") == 3, "and all that was there is found again"
    assert "MLflow is running" in services.call("upgrade", code=2)
    client = MlflowClient(services.uri)
    assert client.get_experiment_by_name("benchmark") is not None
