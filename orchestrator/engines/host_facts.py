"""What a host has that a search needs, looked up in a process there.

This module travels to the hosts as it is (pickled by value), so that it also runs where our packages are missing: it
imports nothing but the standard library before it knows that they are there.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

OURS = ("orchestrator", "trials", "search_spaces", "yaml_reader")
DISTRIBUTIONS = ("adept-search", "ray", "torch", "transformers", "datasets", "safetensors", "numpy", "pyarrow")


def host_facts(paths: list[str], token: str, storage: str = "") -> dict[str, Any]:
    """Look around.

    Args:
        paths: files and folders that engines read.
        token: a file that the driver has written where results go.
        storage: URI of the storage for checkpoints, empty where there is none; an object is written there.

    Returns:
        ``python`` (version and executable), ``versions`` by distribution (None: not installed), ``sources`` (a digest
        of our packages' files, None where one is missing, with ``missing``), ``clock`` (seconds since 1970),
        ``unreadable`` (of the paths), ``shared`` (whether the token is there), ``writable`` (whether its folder is),
        ``storage`` (what is wrong with it, one sentence each), ``free`` (bytes in the folder for temporary files) and
        ``temporary`` (that folder).
    """
    folder = Path(token).parent
    missing = [name for name in OURS if importlib.util.find_spec(name) is None]
    return {
        "python": platform.python_version(),
        "executable": sys.executable,
        "versions": {name: version_of(name) for name in DISTRIBUTIONS},
        "missing": missing,
        "sources": None if missing else digest_of_sources(),
        "clock": time.time(),
        "unreadable": [path for path in paths if not os.access(path, os.R_OK)],
        "shared": os.access(token, os.F_OK),
        "writable": os.access(folder, os.W_OK),
        "storage": storage_problems(storage) if storage and not missing else [],
        "free": shutil.disk_usage(tempfile.gettempdir()).free,
        "temporary": tempfile.gettempdir(),
    }


def storage_problems(uri: str) -> list[str]:
    """What keeps this host from using a storage; nothing where our packages there are too old to know."""
    try:
        from orchestrator.store import uris as storage_uris
    except ImportError:
        return []
    return storage_uris.storage_problems(uri)


def version_of(distribution: str) -> str | None:
    """The version that is installed, without the suffix of the accelerator it was built for; None: there is none."""
    try:
        # None, against its declared type, where an installation was cut off: a folder of metadata without any.
        return (metadata.version(distribution) or "").partition("+")[0] or None
    except metadata.PackageNotFoundError:
        return None


def digest_of_sources() -> str:
    """Eight hexadecimal digits that change with any file of our packages."""
    digest = hashlib.sha256()
    for name in OURS:
        spec = importlib.util.find_spec(name)
        for place in sorted(spec.submodule_search_locations or ()) if spec is not None else ():
            folder = Path(place)
            for file in sorted(folder.rglob("*.py")) + sorted(folder.rglob("*.yaml")):
                digest.update(f"{name}/{file.relative_to(folder).as_posix()}".encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:8]
