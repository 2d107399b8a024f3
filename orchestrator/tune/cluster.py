"""Which Ray a search runs on: a cluster that is meant, or one of its own."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import ray

from orchestrator.engines.ray_internals import end_half_started, lean_head, system_temporary_folder
from orchestrator.tune.private_ray import keep_token_private, make_session_folder, session_folder
from trials.errors import UserError

HEAD_OF_A_CLUSTER = Path("~/ray_bootstrap_config.yaml")
"""Left by `ray up` on a cluster's head, where `ray submit` runs the script."""

WORKER_ENVIRONMENT = {
    # Large activations would be mapped and unmapped at every step otherwise; glibc reads this at the process's start.
    "MALLOC_MMAP_THRESHOLD_": str(8 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(16 << 30),
    "PYTHONWARNINGS": "ignore",
}

HOST_ENVIRONMENT = {
    # A search has more processes than cores, nearly all of them idle; Ray would warn of it at four times this number.
    "RAY_worker_maximum_startup_concurrency": "16",
    "RAY_worker_register_timeout_seconds": "300",
    # An agent of Ray's looks at each process of the host this often, for a dashboard that is not there.
    "REPORTER_UPDATE_INTERVAL_MS": "60000",
}
"""For a Ray of one's own."""

TRIES = 2  # to start one: on a busy machine its parts can miss each other the first time
LONGEST_SOCKET = 103 if sys.platform == "darwin" else 107  # bytes of the path of a Unix socket
SOCKET = (
    "session_2026-01-31_12-00-00_000000_{pid}/sockets/plasma_store"  # the longest path that Ray makes of its folder
)


def problems() -> list[str]:
    """What would keep a Ray of one's own from starting, found before anything is written or started."""
    if not is_own():
        return []
    folder = str(session_folder())
    longest = len(os.fsencode(f"{folder}/{SOCKET.format(pid=os.getpid())}"))
    if longest > LONGEST_SOCKET:
        around = len(folder) - len(system_temporary_folder())
        most = len(os.fsencode(folder)) - (longest - LONGEST_SOCKET) - around
        return [
            f"{_place(folder)} is too long for Ray, whose sockets below it would have paths of {longest} bytes; "
            f"{LONGEST_SOCKET} are allowed. Set RAY_TMPDIR to a folder of at most {most} bytes, such as /tmp"
        ]
    there = Path(folder)
    while not there.exists() and there != there.parent:
        there = there.parent
    return [] if os.access(there, os.W_OK | os.X_OK) else [_unusable(folder, f"{there} is not writable for this user")]


def connect(debug: bool) -> None:
    """Join the cluster that $RAY_ADDRESS names or that `ray up` made this machine the head of; else start a Ray.

    A Ray that merely runs on the machine is not joined: it may be another search's own, and end with it.

    Raises:
        UserError: $RAY_ADDRESS names a cluster that does not answer, Ray's token cannot be written, or no Ray could be
            started here.
    """
    if ray.is_initialized():
        return
    address = os.environ.get("RAY_ADDRESS")
    level = logging.INFO if debug else logging.ERROR
    environment = WORKER_ENVIRONMENT | ({"ADEPT_VERBOSE": "1"} if debug else {})
    options: dict[str, Any] = {"log_to_driver": debug, "logging_level": level, "ignore_reinit_error": True}
    if not is_own():
        try:
            ray.init(address=address or "auto", runtime_env={"env_vars": environment}, **options)
            return
        except ConnectionError as error:
            if address:
                problem = f"RAY_ADDRESS={address}: no Ray cluster answers there; unset it to run here"
                raise UserError([problem]) from error
    for key, value in (HOST_ENVIRONMENT | environment).items():
        os.environ.setdefault(key, value)
    if found := problems():
        raise UserError(found)
    keep_token_private()
    _start(options)


def is_on_head() -> bool:
    """Whether this host is the head of a cluster that `ray up` made; it is none where its user has no home folder."""
    try:
        return HEAD_OF_A_CLUSTER.expanduser().exists()
    except RuntimeError:
        return False


def is_own() -> bool:
    """Whether a Ray of one's own is meant, and no cluster."""
    address = os.environ.get("RAY_ADDRESS")
    return address == "local" or not (address or is_on_head())


def _start(options: dict[str, Any]) -> None:
    """A Ray of one's own; where it does not come up, once more."""
    reasons: list[str] = []
    for _ in range(TRIES):
        try:
            make_session_folder()
            with nullcontext() if options["log_to_driver"] else lean_head():
                ray.init(address="local", include_dashboard=False, _temp_dir=str(session_folder()), **options)
            return
        except Exception as error:
            end_half_started(error.__traceback__)
            ray.shutdown()
            if isinstance(error, OSError) and error.filename is not None:
                raise UserError([_unusable(str(session_folder()), f"{error.strerror}: {error.filename}")]) from None
            reasons.append((str(error).strip() or type(error).__name__).splitlines()[0])
    raise UserError(
        [
            f"Ray did not start here, tried {TRIES} times ({reasons[-1]}). This machine may have too little time or "
            f"memory left for it: end what else runs, then give the same command again. Ray's logs are below "
            f"{session_folder()}/session_latest/logs"
        ]
    )


def _unusable(folder: str, why: str) -> str:
    return (
        f"{_place(folder)} cannot be used ({why}): it may belong to another user. Set RAY_TMPDIR to a folder that you "
        "may write to, with a short path"
    )


def _place(folder: str) -> str:
    """Ray's folder and where it comes from, for a message."""
    source = next((f" (${name})" for name in ("RAY_TMPDIR", "TMPDIR") if os.environ.get(name)), "")
    return f"Ray's folder {folder}{source}"
