"""Which Ray a search runs on: a cluster that is meant, or one of its own."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray

from orchestrator.private_ray import keep_token_private
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
}
"""For a Ray of one's own."""


def connect(debug: bool, say: Callable[[str], None] = lambda text: None) -> None:
    """Join the cluster that $RAY_ADDRESS names or that `ray up` made this machine the head of; else start a Ray.

    A Ray that merely runs on the machine is not joined: it may be another search's own, and end with it.

    Args:
        say: told what a person should hear.

    Raises:
        UserError: $RAY_ADDRESS names a cluster that does not answer, or Ray's token cannot be written.
    """
    if ray.is_initialized():
        return
    level = logging.INFO if debug else logging.ERROR
    environment = WORKER_ENVIRONMENT | ({"ADEPT_VERBOSE": "1"} if debug else {})
    options: dict[str, Any] = {"log_to_driver": debug, "logging_level": level, "ignore_reinit_error": True}
    address = os.environ.get("RAY_ADDRESS")
    if address != "local" and (address or HEAD_OF_A_CLUSTER.expanduser().exists()):
        try:
            ray.init(address=address or "auto", runtime_env={"env_vars": environment}, **options)
            return
        except ConnectionError as error:
            if address:
                problem = f"RAY_ADDRESS={address}: no Ray cluster answers there; unset it to run here"
                raise UserError([problem]) from error
    for key, value in (HOST_ENVIRONMENT | environment).items():
        os.environ.setdefault(key, value)
    keep_token_private(say)
    ray.init(address="local", include_dashboard=False, **options)
