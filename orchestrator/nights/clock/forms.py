"""What the clocks that users have want: a crontab's line, systemd's units, files for compose, Kubernetes and GitHub."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

import jinja2

from orchestrator.nights.clock.schedule import Schedule
from trials.errors import UserError

LONGEST_LINE = 990  # bytes of a command: Debian's cron takes fewer than 1,000 (MAX_COMMAND)


class Clock(StrEnum):
    """A clock that a machine or a cluster has; the name of its option."""

    CRON = "cron"
    SYSTEMD = "systemd"
    COMPOSE = "compose"
    KUBERNETES = "kubernetes"
    GITHUB = "github"

    @property
    def is_here(self) -> bool:
        """Whether it starts the night on this machine, with this machine's paths."""
        return self in (Clock.CRON, Clock.SYSTEMD)


@dataclass(frozen=True, kw_only=True)
class Installation:
    """A night to be started by a clock.

    Attributes:
        sweep: what the command is given: a name, or an absolute path.
        name: the sweep's. slug: the same as names of units and of Kubernetes' objects may be.
        schedule: when.
        program: the command before ``nightly``, each word by itself, with absolute paths.
        folder: the working folder. output: the folder for results. environment: a file with lines ``NAME=VALUE``.
        user: of a unit of the whole system; empty for one's own.
        random_delay: minutes, up to which systemd waits.
        variables: of the environment, from which notifications take their secrets.
    """

    sweep: str
    name: str
    slug: str
    schedule: Schedule
    program: tuple[str, ...]
    folder: Path
    output: Path
    environment: Path
    user: str = ""
    random_delay: int = 0
    variables: Sequence[str] = ()

    @property
    def unit(self) -> str:
        """The name of everything that is made for it."""
        return f"adept-nightly-{self.slug}"

    @property
    def log(self) -> Path:
        """Where a crontab's line writes."""
        return self.output / f"nightly-{self.slug}.log"

    @property
    def path(self) -> str:
        """A PATH with the program's own folder first: cron's holds /usr/bin and /bin alone."""
        return f"{Path(self.program[0]).parent}:/usr/local/bin:/usr/bin:/bin"

    @property
    def command(self) -> list[str]:
        """The night, with absolute paths."""
        return [*self.program, "nightly", self.sweep, "--output", str(self.output)]


@dataclass(frozen=True)
class Form:
    """One file of a clock."""

    name: str
    text: str


def forms(clock: Clock, it: Installation, again: str) -> list[Form]:
    """The files of a clock.

    Args:
        again: the command that prints them, for a comment in each.

    Raises:
        UserError: a path in them cannot stand there.
    """
    made = {
        Clock.CRON: [("crontab", "crontab")],
        Clock.SYSTEMD: [("service", f"{it.unit}.service"), ("timer", f"{it.unit}.timer")],
        Clock.COMPOSE: [("compose", "compose.yaml")],
        Clock.KUBERNETES: [("kubernetes", "kubernetes.yaml")],
        Clock.GITHUB: [("github", f"nightly-{it.slug}.yaml")],
    }[clock]
    written = [it.sweep, *it.program, str(it.folder), str(it.output), str(it.environment)]
    if wrong := [text for text in written if not text.isprintable()]:
        raise UserError([f"{text!r}: no {clock} can have a name with a line break in it" for text in wrong])
    line = crontab_line(it) if clock is Clock.CRON else ""
    return [
        Form(name, _environment().get_template(f"{template}.jinja").render(it=it, again=again, line=line))
        for template, name in made
    ]


def crontab_line(it: Installation) -> str:
    """One line for crontab(5): there a % ends the command, unless a backslash is before it.

    Raises:
        UserError: cron would not take a line of that length.
    """
    environment = shlex.quote(str(it.environment))
    steps = [
        shlex.join(["mkdir", "-p", str(it.output)]),
        f"exec >> {shlex.quote(str(it.log))} 2>&1",  # what goes wrong before the night begins is in the log, too
        shlex.join(["cd", str(it.folder)]),
        f"export {shlex.join([f'PATH={it.path}'])}",
        "set -a",
        f"{{ ! test -r {environment} || . {environment}; }}",
        "set +a",
        f"exec {shlex.join(it.command)}",
    ]
    command = " && ".join(steps).replace("%", r"\%")
    if (length := len(command.encode())) > LONGEST_LINE:
        raise UserError(
            [
                f"--cron: the line's command has {length} bytes, and cron takes {LONGEST_LINE}; use --systemd, or "
                "shorter paths in --output, --folder and --environment"
            ]
        )
    return f"{it.schedule.cron} {command}"


def for_unit(text: str) -> str:
    """One word of a unit file (systemd.syntax(7)): quoted where it has to be, with ``%`` doubled."""
    escaped = specifiers(text.replace("\\", "\\\\").replace('"', '\\"'))
    return escaped if text and not set(text) & set(" \t;'\"\\") else f'"{escaped}"'


def for_exec(text: str) -> str:
    """One word of ``ExecStart=``, in which ``$`` would be a variable."""
    return for_unit(text).replace("$", "$$")


def specifiers(value: str | Path) -> str:
    """A value that is the whole rest of a unit's line."""
    return str(value).replace("%", "%%")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "templates"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
    )
    environment.filters |= {
        "sh": shlex.quote,
        "text": lambda value: json.dumps(str(value)),  # a text of YAML, too
        "unit": for_unit,
        "exec": for_exec,
        "specifiers": specifiers,
    }
    return environment
