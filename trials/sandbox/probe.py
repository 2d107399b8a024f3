"""What a sandbox is tried with before it is trusted: a program that reaches for everything it must not get."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

from trials.sandbox.base import Sandbox
from trials.sandbox.limits import Limits
from trials.sandbox.run import Check, judge

ATTEMPTS = """
import os

def plain(x):
    return [x, x * 0.5, str(x)]

def attempt(what, folder, port, pid):
    try:
        found = globals()[what](folder, port, pid)
    except BaseException as error:
        return "refused"
    return found

def read_a_file(folder, port, pid):
    return open(folder + "/secret").read()

def list_a_folder(folder, port, pid):
    return os.listdir(folder)

def write_a_file(folder, port, pid):
    return open(folder + "/written", "w").write("x")

def remove_a_file(folder, port, pid):
    return os.remove(folder + "/secret")

def change_the_rights_of_a_file(folder, port, pid):
    return os.chmod(folder + "/secret", 0o777)

def follow_a_link(folder, port, pid):
    os.symlink(folder + "/secret", "link")
    return open("link").read()

def use_the_network(folder, port, pid):
    import socket
    return socket.create_connection(("127.0.0.1", port), 1).recv(1).decode()

def start_a_process(folder, port, pid):
    return os.fork() or os._exit(0)

def start_a_thread(folder, port, pid):
    import _thread
    return _thread.start_new_thread(int, ())

def run_a_command(folder, port, pid):
    return os.execv("/bin/true", ["true"])

def signal_a_process(folder, port, pid):
    return [os.kill(one, 0) for one in (pid, os.getppid())]

def have_the_kernel_signal_a_process(folder, port, pid):
    import fcntl
    return fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, pid)

def read_the_environment_of_a_process(folder, port, pid):
    return open(f"/proc/{pid}/environ").read()

def raise_a_limit(folder, port, pid):
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    return resource.setrlimit(resource.RLIMIT_AS, (2 * hard, 2 * hard))

def take_memory(folder, port, pid):
    return len(bytearray(1 << 30))

def write_much(folder, port, pid):
    import signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    return open("much", "wb").write(bytes(64 << 20))
"""
NAMES = tuple(line[4:].split("(")[0] for line in ATTEMPTS.splitlines() if line.startswith("def ") and "pid" in line)[1:]
"""Each attempt by its function's name."""


def problem_of(sandbox: Sandbox, limits: Limits | None = None) -> str:
    """Try a sandbox on this machine: why it cannot be trusted, or empty where it runs programs and holds them."""
    try:
        with tempfile.TemporaryDirectory() as name, socket.create_server(("127.0.0.1", 0)) as server:
            folder = Path(name)
            folder.chmod(0o777)
            (folder / "secret").write_text("secret")
            (folder / "secret").chmod(0o666)
            facts = (name, server.getsockname()[1], os.getpid())
            tests = [f"assert attempt({what!r}, *{facts!r}) == 'refused'" for what in NAMES]
            check = Check(
                ATTEMPTS,
                ("assert plain(3) == [3, 1.5, '3'], 'it does not compute'", *tests),
                ("plain", "attempt"),
            )
            verdict = judge(sandbox, check, limits)
            whole = (folder / "secret").exists() and not (folder / "written").exists()
    except OSError as error:
        return f"cannot be started ({error})"
    if verdict.passed and whole:
        return ""
    allowed = next((what for what in NAMES if repr(what) in verdict.why), "remove_a_file" if verdict.passed else None)
    if allowed is not None:
        return f"lets a program {allowed.replace('_', ' ')}"
    return f"runs no program: {verdict.why}"
