"""Every command that a search prints runs as printed, from another folder with a blank in its name."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

import pytest

from orchestrator.command_lines import resume_command
from tests.commands import adept
from trials.backbones.facts import EMBEDDED

pytestmark = pytest.mark.slow

SPACE = """
about: two configurations of a few steps
settings: {steps: 60, eval_every: 4, batch_size: 4, warmup_steps: 1}
grids: {adept: {prompt_lr: [0.1, 0.3], mlp_lr: 1e-2, prompt_length: 4, bottleneck: 2}}
"""


def make(folder: Path) -> None:
    """A task of two columns with its space and a backbone of its own, all in folders with blanks."""
    files = {split: f"{split} rows.csv" for split in ("train", "validation", "test")}
    (folder / "my task").mkdir(parents=True)
    for first, file in enumerate(files.values()):
        rows = [[f"{kind} {first * 8 + i}", "text", kind] for i in range(8) for kind in ("game", "mail")]
        with (folder / "my task" / file).open("w") as stream:
            csv.writer(stream).writerows([["subject", "body", "kind"], *rows])
    task = {"name": "toy", "template": "{subject}: {body}", "label_column": "kind", "files": files}
    (folder / "my task" / "toy.yaml").write_text(json.dumps(task))
    (folder / "space.yaml").write_text(SPACE)
    shutil.copytree(EMBEDDED / "t5-nano", folder / "my t5")


class Shell:
    """A user's shell in a folder of its own."""

    def __init__(self, folder: Path, cache: Path, ray: str) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        own = {"PATH": path, "RAY_ADDRESS": ray, "RAY_AUTH_MODE": "disabled", "ADEPT_CACHE": str(cache)}
        own |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # two processes more, for what nobody asks of it here
        self.environment = {**os.environ, **own, "HF_HUB_OFFLINE": "1"}

    def started(self, command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def here(self, command: str, code: int = 0) -> str:
        """What a command of ours prints, run in this process: without seconds of imports."""
        program, *arguments = shlex.split(command)
        assert program == "adept-search", command
        return adept(self.folder, *arguments, code=code)

    def interrupted(self, command: str) -> str:
        """What a search prints that gets Ctrl-C after its first report."""
        process, seen = self.started(command), ""
        assert process.stdout is not None
        for line in process.stdout:
            seen += line
            if "new best" in line:
                process.send_signal(signal.SIGINT)
                break
        seen += process.communicate(timeout=300)[0]
        assert process.returncode == 130 and "Traceback" not in seen, seen
        return seen


def printed(output: str, program: str = "adept-search") -> str:
    """The command of a program in a text, which ends with its line."""
    found = re.search(rf"{re.escape(program)} [^\n]*", output)
    assert found, output
    return found[0]


@contextmanager
def interface(shell: Shell, command: str) -> Iterator[str]:
    """The address of MLflow's interface by its printed command, on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = shell.started(f"{command} --port {port} --workers 1")
    try:
        end = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                    break
            except OSError:
                assert process.poll() is None and time.monotonic() < end, command
                time.sleep(0.3)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_every_printed_command_runs_elsewhere_and_after_a_move(
    engines_kept: None, ray_address: str, fresh_database: Path, tmp_path: Path
) -> None:
    home, cache = tmp_path / "my work", tmp_path / "cache"
    make(home)
    at_home, elsewhere = Shell(home / "cwd", cache, ray_address), Shell(tmp_path / "another place", cache, ray_address)
    shutil.copy(fresh_database, at_home.folder / "mlflow.db")
    search = "adept-search search --task '../my task/toy.yaml' --backbone '../my t5' --space ../space.yaml"
    said = at_home.interrupted(f"{search} --output '../my runs' --max-concurrent 1")
    name = next(path.name for path in (home / "my runs").iterdir() if path.is_dir())
    assert name.startswith("toy-adept-my-t5-")

    # It goes on by the command that it printed, and from where everything has been moved to.
    assert printed(said) == resume_command(name, home / "my runs")
    moved = tmp_path / "moved here"
    home.rename(moved)
    refused = elsewhere.here(printed(said), code=2)
    assert "there is no such search" in " ".join(refused.split())
    way_on = f"adept-search resume {name} --output {shlex.quote(str(moved / 'my runs'))}"
    refused = " ".join(elsewhere.here(way_on, code=2).split())
    assert all(f"--{key}: " in refused for key in ("task", "backbone", "space"))
    places = {"--task": "my task/toy.yaml", "--backbone": "my t5", "--space": "space.yaml"}
    words = [word for key, place in places.items() for word in (key, str(moved / place))]
    words += ["--tracking-uri", f"sqlite:///{moved / 'cwd' / 'mlflow.db'}"]
    finished = elsewhere.here(f"{way_on} {shlex.join(words)}")
    assert f"Resuming {name}" in finished and "Winner" in finished

    # Whatever the finished search prints, on the terminal and in its files.
    folder = moved / "my runs" / name
    summary = (folder / "summary.md").read_text()
    call = re.search(r"from trials import load_adapter; [^`]*", summary)
    assert call and "'subject'" in call[0]
    with chdir(elsewhere.folder):
        exec(call[0], {})
    with interface(elsewhere, printed(finished, "mlflow ui").partition(", then open")[0]):
        pass
    record = json.loads((folder / "search.json").read_text())
    again = elsewhere.here(record["provenance"]["command"])
    assert f"search {name} is finished" in again and "Winner" in again
    at_end = elsewhere.here(f"adept-search watch {name} --output {shlex.quote(str(folder.parent))}")
    assert "Winner" in elsewhere.here(printed(at_end.rpartition("\nsearch ")[2]))
    output = ["--output", str(folder.parent)]
    assert "verified" in elsewhere.here(shlex.join(["adept-search", "verify", f"{name}/1", *output]))
