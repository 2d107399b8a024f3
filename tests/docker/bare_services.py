"""The services of docker/bare.sh in a folder of their own, on free ports, for tests and for nothing else."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docker" / "bare.sh"


def free_ports(count: int) -> int:
    """The first of some ports in a row that nobody uses, nor those 10,000 above them, which SeaweedFS takes, too."""
    for first in random.Random(os.getpid()).sample(range(21000, 31000, 20), 200):
        with ExitStack() as held:
            try:
                for port in (*range(first, first + count), *range(first + 10000, first + 10000 + count)):
                    probe = held.enter_context(closing(socket.socket()))
                    probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise RuntimeError("no free ports")


def missing() -> str:
    """Why the services cannot run here; empty where they can."""
    bin_folder = Path(sys.executable).parent
    if not Path("/usr/lib/postgresql").is_dir() and shutil.which("postgres") is None:
        return "PostgreSQL is not installed (Debian: apt-get install postgresql)"
    gone = [name for name in ("weed", "mlflow") if not (bin_folder / name).exists()]
    return f"{' and '.join(gone)} not installed: pip install -e '.[server]'" if gone else ""


class Services:
    """What is running, and how to talk to it.

    Attributes:
        folder: of their state: data, logs, secrets.
        uri: of the tracking server.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        first = free_ports(12)
        self.ports = {"ARTIFACTS_PORT": first, "MLFLOW_PORT": first + 6, "POSTGRES_PORT": first + 7}
        self.ports |= {"HEAD_PORT": first + 8, "DASHBOARD_PORT": first + 9, "AGENT_PORT": first + 10}
        self.uri = f"http://127.0.0.1:{first + 6}"
        self.artifacts = f"http://127.0.0.1:{first}"

    def secret(self, name: str) -> str:
        """A secret's value."""
        return (self.folder / "secrets" / name).read_text()

    @property
    def secrets(self) -> dict[str, str]:
        """All secrets by their names."""
        return {file.name: file.read_text() for file in (self.folder / "secrets").iterdir()}

    @property
    def credentials(self) -> dict[str, str]:
        """The environment of a search that may write to the server."""
        user = {"MLFLOW_TRACKING_USERNAME": "search", "MLFLOW_TRACKING_PASSWORD": self.secret("mlflow_password")}
        return {"MLFLOW_TRACKING_URI": self.uri, **user}

    def call(self, *arguments: str, code: int = 0) -> str:
        """Run the script; returns what it printed.

        Its output goes to a file: services that it starts would hold a pipe open.
        """
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "RAY_"))}
        environment |= {name: str(port) for name, port in self.ports.items()}
        environment |= {"ADEPT_STATE": str(self.folder), "ADEPT_VENV": sys.prefix}
        environment |= {"OBJECT_STORE_BYTES": "100000000", "CPUS": "1"}
        with tempfile.TemporaryFile("w+") as said:
            done = subprocess.run(
                [SCRIPT, *arguments], env=environment, stdout=said, stderr=said, timeout=400, check=False
            )
            said.seek(0)
            output = said.read()
        assert done.returncode == code, output
        return output

    def postgres(self) -> int:
        """The process of the database."""
        return int((self.folder / "postgres" / "pid").read_text().split()[0])


@contextmanager
def running() -> Iterator[Services]:
    """The tracking server with its database and its store; all is ended and removed afterwards."""
    # Not below pytest's folder, which PostgreSQL's user could not enter.
    folder = Path(tempfile.mkdtemp(prefix="adept-bare-"))
    folder.chmod(0o711)
    services = Services(folder)
    try:
        services.call("start")
        yield services
    finally:
        services.call("stop")
        shutil.rmtree(folder, ignore_errors=True)
