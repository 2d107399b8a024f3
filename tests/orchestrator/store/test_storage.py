"""Files and checkpoints in a storage: an S3-compatible server, and a folder that is named by a URI."""

from __future__ import annotations

import json
import os
import pickle
import threading
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.record.errors import StorageError
from orchestrator.record.record import TrialRecord
from orchestrator.store import paths as storage
from orchestrator.store.checkpoints import (
    adapter_files,
    adapter_here,
    damaged,
    keep,
    latest_kept,
    next_attempt,
    read_kept,
    reports_after,
    to_go_on_from,
)
from orchestrator.store.paths import StoragePath
from orchestrator.store.uris import storage_problems
from tests.orchestrator.searching_toys import toy_plan
from trials.errors import UserError

if TYPE_CHECKING:
    from tests.orchestrator.s3_server import S3


@pytest.fixture(params=["s3", "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> StoragePath:
    if request.param == "file":
        return StoragePath(f"file://{tmp_path}/a folder".replace(" ", "%20"))
    return StoragePath(request.getfixturevalue("s3").uri)


def checkpoint(step: int) -> dict[str, bytes]:
    files = {"training.safetensors": b"numbers" * step, "adapter/adapter_config.json": b"%d" % step}
    listed = {name: [len(content), zlib.crc32(content)] for name, content in files.items()}
    config = {"eval_every": 10, "hyperparameters": {"bottleneck": 4}, "seed": 42}
    facts = {"step": step, "files": listed, "config": config}
    return {**files, "training.json": json.dumps(facts).encode()}


def kept(attempt: StoragePath, number: int, *steps: int) -> None:
    reports = [{"step": step, "status": "running"} for step in steps]
    for known, step in enumerate(steps, 1):
        keep(attempt / f"trial-{number}", checkpoint(step), reports[:known])


def test_what_is_written_is_found_read_and_removed(place: StoragePath) -> None:
    assert place.glob("tune-*") == [] and not (place / "one").exists()
    (place / "one" / "two.txt").write_text("hä")
    (place / "one" / "three" / "x").write_bytes(b"3")
    (place / "one" / "two.txt").write_text("again")
    assert (place / "one").is_dir() and not (place / "one" / "two.txt").is_dir()
    assert [path.name for path in place.glob("one/t*")] == ["three", "two.txt"]
    assert (place / "one").files() == {"two.txt": b"again", "three/x": b"3"}
    assert abs((place / "one" / "two.txt").modified() - time.time()) < 60
    (place / "one" / "two.txt").unlink()
    (place / "one" / "two.txt").unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        (place / "one" / "two.txt").read_bytes()
    (place / "one").remove_tree()
    (place / "one").remove_tree()
    assert not (place / "one" / "three" / "x").exists()


def test_checkpoints_are_kept_found_and_cleaned_up_as_on_a_disk(place: StoragePath, tmp_path: Path) -> None:
    kept(place / "attempt-1", 3, 10, 20, 30)
    names = [path.name for path in (place / "attempt-1").glob("trial-3/*")]
    assert names == ["checkpoint_step_000000020", "checkpoint_step_000000030"]
    newest = latest_kept(place / "attempt-1" / "trial-3")
    assert newest is not None
    files, reports = read_kept(newest)
    assert (files, reports) == (checkpoint(30), [{"step": step, "status": "running"} for step in (10, 20, 30)])
    recorded = TrialRecord("known", 3, {"bottleneck": 4}, 42, reports=reports[:2])
    assert reports_after(place, recorded) == reports[2:]
    behind = TrialRecord("behind", 3, {"bottleneck": 4}, 42, reports=[])
    assert reports_after(place, behind) == reports, "though the checkpoint of the first is gone"
    assert [to_go_on_from(place, 3, recorded=step) for step in (20, 30)] == [
        place / "attempt-1" / "trial-3" / name for name in names
    ]
    assert to_go_on_from(place, 4, recorded=0) is None
    assert adapter_files(place, 3) == {"adapter_config.json": b"30"}
    here = adapter_here(place, tmp_path / "scratch", 3)
    assert here is not None and (here / "adapter_config.json").read_bytes() == b"30"
    assert next_attempt(tmp_path, place) == "attempt-2"


def test_a_damaged_object_is_passed_over_and_named(s3: S3) -> None:
    place = StoragePath(s3.uri)
    kept(place / "attempt-1", 3, 10, 20)
    s3.damage("attempt-1/trial-3/checkpoint_step_000000020/training.safetensors")
    found = to_go_on_from(place, 3, recorded=20)
    assert found is not None and found.name.endswith("10")
    assert [path.name for path in damaged(place, 3)] == ["checkpoint_step_000000020"]


def test_what_a_kill_left_half_written_does_not_count_and_is_no_damage(s3: S3) -> None:
    place = StoragePath(s3.uri)
    kept(place / "attempt-1", 3, 10)
    for name, content in list(checkpoint(20).items())[:-1]:  # its last file is missing
        (place / "attempt-1" / "trial-3" / "checkpoint_step_000000020" / name).write_bytes(content)
    found = to_go_on_from(place, 3, recorded=20)
    assert found is not None and found.name.endswith("10")
    assert damaged(place, 3) == []


def test_a_server_that_is_away_for_some_seconds_is_waited_for(s3: S3) -> None:
    place = StoragePath(s3.uri)
    kept(place / "attempt-1", 3, 10)
    s3.stop()
    back = threading.Timer(2.0, s3.start)
    back.start()
    kept(place / "attempt-1", 3, 20)
    back.join()
    assert to_go_on_from(place, 3, recorded=20) is not None
    assert damaged(place, 3) == []


def test_who_has_waited_for_too_long_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "FIRST_PAUSE", 0.05)
    (tmp_path / "file").touch()
    started = time.monotonic()
    with pytest.raises(StorageError) as away:
        (StoragePath(f"file://{tmp_path}/file", patience=0.3) / "below" / "it").write_bytes(b"x")
    assert 0.2 < time.monotonic() - started < 3
    arrived = pickle.loads(pickle.dumps(away.value))  # from a trial's actor at its driver
    assert storage.AWAY in arrived.found and "give the same command again" in str(arrived)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("searches/rte", "must be a URI, e.g. s3://bucket/folder"),
        ("s4://bucket/x", "unknown scheme 's4'; known: s3://"),
        ("s3://", "names no bucket or folder"),
        ("file:///", "names no bucket or folder"),
        ("s3://us:hush@bucket/x", "--storage s3://bucket/x: a URI with a user or password would be seen"),
        ("s3://bucket/x?secret_key=hush", "--storage s3://bucket/x: secret_key in a URI would be seen"),
        ("s3://bucket/x?endpoint_overide=hush", "Unexpected query parameter in S3 URI: 'endpoint_overide'"),
    ],
)
def test_a_wrong_uri_is_refused_without_showing_its_secrets(uri: str, said: str) -> None:
    (problem,) = storage_problems(uri)
    assert said in problem and "hush" not in problem


