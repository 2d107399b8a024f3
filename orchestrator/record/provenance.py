"""What a reader needs to trust a result or to repeat it: the code, the packages, the hardware and the command.

Nothing here names the host or holds a secret: the answer goes into MLflow tags and into records that are published.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

import psutil

from orchestrator.record.secrecy import shown_command

DISTRIBUTION = "adept-search"
PACKAGES = ("ray", "torch", "transformers", "datasets", "mlflow", "optuna", "numpy", DISTRIBUTION)

CPUINFO = Path("/proc/cpuinfo")
_VECTORS = ("avx", "amx", "fma", "asimd", "fphp", "sve", "sme", "bf16", "i8mm")  # x86's and ARM's

_CHECKOUT = Path(__file__).resolve().parents[2]


def collect(
    command: Sequence[str] | None = None,
    hardware: Mapping[str, str] | None = None,
    checkout: Path = _CHECKOUT,
) -> dict[str, str]:
    """Describe the process that asks: one flat dict of short strings, a key for each fact that could be found out.

    Args:
        command: the command line as a list; the one of this process where it is left out.
        hardware: what stands for the hardware in place of this machine's (a driver often sits beside no accelerator,
            while its trials do).
        checkout: folder that ``git_commit`` is taken from, where it is the top of a git checkout.

    Returns:
        ``git_commit`` (with ``-dirty`` where tracked files differ; absent outside git), ``version/<package>`` for each
        package that is installed, ``python``, ``platform``, ``cpu``, ``memory``, ``gpu`` (absent where there is none)
        and ``command``.
    """
    facts = {
        "git_commit": _git_commit(checkout),
        **{f"version/{name}": version_of(name) for name in PACKAGES},
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        **(describe_hardware() if hardware is None else hardware),
        "command": shown_command(sys.argv if command is None else command),
    }
    return {name: fact for name, fact in facts.items() if fact}


def describe_hardware() -> dict[str, str]:
    """``cpu`` (model, usable cores), ``memory`` (GiB) and ``gpu`` (names, memory) of this machine, never its name."""
    memory = f"{psutil.virtual_memory().total / 2**30:.1f} GiB"
    facts = {"cpu": f"{_cpu_model()}, {_usable_cores()} cores", "memory": memory, "gpu": _gpus()}
    return {name: fact for name, fact in facts.items() if fact}


def vector_units() -> str:
    """What this machine's processor multiplies with, such as ``avx2 avx512_bf16``; empty where it does not say.

    Two processors that a virtual machine gives one name ("AMD EPYC") may differ in nothing else that can be seen.
    """
    flags = (_cpuinfo("flags") or _cpuinfo("Features")).split()
    return " ".join(sorted(flag for flag in flags if flag.startswith(_VECTORS)))


def _git_commit(checkout: Path) -> str:
    top = _output(["git", "-C", str(checkout), "rev-parse", "--show-toplevel"])
    # An environment inside another project's checkout must not lend us that project's commit.
    if not top or Path(top).resolve() != checkout.resolve():
        return ""
    commit = _output(["git", "-C", str(checkout), "rev-parse", "--verify", "--quiet", "HEAD"])
    if not commit:
        return ""
    changed = _output(["git", "-C", str(checkout), "status", "--porcelain", "--untracked-files=no"])
    return f"{commit}-dirty" if changed else commit


def _output(command: Sequence[str], seconds: float = 10.0) -> str:
    # git's own variables, which a hook sets, would point it to another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=environment, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def version_of(distribution: str) -> str:
    """The installed version of a distribution; empty where it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _cpuinfo(name: str) -> str:
    """What the kernel says of the first processor; empty where it says nothing."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # no Linux
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name), "")


def _cpu_model() -> str:
    model = _cpuinfo("model name")
    return model or _output(["sysctl", "-n", "machdep.cpu.brand_string"]) or platform.machine()


def _usable_cores() -> int:
    # The affinity mask is smaller than the machine inside a container or under a job scheduler.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _gpus() -> str:
    rows = _output(["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]).splitlines()
    kinds = Counter(" ".join(row.split()) for row in rows if row.strip())
    return "; ".join(f"{count} x {kind}" for kind, count in kinds.items())
