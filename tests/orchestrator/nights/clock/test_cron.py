"""Debian's cron begins a night, with what cron gives a command and no more."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from mlflow import MlflowClient

from orchestrator.nights.history import History
from tests.commands import adept
from tests.faults.small_search import MARK, make_task
from tests.faults.victims import left_behind
from tests.orchestrator.nights.receivers import Hook, MailServer, running

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
MINUTE = 60.0
SWEEP = """
about: one search of a few steps
tasks: [task.yaml]
methods: [adept]
backbones: [t5-nano]
options: {space: space.yaml, samples: 2, steps: 4, eval_every: 2, scheduler: none, devices: 1, max_concurrent: 2}
champions: yes
notify: {when: always, webhook: NIGHT_HOOK, mail_to: [ada@example.org], mail_from: night@example.org, smtp: NIGHT_SMTP}
"""


def missing() -> str:
    """Why there can be no cron here; empty where there can."""
    absent = [name for name in ("cron", "crontab") if shutil.which(name, path=PATH) is None]
    if absent:
        return f"{' and '.join(absent)} not installed (Debian: cron)"
    return "" if os.geteuid() == 0 else "a user and a daemon can be made by root alone"


pytestmark = [pytest.mark.cluster, pytest.mark.skipif(bool(missing()), reason=missing())]


@contextmanager
def crontab(lines: str) -> Iterator[None]:
    """A user with this crontab, and a daemon that looks at it, unless one runs.

    The user's number is root's: where the interpreter lies in a folder of root's, nobody else can run it.
    """
    user = f"adept-cron-{os.getpid()}"
    home = ["--home-dir", "/nonexistent", "--no-create-home", "--shell", "/bin/sh"]
    call("useradd", "--non-unique", "--uid", "0", "--gid", "0", *home, user)
    daemon = None
    try:
        call("crontab", "-u", user, "-", given=lines)
        daemon = subprocess.Popen([str(shutil.which("cron", path=PATH)), "-f"], start_new_session=True)
        yield
    finally:
        subprocess.run([str(shutil.which("crontab")), "-u", user, "-r"], check=False)
        if daemon is not None:
            with suppress(ProcessLookupError):  # it ends at once where one runs already
                os.killpg(daemon.pid, signal.SIGTERM)
            daemon.wait()
        call("userdel", "--force", user)  # though processes of that number, root's, run


def call(program: str, *arguments: str, given: str = "") -> None:
    found = shutil.which(program, path=PATH) or program
    done = subprocess.run([found, *arguments], input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{program}: {done.stderr}"


def wait(happened: Callable[[], object], seconds: float, what: Callable[[], str]) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, what()
        time.sleep(0.5)


def test_cron_begins_a_night_that_leaves_all_it_should(tmp_path: Path) -> None:
    folder = tmp_path / "one night's 100%"
    make_task(folder / "sweeps")
    (folder / "sweeps" / "small.yaml").write_text(SWEEP)
    (folder / "elsewhere").mkdir()
    runs, environment, mark = folder / "runs", folder / "nightly.env", uuid.uuid4().hex
    with running(Hook()) as hook, running(MailServer()) as mail:
        environment.write_text(
            f"NIGHT_HOOK={hook.url}/night\nNIGHT_SMTP=smtp://{mail.place}\nADEPT_CACHE={shlex.quote(f'{folder}/cache')}\n"
            f"{MARK}={mark}\nHF_HUB_OFFLINE=1\nRAY_AUTH_MODE=disabled\nHOME={shlex.quote(str(folder))}\n"
        )
        environment.chmod(0o600)
        options = {"output": runs, "folder": folder / "elsewhere", "environment": environment}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        sweep = str(folder / "sweeps" / "small.yaml")
        lines = adept(folder, "nightly", "install", sweep, "--cron", "--schedule", "* * * * *", *words)
        log = runs / "nightly-small.log"

        def told() -> str:
            return log.read_text() if log.exists() else "cron has begun nothing"

        try:
            with crontab("".join(line for line in lines.splitlines(True) if not line.startswith("note: "))):
                wait(log.exists, 2 * MINUTE, told)
                wait(lambda: hook.got and mail.mails, 9 * MINUTE, told)
            wait(lambda: not left_behind(mark), MINUTE, told)
        finally:
            for process in left_behind(mark):
                process.kill()
    nights = History(runs / "history").nights("small")
    assert len(nights) == 1 and nights[0].cells[0].score is not None, told()
    assert hook.paths[0] == "/night" and "small" in str(hook.got[0])
    assert mail.mails[0]["to"] == "ada@example.org"
    assert (runs / "small" / "history.html").is_file() and list(runs.glob("small/*/*/report.html"))
    registry = MlflowClient(f"sqlite:///{folder / 'elsewhere' / 'mlflow.db'}")
    (model,) = registry.search_registered_models()
    assert model.name == "adept-chaos-t5-nano" and "champion" in model.aliases
    assert told().count("2 finished of 2 trials") == 1, "cron began another one every minute, and each ended at once"