def test_all_that_is_wrong_with_a_request_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        toy_plan(tmp_path, [0.1], storage="s4://bucket", data_dir=tmp_path / "none")
    said = "\n".join(refused.value.problems)
    assert "unknown scheme 's4'" in said and "--data-dir" in said


def test_a_storage_that_cannot_be_used_is_told_with_its_remedy(s3: S3, tmp_path: Path) -> None:
    assert storage_problems(s3.uri) == [] == storage_problems(None)
    assert s3.names() == []
    (problem,) = storage_problems(s3.uri_of("none/x"))
    assert problem.startswith("--storage s3://none/x: ") and "there is no such bucket; make it first" in problem
    s3.stop()
    (problem,) = storage_problems(s3.uri)
    assert "nobody answers there; see to the endpoint" in problem
    s3.start()
    (tmp_path / "file").touch()
    (problem,) = storage_problems(f"file://{tmp_path}/file/x")
    assert problem.startswith(f"--storage file://{tmp_path}/file/x: ")


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("AccessDenied", "these keys may not write there"),
        ("InvalidAccessKeyId", "see to AWS_ACCESS_KEY_ID"),
        ("SignatureDoesNotMatch", "see to AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_a_store_that_refuses_the_keys_is_told_with_its_remedy(refusing: str, code: str, remedy: str) -> None:
    (problem,) = storage_problems(refusing.replace("CODE", code))
    assert remedy in problem and "hush" not in problem


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> object:
    """The URI of a server that answers every request of a bucket with 403 and the bucket's name as the code."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Refuses(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            code = {name.lower(): name for name in ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch")}
            said = f"<Error><Code>{code[self.path.split('/')[1].lower()]}</Code><Message>no</Message></Error>".encode()
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(403)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_POST = do_PUT  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            pass

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "us")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refuses)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"s3://CODE/x?scheme=http&endpoint_override=127.0.0.1:{server.server_port}&region=us-east-1"
    server.shutdown()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_another_users_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    (problem,) = storage_problems(f"file://{tmp_path}/x")
    assert "make it writable" in problem
