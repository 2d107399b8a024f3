"""``adept-search watch`` and ``adept-search stop``: a search that runs in another process, on this host."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.command_lines import resume_command
from orchestrator.commands.messages import with_messages
from orchestrator.commands.options import Output
from orchestrator.plan.settings import default_output
from orchestrator.store.layout import find_search
from orchestrator.store.lock import running_owner
from orchestrator.store.log import LOG, follow, last_lines
from trials.errors import UserError

Name = Annotated[str, typer.Argument(help="name of the search", metavar="NAME")]
STOP_SECONDS = 120.0


def watch(
    name: Name,
    output: Output = None,
    lines: Annotated[int, typer.Option(min=0, metavar="N", help="of its earlier lines, the last N")] = 20,
) -> None:
    """Watch: show what a search prints until it ends. Ctrl-C ends the display alone, and the search goes on."""
    with_messages(lambda: show(name, output, lines))


def stop(name: Name, output: Output = None) -> None:
    """Stop: end a search as Ctrl-C does: everything is kept, and `adept-search resume NAME` goes on with it."""
    with_messages(lambda: interrupt(name, output))


def show(name: str, output: Path | None, lines: int) -> int:
    """Follow the log of a search; the exit code."""
    output = output or default_output()
    folder = find_search(name, output, sign=LOG)
    log = folder / LOG
    try:
        follow(log, lambda: running_owner(folder) is None, sys.stdout, last_lines(log, lines))
    except KeyboardInterrupt:
        print(f"\nthe display has ended; search {name} goes on")
        return 0
    command = resume_command(name, output)
    print(f"search {name} is not running. The same command goes on with it or prints its table: {command}")
    return 0


def interrupt(name: str, output: Path | None) -> int:
    """Ask a search to end, and wait until it has; the exit code."""
    output = output or default_output()
    folder = find_search(name, output, sign=LOG)
    owner = running_owner(folder)
    if owner is None:
        print(f"search {name} is not running; nothing to stop")
        return 0
    if not owner.is_here:
        raise UserError([f"{name}: it runs elsewhere ({owner}); give this command on {owner.host}"])
    try:
        os.kill(owner.pid, signal.SIGINT)  # what Ctrl-C sends
    except PermissionError:
        raise UserError([f"{name}: {owner} is another user's; ask for it to be stopped"]) from None
    except ProcessLookupError:  # it has just ended
        pass
    end = time.monotonic() + STOP_SECONDS
    while (now := running_owner(folder)) is not None and now.token == owner.token:
        if time.monotonic() > end:
            print(f"search {name} was asked to stop and has not yet ({now}); give the command again to end it at once")
            return 1
        time.sleep(0.2)
    print(f"search {name} has stopped; all it has done is kept. Go on with it: {resume_command(name, output)}")
    return 0
