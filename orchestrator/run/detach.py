"""A search, or many, in a process of its own, so that it outlives the connection by which it was asked for.

`ray submit` and `ray exec` run a command in the foreground of an ssh session. When the connection drops, the session's
processes get SIGHUP and their output has nobody to read it, and a search of hours would end with it. So on a cluster's
head the command starts the search in a session of its own, with the search's log as its output, and shows that log.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from orchestrator.command_lines import command_line
from orchestrator.plan.former_defaults import as_begun
from orchestrator.plan.plan import Plan
from orchestrator.plan.search_folder import SearchFolder
from orchestrator.store.lock import running_owner
from orchestrator.store.log import LOG, WIDTH, follow, heading
from orchestrator.tune.cluster import is_on_head
from trials.errors import UserError

DETACHED = "ADEPT_DETACHED"
"""Set for the process that runs the search."""

JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray for what `ray job submit` starts (ray._private.runtime_env.constants)."""


def is_wanted() -> bool:
    """Whether a search that is asked for here would end with an ssh connection.

    It would on a host that `ray up` made the head of a cluster; there `ray job submit` alone starts processes that no
    connection holds.
    """
    own = DETACHED in os.environ or JOB in os.environ
    return is_on_head() and not own


def run_detached(plan: Plan, arguments: list[str], console: Console, quiet: bool = False) -> int:
    """Start a search in a process of its own, or find the one that runs it here, and show its log up to its end.

    Args:
        arguments: of ``adept-search search``.
        quiet: show the log alone.

    Returns:
        The search's exit code; 0 where Ctrl-C ended the display alone, or where another command had started it.

    Raises:
        UserError: the folder belongs to a search with other settings, or cannot be written.
        StorageError: the storage was away for too long.
    """
    plan = as_begun(plan, in_storage=True)  # the search's process asks there, and its name and folder follow from it
    SearchFolder(plan.folder).previous(plan)
    log = plan.folder / LOG
    known = running_owner(plan.folder)
    if known is not None and not known.is_here:
        known = None  # the search's own lock asks whether it lives, and says so if it does
    child: subprocess.Popen[bytes] | None = None
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as stream:
            if known is None:
                stream.write(heading())
        start = log.stat().st_size
        if known is None:
            child = begin(["search", *arguments], log)
    except OSError as error:
        raise UserError([f"{plan.folder} cannot be written ({error.strerror}); name another --output"]) from error
    if not quiet:
        how = f"runs already ({known}), nothing was started;" if known else "runs in a process of its own;"
        console.print(
            f"Search {plan.name} {how} this is its log, {log}\n"
            "A lost connection or Ctrl-C ends this display alone, not the search. From your machine:\n"
            f"  {from_afar('watch', plan)}\n"
            f"  {from_afar('stop', plan)}",
            soft_wrap=True,
        )
    try:
        if child is not None:
            begun = child
            follow(log, lambda: begun.poll() is not None, sys.stdout, start)
            return begun.returncode
        follow(log, lambda: running_owner(plan.folder) is None, sys.stdout, start)
    except KeyboardInterrupt:
        console.print(f"the display has ended; search {plan.name} goes on")
    return 0


def run_command_detached(arguments: list[str], log: Path, what: str, console: Console) -> int:
    """Start a command of many searches in a process of its own, and show its log up to its end.

    Args:
        arguments: of ``adept-search``, the command first. log: the file that it writes. what: it is, in words.

    Returns:
        The command's exit code; 0 where Ctrl-C ended the display alone.

    Raises:
        UserError: the log cannot be written.
    """
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as stream:
            stream.write(heading())
        start = log.stat().st_size
        child = begin(arguments, log)
    except OSError as error:
        raise UserError([f"{log} cannot be written ({error.strerror}); name another --output"]) from error
    console.print(
        f"{what} runs in a process of its own ({child.pid}); this is its log, {log}\n"
        "A lost connection or Ctrl-C ends this display alone. From your machine:\n"
        f"  {shlex.join(['ray', 'exec', 'cluster.yaml', f'tail -f {shlex.quote(str(log))}'])}\n"
        f"  {shlex.join(['ray', 'exec', 'cluster.yaml', f'kill -INT {child.pid}'])}",
        soft_wrap=True,
    )
    try:
        follow(log, lambda: child.poll() is not None, sys.stdout, start)
    except KeyboardInterrupt:
        console.print(f"the display has ended; {what} goes on")
        return 0
    return child.returncode


def begin(arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
    """A command as the leader of a session without a terminal."""
    environment = {**os.environ, DETACHED: "1", "COLUMNS": str(WIDTH), "PYTHONUNBUFFERED": "1"}
    with log.open("ab") as output:
        return subprocess.Popen(
            command(arguments),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=environment,
        )


def from_afar(what: str, plan: Plan) -> str:
    """What to type on one's own machine, beside the cluster file, to give the head a command about the search."""
    return shlex.join(["ray", "exec", "cluster.yaml", command_line(what, plan.name, output=plan.folder.parent)])


def command(arguments: list[str]) -> list[str]:
    """The installed command, whatever script this is."""
    return [sys.executable, "-m", "orchestrator", *arguments]
