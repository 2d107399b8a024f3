"""Several hosts on one machine, with the project's own `cluster.yaml` on them, and a laptop to type commands on."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.faults.small_search import make_task

ROOT = Path(__file__).parents[2]
NETLAB = ROOT.parent / "shared" / "tools" / "netlab.py"
PROGRAMS = ("ssh", "sshd", "rsync", "ip", "unshare", "nsenter")
REQUIREMENTS = ("pyproject.toml", "constraints.txt")
OWN = ("/root/", "/tmp/")  # of which every host has one of its own; all else it shares with this machine
MINUTE = 60.0


def missing() -> str:
    """Why there can be no hosts here; empty where there can."""
    if os.geteuid() != 0:
        return "hosts on one machine can be made by root alone"
    if not NETLAB.exists():
        return "the tool that makes hosts (../shared/tools/netlab.py) is not here"
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    absent = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    return f"needs {', '.join(absent)} (Debian: openssh-server rsync iproute2 util-linux)" if absent else ""


def load_netlab() -> Any:
    """The tool as a module."""
    spec = importlib.util.spec_from_file_location("netlab", NETLAB)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Hosts:
    """Hosts 1 to N (1 is the head), a folder that they share, and a laptop with a clone of the project.

    Args:
        name: of the lab; two labs of different names do not see each other.
        number: of hosts.
        folder: on a disk that is the same on all hosts; removed by `close`.

    Attributes:
        storage: the shared folder. yaml: the cluster file of the laptop.
    """

    def __init__(self, name: str, number: int, folder: Path) -> None:
        self.netlab = load_netlab().Lab(name)
        self.number, self.folder = number, folder
        self.storage, self.laptop = folder / "storage", folder / "laptop"
        for made in (self.storage, self.laptop / "tmp", self.laptop / ".ray"):
            made.mkdir(parents=True)
        self.netlab.down()
        outside = [path for path in (sys.prefix, sys.base_prefix) if path.startswith(OWN)]
        self.netlab.up(number, [*outside, str(self.storage)])
        for host in range(1, number + 1):
            self._install(host)
        make_task(self.storage / "task")
        self.yaml = self.laptop / "cluster.yaml"
        self.write_yaml()
        self.ray("get-auth-token", "--generate").check_returncode()

    def write_yaml(self, **other: str) -> None:
        """The project's cluster file with its five lines changed, and one core a host.

        Args:
            other: in the place of what a right file has: ``head_ip``, ``ssh_private_key``, ``ADEPT_OUTPUT``.
        """
        workers = ", ".join(self.netlab.ip(host) for host in range(2, self.number + 1))
        lines = {
            "head_ip": self.netlab.ip(1),
            "worker_ips": f"[{workers}]",
            "ssh_user": "root",
            "ssh_private_key": str(self.netlab.root / "id_ed25519"),
            **other,
        }
        output = lines.pop("ADEPT_OUTPUT", str(self.storage / "runs"))
        text = (ROOT / "cluster.yaml").read_text()
        for key, value in lines.items():
            text, times = re.subn(rf"(?m)^  {key}: .*", f"  {key}: {value}", text)
            assert times == 1, f"cluster.yaml has {times} lines {key}"
        text, times = re.subn("ADEPT_OUTPUT=/mnt/shared/adept", f"ADEPT_OUTPUT={output}", text)
        assert times == 1
        (self.storage / "runs").mkdir(exist_ok=True)
        text = text.replace(" ray start ", " ray start --num-cpus=1 ").replace(
            "- ray start ", "- ray start --num-cpus=1 "
        )
        self.yaml.write_text(text.replace("memory=500000000", "memory=100000000"))

    def ray(self, *arguments: str, seconds: float = 5 * MINUTE) -> subprocess.CompletedProcess[str]:
        """``ray ARGUMENTS`` on the laptop, in the project's folder; what it prints is in ``stdout``."""
        return self.end_of(self.begin(*arguments), seconds)

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """The same, without waiting for its end."""
        # A /tmp of its own: Ray keeps its connections and the cluster's state there.
        inside = f'mount --bind {self.laptop / "tmp"} /tmp && exec "$@"'
        command = ["ip", "netns", "exec", self.netlab.ctl, "unshare", "--mount", "bash", "-c", inside, "bash"]
        environment = {
            "HOME": str(self.laptop),
            "PATH": f"{sys.prefix}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "RAY_AUTH_MODE": "token",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        return subprocess.Popen(
            [*command, f"{sys.prefix}/bin/ray", *arguments],
            cwd=ROOT,
            env=environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def end_of(self, process: subprocess.Popen[str], seconds: float) -> subprocess.CompletedProcess[str]:
        """Wait for what was begun.

        Raises:
            AssertionError: it has not ended in that time, and was killed; with what it had printed.
        """
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            raise AssertionError(f"{process.args!r} took more than {seconds:.0f} s:\n{output}") from None
        return subprocess.CompletedProcess(process.args, process.returncode, output)

    def up(self) -> str:
        """``ray up`` until the head is ready."""
        done = self.ray("up", "-y", str(self.yaml))
        assert done.returncode == 0, done.stdout
        return done.stdout

    def submit(self, *options: str, seconds: float = 5 * MINUTE) -> subprocess.CompletedProcess[str]:
        """``ray submit cluster.yaml orchestrator/search.py OPTIONS``."""
        return self.ray("submit", str(self.yaml), "orchestrator/search.py", *options, seconds=seconds)

    def on_head(self, command: str, seconds: float = 2 * MINUTE) -> subprocess.CompletedProcess[str]:
        """``ray exec cluster.yaml COMMAND``."""
        return self.ray("exec", str(self.yaml), command, seconds=seconds)

    def wait_for_hosts(self, number: int, seconds: float = 4 * MINUTE) -> None:
        """Return when Ray has so many hosts or more; what the head says of them is in the error where it has not."""
        start = "ray.init(logging_level=40, log_to_driver=False)"  # else its advice may stand beside the number
        count = f"import ray; {start}; print(sum(n['Alive'] for n in ray.nodes()))"
        try:
            self.wait(
                lambda: int(self.shell(1, f'python -c "{count}"').stdout or 0) >= number, seconds, f"{number} hosts"
            )
        except AssertionError as error:
            log = self.shell(1, "tail -n 60 /tmp/ray/session_latest/logs/monitor.{log,out}").stdout
            raise AssertionError(f"{error}; the head's log:\n{log}") from None

    def shell(self, host: int, command: str) -> subprocess.CompletedProcess[str]:
        """A command in a login shell of a host, as `ray exec` would have it, but at once."""
        login = ["env", "-i", "HOME=/root", "PATH=/usr/bin:/bin", "bash", "--login", "-c", f". ~/.bashrc; {command}"]
        done: subprocess.CompletedProcess[str] = self.netlab.run(host, login, check=False, capture_output=True)
        return done

    def home(self, host: int) -> Path:
        """The home folder of a host's user, as it is called here."""
        home: Path = self.netlab.root / f"h{host}" / "home"
        return home

    def runs(self, name: str) -> Path:
        """The folder of a search."""
        return self.storage / "runs" / name

    def record(self, name: str) -> dict[str, Any]:
        """A search's record as it is on the storage; empty where there is none."""
        try:
            document: dict[str, Any] = json.loads((self.runs(name) / "search.json").read_text())
        except (OSError, ValueError):
            return {}
        return document

    def wait(self, happened: Callable[[], object], seconds: float, what: str) -> None:
        """Return when something has happened.

        Raises:
            AssertionError: it has not, in all that time.
        """
        end = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}"
            time.sleep(0.5)

    def close(self) -> None:
        """End all hosts and remove what they have written."""
        self.netlab.down()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _install(self, host: int) -> None:
        """Give a host in a moment what `ray up` would install there in minutes.

        That is an environment of its own with this one's packages, but with the project as `ray up` copies it there.
        """
        place = self.home(host) / ".adept-search"
        packages = place / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
        for folder in (place / "bin", packages):
            folder.mkdir(parents=True)
        shutil.copy(Path(sys.prefix) / "pyvenv.cfg", place)
        (place / "bin" / "python").symlink_to(Path(sys.executable).resolve())
        for name in ("ray", "adept-search"):
            _, _, script = (Path(sys.prefix) / "bin" / name).read_text().partition("\n")
            (place / "bin" / name).write_text(f"#!/root/.adept-search/bin/python\n{script}")
            (place / "bin" / name).chmod(0o755)
        these = sysconfig.get_path("purelib")
        (packages / "host.pth").write_text(f"/root/adept-search\nimport site; site.addsitedir({these!r})\n")
        sums = [f"{hashlib.sha256((ROOT / name).read_bytes()).hexdigest()}  {name}\n" for name in REQUIREMENTS]
        (place / "installed").write_text("".join(sums))


def table(record: Mapping[str, Any]) -> list[Any]:
    """What a search has found, without when, where and in which order: every number of every report."""
    rows = [
        (trial["number"], trial["status"], [(one["step"], one["score"], one["train/loss"]) for one in trial["reports"]])
        for trial in record["trials"]
    ]
    return [*sorted(rows), record["test"]]


def said(done: subprocess.CompletedProcess[str]) -> str:
    """What a command of Ray's has printed, without Ray's own account of what it does."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout).splitlines()
    return "\n".join(line for line in lines if not re.search(r"\sV*(INFO|WARN) \w+\.py:\d+ -- ", line))
