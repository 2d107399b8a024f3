"""Data sets and models of the hub, with the real clients against a stand-in of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.hub.client import Client
from tests.hub.repositories import commitment_bank, toy
from tests.hub.server import TOKEN, Hub, Trouble
from trials.hub import explained
from trials.tasks import get_task

CB, CB_COMMIT = "aps/super_glue", "3de24cf8022e94f4ee4b9d55a6f539891524d646"
NOWHERE = "0123456789abcdef0123456789abcdef01234567"


@dataclass(frozen=True)
class Place:
    """The stand-in, where clients keep what they download, and a client."""

    hub: Hub
    home: Path
    client: Client

    def another(self, **environment: str) -> Client:
        """Another process of the same user."""
        return Client(self.hub.url, self.home, **environment)

    def trouble(self, piece: str, **what: Any) -> None:
        """Let requests for what holds a text go wrong."""
        self.hub.trouble[piece] = Trouble(**what)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    home = tmp_path_factory.mktemp("home")
    with Hub() as hub, Client(hub.url, home) as client:
        yield Place(hub, home, client)


@pytest.fixture(scope="module")
def models(whole: Place, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, bytes]]:
    """The files of two small models that differ in their weights."""
    folders = [tmp_path_factory.mktemp("model") for _ in range(2)]
    for seed, folder in enumerate(folders):
        whole.client("tiny_t5", folder=str(folder), seed=seed)
    return [{file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()} for folder in folders]


@pytest.fixture
def place(whole: Place) -> Iterator[Place]:
    """Nothing goes wrong any more, and nothing has been asked for."""
    whole.hub.trouble.clear()
    whole.hub.asked()
    yield whole
    whole.hub.trouble.clear()


def made(repository: str, revision: str | None = None) -> dict[str, Any]:
    """A task whose rows are those of `toy`."""
    return {"hub": [repository, "toy"], "revision": revision}


def downloads(asked: list[str]) -> list[str]:
    """Files that were sent, by their names."""
    return [request.rsplit("/", 1)[1] for request in asked if request.startswith("GET /stored")]


def test_what_was_downloaded_is_used_again_without_a_request(place: Place, models: list[dict[str, bytes]]) -> None:
    """By another process, after the model's next commit, and offline; a pinned task is the paper's, sizes and all."""
    assert (get_task("cb").hub, get_task("cb").revision) == ((CB, "cb"), CB_COMMIT)
    place.hub.add("datasets", CB, commitment_bank(), CB_COMMIT)
    first = place.hub.add("models", "lab/tiny", models[0]).main
    rows, model = place.client("rows", task="cb"), place.client("model", name="lab/tiny")
    assert rows["sizes"] == {"train": 250, "validation": 28, "test": 28}
    assert rows["last"] == "premise: train: what number 249 says hypothesis: 249 was said</s>"
    assert model["revision"] == first
    asked = place.hub.asked()
    assert "model.safetensors" in downloads(asked)
    of_main = [request for request in asked if "lab/tiny/resolve/main/" in request]
    # All else is of the commit that this one names.
    assert of_main == [f"{method} /lab/tiny/resolve/main/config.json" for method in ("HEAD", "GET")]

    second = place.hub.add("models", "lab/tiny", models[1]).main
    for more in ({}, {"HF_HUB_OFFLINE": "1"}):
        with place.another(**more) as again:
            assert again("rows", task="cb")["fingerprint"] == rows["fingerprint"]
            assert again("model", name="lab/tiny") | {"seconds": 0} == model | {"seconds": 0}
            assert place.hub.asked() == []
            if more:
                check_offline(again)
    newer = place.client("model", name="lab/tiny", revision=second)
    assert newer["revision"] == second
    assert newer["sum"] != model["sum"]


def check_offline(client: Client) -> None:
    """What is not here is named, with the way out."""
    problem = client.problem("rows", task="sst2")
    for piece in ("nyu-mll/glue, subset sst2", "HF_HUB_OFFLINE is set", "take HF_HUB_OFFLINE away", "--data-dir DIR"):
        assert piece in problem
    problem = client.problem("model", name="lab/other")
    for piece in ("--backbone 'lab/other'", "HF_HUB_OFFLINE is set", "or give a folder"):
        assert piece in problem
    problem = client.problem("model", name="lab/tiny", revision=NOWHERE)
    assert "HF_HUB_OFFLINE is set" in problem
    done = client("command", words=["plan", "--task", "rte", "--backbone", "lab/other"])
    assert done["code"] == 2
    assert "HF_HUB_OFFLINE is set" in " ".join(done["output"].split())
    assert "Traceback" not in done["output"]


def test_an_adapter_is_loaded_on_the_commit_that_it_was_trained_on(
    place: Place, models: list[dict[str, bytes]], tmp_path: Path
) -> None:
    first = place.hub.add("models", "lab/goes-on", models[0]).main
    assert place.client("adapter", folder=str(tmp_path), name="lab/goes-on")["revision"] == first
    assert place.client("adapter", folder=str(tmp_path))["revision"] == first
    second = place.hub.add("models", "lab/goes-on", models[1]).main
    (place.home / "hub" / "models--lab--goes-on" / "refs" / "main").write_text(second)  # as a newer download does
    place.client("model", name="lab/goes-on", revision=second)
    assert place.client("model", name="lab/goes-on")["revision"] == second
    problem = place.client.problem("adapter", folder=str(tmp_path))  # no search on the newer one starts from it
    assert f"was trained on other weights than those of goes-on, on lab/goes-on: {first} then" in problem


def test_what_the_hub_does_not_have_is_named(place: Place, models: list[dict[str, bytes]]) -> None:
    place.hub.add("datasets", "lab/rows", toy())
    place.hub.add("models", "lab/known", models[0])
    for problem in (
        place.client.problem("rows", **made("lab/rows", NOWHERE)),
        place.client.problem("model", name="lab/known", revision=NOWHERE),
    ):
        assert f"has no revision {NOWHERE}" in problem
    for problem in (
        place.client.problem("rows", **made("lab/unknown")),
        place.client.problem("model", name="lab/unknown"),
    ):
        assert "the hub shows no" in problem
        assert (
            "lab/unknown: check the id or, where it is private, log in with `hf auth login`, or set HF_TOKEN" in problem
        )


def test_a_private_or_gated_repository_asks_for_a_token(place: Place, models: list[dict[str, bytes]]) -> None:
    for kind, files in (("datasets", toy()), ("models", models[0])):
        place.hub.add(kind, "lab/private", files, private=True)
        place.hub.add(kind, "lab/gated", files, gated=True)
    for what, given in {"rows": made("lab/private"), "model": {"name": "lab/private"}}.items():
        assert "lab/private: check the id or, where it is private, log in" in place.client.problem(what, **given)
    for what, given in {"rows": made("lab/gated"), "model": {"name": "lab/gated"}}.items():
        problem = place.client.problem(what, **given)
        assert f"lab/gated is gated: ask for access on {place.hub.url}/" in problem
        assert "`hf auth login`, or set HF_TOKEN" in problem
    place.client("environment", HF_TOKEN=TOKEN)
    try:
        assert place.client("rows", **made("lab/private"))["sizes"]["train"] == 60
        assert place.client("model", name="lab/gated")["revision"]
    finally:
        place.client("environment", HF_TOKEN="")


def test_a_missing_file_is_named_and_no_other_commits_rows_are_taken(
    place: Place, models: list[dict[str, bytes]]
) -> None:
    files = toy()
    before = place.hub.add("datasets", "lab/moved", files).main
    lacking = {name: content for name, content in files.items() if "validation" not in name}
    after = place.hub.add("datasets", "lab/moved", lacking).main
    assert "files are missing" in place.client.problem("rows", **made("lab/moved", after))
    assert place.client("rows", **made("lab/moved", before))["sizes"]["train"] == 60
    problem = place.client.problem("rows", **made("lab/moved", after))
    assert f"at revision {after}" in problem
    assert f"is of revision {before}" in problem

    place.hub.add("models", "lab/bare", {n: c for n, c in models[0].items() if n != "model.safetensors"})
    place.hub.add("models", "lab/dumb", {n: c for n, c in models[0].items() if "token" not in n})
    assert "model.safetensors" in place.client.problem("model", name="lab/bare")
    assert "lab/dumb holds no tokenizer" in place.client.problem("model", name="lab/dumb")


def test_a_download_that_breaks_off_goes_on_or_says_so(place: Place, models: list[dict[str, bytes]]) -> None:
    place.hub.add("datasets", "lab/broken", toy("broken"))
    place.trouble("/stored/datasets/lab/broken", cut=1_500, times=2)
    rows = place.client("rows", **made("lab/broken"))
    assert rows["last"].startswith("text: train broken 59")
    place.hub.add("models", "lab/broken", models[1])
    place.trouble("/stored/models/lab/broken", cut=1_500, times=2)
    assert place.client("model", name="lab/broken")["revision"]

    place.hub.add("datasets", "lab/cut", toy("cut"))
    place.trouble("/stored/datasets/lab/cut", cut=1_500)
    assert "broke off" in place.client.problem("rows", **made("lab/cut"))
    place.hub.add("models", "lab/cut", models[0])
    place.trouble("/stored/models/lab/cut", cut=1_500)
    assert "broke off" in place.client.problem("model", name="lab/cut")
    place.hub.trouble.clear()
    assert place.client("rows", **made("lab/cut"))["last"].startswith("text: train cut 59")
    assert place.client("model", name="lab/cut")["revision"]


def test_a_slow_server_is_waited_for_and_one_that_hangs_is_not(place: Place, models: list[dict[str, bytes]]) -> None:
    place.hub.add("datasets", "lab/slow", toy("slow"))
    place.trouble("/stored/datasets/lab/slow", pause=0.2)
    assert place.client("rows", **made("lab/slow"))["last"].startswith("text: train slow 59")
    for kind, files in (("datasets", toy("hung")), ("models", models[0])):
        place.hub.add(kind, "lab/hung", files)
        place.hub.add(kind, "lab/down", files)
    place.trouble("lab/hung", wait=600)
    place.trouble("lab/down", status=503)
    for what, given in {"rows": made("lab/hung"), "model": {"name": "lab/hung"}}.items():
        found = place.client(what, **given)
        assert "did not answer within 1 s" in found["problems"][0]
        assert found["seconds"] < 60
    for what, given in {"rows": made("lab/down"), "model": {"name": "lab/down"}}.items():
        assert "an error of its own (503)" in place.client.problem(what, **given)


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), PermissionError(13, "denied", "/hub"), OSError(20, "no folder")]
)
def test_a_disk_that_takes_no_copy_is_not_put_down_to_the_network(error: OSError) -> None:
    wrapped = RuntimeError("while it was downloaded")
    wrapped.__cause__ = error
    for one in (error, wrapped):
        problem = explained(one, "model", "lab/large")
        assert "the model lab/large cannot be kept on this machine" in problem and str(error) in problem
        assert "HF_HOME" in problem and "check the id" not in problem


def test_too_many_requests_are_no_wrong_id() -> None:
    error = RuntimeError("429 Client Error: Too Many Requests")
    error.response = SimpleNamespace(status_code=429)  # type: ignore[attr-defined]
    problem = explained(error, "dataset", "lab/rows")
    assert "too many requests" in problem and "set HF_TOKEN" in problem and "check the id" not in problem


@pytest.mark.slow
@pytest.mark.parametrize("piece", ["/tree/", "/revision/", "/stored/"])
@pytest.mark.parametrize("what", ["rows", "model"])
def test_each_request_has_an_end(place: Place, models: list[dict[str, bytes]], what: str, piece: str) -> None:
    """Those for which the client itself sets no time, too; a model can do without two of them."""
    name = f"lab/stuck{piece.strip('/')}"
    place.hub.add("datasets", name, toy(piece.strip("/")))
    place.hub.add("models", name, models[0])
    place.trouble(piece, wait=600)
    found = place.client(what, **(made(name) if what == "rows" else {"name": name}))
    assert found["seconds"] < 120
    if what == "rows" or "problems" in found:
        assert "did not answer within 1 s" in found["problems"][0]
    else:
        assert found["revision"]
