"""What is wrong with a cluster, or with what is asked of it: one clear message, and an exit code that is not 0."""

from __future__ import annotations

import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import hosts
from tests.cluster.lab import MINUTE, Hosts, said

pytestmark = pytest.mark.cluster

AHEAD = "import time; time.time = (lambda real: lambda: real() + 600)(time.time)\n"
NOBODY = "10.77.0.99"  # an address of the hosts' network that none of them has


@pytest.fixture(scope="module")
def cluster() -> Iterator[Hosts]:
    """Three hosts; the second has a small disk for temporary files, the clock of the third is ten minutes ahead."""
    with hosts("bad", 3) as made:
        made.netlab.run(2, ["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", "/tmp"])
        packages = next((made.home(3) / ".adept-search" / "lib").glob("python*/site-packages"))
        (packages / "clock.pth").write_text(AHEAD)  # run by every Python there as it starts
        made.up()
        made.wait_for_hosts(3)
        yield made


def small(cluster: Hosts, name: str) -> list[str]:
    task = cluster.storage / "task"
    where = ["--task", str(task / "task.yaml"), "--space", str(task / "space.yaml"), "--backbone", "t5-nano"]
    where += ["--precision", "float32"]
    return [*where, "--name", name, "--samples", "2", "--steps", "2", "--eval-every", "2", "--scheduler", "none"]


def test_hosts_that_cannot_take_part_are_named_all_at_once(cluster: Hosts) -> None:
    """A small disk on the second host; on the third another state of the project, and a package that is missing."""
    changed = cluster.home(3) / "adept-search" / "trials" / "stack" / "step.py"
    as_it_was = changed.read_bytes()
    changed.write_bytes(as_it_was + b"# changed\n")
    refused = cluster.submit(*small(cluster, "mixed"))
    changed.write_bytes(as_it_was)
    assert refused.returncode == 1 and "Traceback" not in refused.stdout, said(refused)
    second, third = (f"host {cluster.netlab.ip(host)}: " for host in (2, 3))
    assert f"{second}" in refused.stdout and "MB are free in /tmp" in refused.stdout, said(refused)
    assert f"{third}our packages have other files there" in refused.stdout, said(refused)

    package = next(Path(sysconfig.get_path("purelib")).glob("safetensors-*.dist-info"))
    cluster.netlab.run(3, ["mount", "-t", "tmpfs", "tmpfs", str(package)])
    refused = cluster.submit(*small(cluster, "mixed"))
    cluster.netlab.run(3, ["umount", str(package)])
    assert refused.returncode == 1 and "Traceback" not in refused.stdout, said(refused)
    assert f"{third}safetensors is not installed there" in refused.stdout, said(refused)
    assert not any(trial["reports"] for trial in cluster.record("mixed").get("trials", [])), "a trial was started"

    cluster.netlab.run(2, ["mount", "-o", "remount,size=2g", "/tmp"])  # all is well again, but for the clock
    done = cluster.submit(*small(cluster, "mixed"))
    assert done.returncode == 0 and "Winner" in done.stdout, said(done)
    assert f"{third}its clock is" in done.stdout, said(done)


def test_storage_that_cannot_be_written(cluster: Hosts) -> None:
    shared = str(cluster.storage)
    cluster.netlab.run(1, ["mount", "-o", "remount,ro,bind", shared])
    refused = cluster.submit(*small(cluster, "readonly"))
    cluster.netlab.run(1, ["mount", "-o", "remount,rw,bind", shared])
    assert refused.returncode == 1 and "Traceback" not in refused.stdout
    assert f"--output {shared}/runs: cannot write to {shared}/runs (Read-only file system)" in refused.stdout


def test_a_wrong_key(cluster: Hosts) -> None:
    wrong = cluster.laptop / "wrong"
    wrong.write_text("no key\n")
    wrong.chmod(0o600)
    cluster.write_yaml(ssh_private_key=str(wrong))
    for connections in (cluster.laptop / "tmp").glob("ray_ssh_*"):  # else ssh goes on with one of a moment ago
        shutil.rmtree(connections)
    refused = cluster.submit(*small(cluster, "key"))
    cluster.write_yaml()
    assert refused.returncode == 1
    assert "Permission denied (publickey" in refused.stdout, said(refused)


def test_a_head_that_is_down(cluster: Hosts) -> None:
    cluster.netlab.kill(1)
    refused = cluster.submit(*small(cluster, "down"), seconds=5 * MINUTE)
    assert refused.returncode == 1
    assert f"connect to host {cluster.netlab.ip(1)} port 22" in refused.stdout, said(refused)


def test_a_shared_folder_that_is_not_there_ends_ray_up(cluster: Hosts) -> None:
    cluster.netlab.boot(1)
    cluster.write_yaml(ADEPT_OUTPUT="/mnt/nowhere")
    refused = cluster.ray("up", "-y", "--no-restart", str(cluster.yaml))
    cluster.write_yaml()
    assert refused.returncode == 1
    assert "cannot write to /mnt/nowhere: mount the shared folder there" in refused.stdout, said(refused)


def test_a_wrong_head_address(cluster: Hosts) -> None:
    cluster.write_yaml(head_ip=NOBODY)
    refused = cluster.submit(*small(cluster, "head"))
    assert refused.returncode == 1 and "Head node of cluster (adept) not found!" in refused.stdout, said(refused)
