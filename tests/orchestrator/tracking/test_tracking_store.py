"""Whether a tracking store can be used is known, and said, before a search starts."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from mlflow import MlflowClient

from orchestrator.tracking.contact import explanation
from orchestrator.tracking.store import TrackingError, open_store

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)


def refusal(uri: str | None, experiment: str = "demo", seconds: float = 15.0) -> str:
    begun = time.monotonic()
    with pytest.raises(TrackingError) as caught:
        open_store(uri, experiment)
    assert time.monotonic() - begun < seconds
    return str(caught.value)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("./mlruns", ["old file store", "sqlite:///", "mlflow.db"]),
        ("file:///data/mlruns", ["old file store", "sqlite:////data/mlflow.db"]),
        ("sqlight:///mlflow.db", ["'sqlight'", "did you mean 'sqlite'"]),
        ("gopher://host", ["'gopher'", "http://HOST:PORT"]),
        ("sqlite://", ["memory", "sqlite:///mlflow.db"]),
        ("sqlite:///:memory:", ["memory"]),
        ("http://", ["no host"]),
    ],
)
def test_a_uri_that_cannot_be_one_is_refused_with_what_to_use(uri: str, words: list[str]) -> None:
    message = refusal(uri)
    assert repr(uri) in message
    assert not [word for word in words if word not in message]


def test_all_problems_come_at_once() -> None:
    with pytest.raises(TrackingError) as caught:
        open_store("sqlight:///x", " ")
    assert len(caught.value.problems) == 2


def test_a_server_that_is_not_there_is_noticed_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "7")
    message = refusal(f"http://127.0.0.1:{free_port()}")
    assert "no server answers" in message and "mlflow server" in message
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "7"  # what the user wants for later stays


def test_a_server_that_takes_the_call_and_says_nothing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.tracking.contact.CONTACT_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "no server answers" in refusal(f"http://127.0.0.1:{silent.getsockname()[1]}")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            "HTTPConnectionPool(host='127.0.0.1', port=40107): Max retries exceeded: Connection refused: exception",
            "no server",
        ),
        ("http://127.0.0.1:4403/api failed with exception Timeout", "no server"),
        ("API request to endpoint /api failed with error code 401 != 200", "who we are"),
        ("API request to endpoint /api failed with error code 403 != 200", "refuses us"),
    ],
)
def test_a_port_is_no_status(error: str, words: str) -> None:
    assert words in explanation(Exception(error), served=True)


def test_a_user_without_a_home_folder_learns_what_mlflow_wants(tmp_path: Path) -> None:
    """MLflow looks for the home folder when it is imported, so another process has to try."""
    script = (
        "import posixpath; posixpath.expanduser = str\n"
        "from orchestrator.tracking.store import open_store, TrackingError\n"
        "try:\n    open_store(None, 'demo')\nexcept TrackingError as error:\n    print(error)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "HOME"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert "MLflow needs a home folder, and this user has none: set HOME to a folder" in done.stdout, done.stderr


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes the certificate")
def test_what_is_in_the_way_of_a_server_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = "-keyout key.pem -out certificate.pem -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    request = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 {files}"
    subprocess.run(request.split(), cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    servers = [HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) for _ in range(2)]
    with servers[0] as plain, servers[1] as own:
        own.socket = context.wrap_socket(own.socket, server_side=True)
        for server in servers:
            threading.Thread(target=server.serve_forever, daemon=True).start()
        message = refusal(f"https://127.0.0.1:{own.server_port}")
        assert "not accepted: self-signed certificate: where" in message
        assert "MLFLOW_TRACKING_SERVER_CERT_PATH" in message
        assert "use http://" in refusal(f"https://127.0.0.1:{plain.server_port}")
        assert "use https://" in refusal(f"http://127.0.0.1:{own.server_port}")
        monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(tmp_path / "certificate.pem"))
        assert "is no MLflow server" in refusal(f"https://localhost:{own.server_port}")
        for server in servers:
            server.shutdown()
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    assert "NO_PROXY" in refusal("http://mlflow.example.org")


def test_a_database_server_that_is_not_there_is_noticed_within_seconds() -> None:
    assert "no database answers" in refusal(f"postgresql://joe@127.0.0.1:{free_port()}/mlflow")


@pytest.mark.parametrize(
    ("uri", "way"),
    [
        ("http://joe:hunter2@127.0.0.1:1", "MLFLOW_TRACKING_PASSWORD"),
        ("https://hunter2@host", "~/.mlflow/credentials"),
        ("postgresql://joe:hunter2@127.0.0.1:1/mlflow", "~/.pgpass"),
        ("postgresql+psycopg://127.0.0.1:1/mlflow?user=joe&password=hunter2", "~/.pgpass"),
        ("mysql://joe:hunter2@127.0.0.1:1/mlflow", "$MLFLOW_TRACKING_URI"),
    ],
)
def test_a_password_on_the_command_line_is_refused_and_not_repeated(uri: str, way: str) -> None:
    message = refusal(uri)
    assert way in message
    assert "hunter2" not in message


def test_a_databases_password_may_be_in_the_variable_and_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for password in ("hunter2", "a/hunter2#b"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"postgresql://joe:{password}@127.0.0.1:{free_port()}/mlflow")
        message = refusal(None)
        assert "no database answers" in message and "hunter2" not in message
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://joe:hunter2@127.0.0.1:1")
    message = refusal(None)
    assert "MLFLOW_TRACKING_USERNAME" in message and "hunter2" not in message


def test_the_variable_is_named_where_the_uri_comes_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlight:///x")
    assert "MLFLOW_TRACKING_URI" in refusal(None)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    Path("mlflow.db").write_text("none, by far" * 99)
    assert "mlflow.db' (the default, mlflow.db here)" in refusal(None)


def test_a_folder_that_cannot_hold_a_database(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message = refusal(f"sqlite:///{tmp_path}/file/mlflow.db")
    assert "its folder cannot be used" in message and "--tracking-uri" in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    assert "cannot be" in refusal(f"sqlite:///{closed}/mlflow.db")


def test_a_database_that_somebody_else_holds(
    tmp_path: Path, fresh_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.tracking.contact.CONTACT_SECONDS", 1)
    taken = tmp_path / "mlflow.db"
    taken.write_bytes(fresh_database.read_bytes())
    with sqlite3.connect(taken) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        assert "locked" in refusal(f"sqlite:///{taken}")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("these are not the runs you are looking for" * 30)
    assert "no SQLite database" in refusal(None)


def test_without_a_uri_it_is_the_database_that_mlflow_ui_opens(tmp_path: Path, fresh_database: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(fresh_database.read_bytes())
    store = open_store(None, "demo")
    assert store.database == tmp_path / "mlflow.db"
    assert store.experiment.artifact_location == (tmp_path / "mlartifacts").as_uri()
    assert MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").get_experiment_by_name("demo") is not None


def test_the_same_name_is_the_same_experiment_and_a_deleted_one_comes_back(
    tracking_uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = open_store(tracking_uri, "demo").experiment.experiment_id
    assert open_store(tracking_uri, "demo").experiment.experiment_id == first
    MlflowClient(tracking_uri).delete_experiment(first)
    again = open_store(tracking_uri, "demo")
    assert again.experiment.experiment_id == first
    assert again.client.get_experiment(first).lifecycle_stage == "active"
    assert "had been deleted" in caplog.text


OPEN_AND_TELL = (
    "from orchestrator.tracking.store import open_store; print(open_store(None, 'demo').experiment.experiment_id)"
)


def test_two_processes_make_one_fresh_database_together_and_quietly(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN_AND_TELL],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    told = [process.communicate(timeout=120) for process in processes]
    assert [(out.strip(), err) for out, err in told] == [("1", "")] * 2
