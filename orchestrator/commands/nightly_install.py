"""What ``adept-search nightly install`` checks and prints."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.command_lines import command_line
from orchestrator.nights.clock.forms import Clock, Form, Installation, forms
from orchestrator.nights.clock.schedule import Schedule, read_schedule
from orchestrator.plan.settings import OUTPUT_VARIABLE, STORAGE_VARIABLE, default_output
from orchestrator.sweep.sweep_file import located, read_sweep
from sweeps import FOLDER
from trials.errors import UserError
from yaml_reader.home import from_home

NEEDED = re.compile(
    r"((MLFLOW_|RAY_|HF_|AWS_|AZURE_|GOOGLE_APPLICATION|ADEPT_|CUDA_VISIBLE|SSL_CERT_|REQUESTS_CA_|CURL_CA_).*"
    rf"|{OUTPUT_VARIABLE}|{STORAGE_VARIABLE}|(?i:(https?|all|no)_proxy))"
)
"""Variables that may matter to a night, and that no clock hands on."""

PLAIN = re.compile(r"""'[^']*'|"[^"$`\\]*"|[\w@%+=:,./^?*!#{}\[\]-]*""")
"""Values that a shell takes as they stand, or without the quotes around them."""

_LONGEST = 30  # letters of a name, of which Kubernetes' objects have 14 before it and may have 52
VOLUME = "/results/"
"""Where containers keep what lasts (docker/compose.yaml, docker/clusters)."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The options of the command, by their names."""

    sweep: str
    clocks: Sequence[Clock]
    at: str | None
    every: str | None
    schedule: str | None
    random_delay: int
    output: Path | None
    folder: Path | None
    environment: Path
    program: Path | None
    user: str
    out: Path | None


def write_forms(wanted: Wanted) -> int:
    """Check everything, then print the files of the clocks, or write them; the exit code."""
    problems: list[str] = []
    if not wanted.clocks:
        problems.append(f"no clock: give one or more of {', '.join(f'--{clock}' for clock in Clock)}")
    systemd_only = {"--random-delay": wanted.random_delay, "--user": wanted.user}
    if wanted.clocks and Clock.SYSTEMD not in wanted.clocks:
        problems += [f"{option} {value}: it goes with --systemd" for option, value in systemd_only.items() if value]
    if wanted.user and not re.fullmatch(r"[A-Za-z_][\w.-]{0,30}\$?", wanted.user):
        problems.append(f"--user {wanted.user}: it is no name of a user")
    schedule, program, files, wants = None, None, list[Form](), tuple[str, ...]()
    try:
        schedule = read_schedule(wanted.at, wanted.every, wanted.schedule)
    except UserError as error:
        problems += error.problems
    try:
        program = _program(wanted.program)
    except UserError as error:
        problems += error.problems
    for clock in wanted.clocks:
        try:
            sweep, wants = _sweep(wanted.sweep, clock)
            if schedule is not None and program is not None:
                it = _installation(wanted, sweep, schedule, program, wants)
                files += forms(clock, it, _again(wanted, it, clock))
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(list(dict.fromkeys(problems)))
    if wanted.out is None:
        for form in files:
            heading = f"# ---- {form.name}\n" if len(files) > 1 else ""
            print(heading + form.text, end="")
    else:
        wanted.out.mkdir(parents=True, exist_ok=True)
        for form in files:
            (wanted.out / form.name).write_text(form.text, encoding="utf-8")
            print(f"{wanted.out / form.name}: its first lines say where it goes")
    if any(clock.is_here for clock in wanted.clocks):
        for note in _notes(from_home(wanted.environment).absolute(), wants, Clock.CRON in wanted.clocks):
            print(f"note: {note}", file=sys.stderr)
    return 0


def _program(given: Path | None) -> tuple[str, ...]:
    """The command, as absolute words: the one given, that of this environment, or this clone's script."""
    if given is not None:
        if not given.is_absolute():
            raise UserError([f"--program {given}: a clock needs its whole path, such as {given.absolute()}"])
        return (str(given),)
    python = Path(sys.executable)
    script = python.parent / "adept-search"
    if script.exists():
        return (str(script),)
    clone = Path(__file__).parents[1] / "command.py"
    return (str(python), str(clone))


def _sweep(text: str, clock: Clock) -> tuple[str, tuple[str, ...]]:
    """What the night's command is given, and the variables from which its notifications take secrets.

    Raises:
        UserError: there is no such sweep, something in it is wrong, or the clock's machine would not find it.
    """
    in_volume = clock in (Clock.COMPOSE, Clock.KUBERNETES)
    if in_volume and text.startswith(VOLUME):
        return text, ()
    path = located(text)
    if path.parent == FOLDER:  # it comes with the project, and is known by its name wherever that is installed
        return path.stem, ()
    notify = read_sweep(path).notify  # what is wrong in it is better known now than at night
    variables = tuple(name for name in (notify.webhook, notify.smtp) if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name))
    if clock.is_here:
        return str(path), variables
    if in_volume:
        raise UserError(
            [
                f"--{clock}: {text} is on this machine, and containers do not see it: put it with its tasks and spaces "
                f"into their volume, and give its path there, such as {VOLUME}{path.name}"
            ]
        )
    for folder in path.parents:
        if (folder / ".git").exists():
            return path.relative_to(folder).as_posix(), variables
    raise UserError([f"--{clock}: {text} is in no repository: put it into the one whose workflow this will be"])


def _installation(
    wanted: Wanted, sweep: str, schedule: Schedule, program: tuple[str, ...], variables: tuple[str, ...]
) -> Installation:
    name = Path(sweep).stem if "/" in sweep or sweep.endswith((".yaml", ".yml")) else sweep
    return Installation(
        sweep=sweep,
        name=name,
        slug=_slug(name),
        schedule=schedule,
        program=program,
        folder=from_home(wanted.folder or Path()).absolute(),
        output=from_home(wanted.output or default_output()).absolute(),
        environment=from_home(wanted.environment).absolute(),
        user=wanted.user,
        random_delay=wanted.random_delay,
        variables=variables,
    )


def _slug(name: str) -> str:
    """A sweep's name as units and Kubernetes' objects may be called; of a long one a beginning that is its own."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "sweep"
    if len(slug) <= _LONGEST:
        return slug
    return f"{slug[: _LONGEST - 7].strip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def _again(wanted: Wanted, it: Installation, clock: Clock) -> str:
    """The command that prints a clock's files again, from any folder."""
    times = {"schedule": it.schedule.cron} if wanted.schedule else {"at": wanted.at, "every": wanted.every}
    here = {"output": it.output, "folder": it.folder, "program": wanted.program} if clock.is_here else {}
    systemd = {"random_delay": str(it.random_delay) if it.random_delay else None, "user": it.user or None}
    return command_line(
        "nightly", "install", it.sweep, f"--{clock}", **times, **(systemd if clock is Clock.SYSTEMD else {}),
        **here, environment=it.environment if clock.is_here or clock is Clock.COMPOSE else None,
    )  # fmt: skip


def _notes(environment: Path, variables: Sequence[str], by_shell: bool) -> list[str]:
    """What a clock of this machine will not have, and who may read the file that it has it from; no values.

    Args:
        variables: those that the sweep's notifications take secrets from. by_shell: whether a shell reads the file.
    """
    found: list[str] = []
    there: dict[str, str] = {}
    try:
        lines = environment.read_text(encoding="utf-8", errors="replace").splitlines()
        pairs = (line.partition("=") for line in lines if "=" in line and not line.lstrip().startswith("#"))
        there = {name.strip().removeprefix("export ").strip(): value.strip() for name, _, value in pairs}
        if stat.S_IMODE(environment.stat().st_mode) & 0o077:
            found.append(f"{environment} can be read by others: chmod 600 {environment}")
    except OSError:
        pass
    if by_shell and (odd := sorted(name for name, value in there.items() if not PLAIN.fullmatch(value))):
        found.append(
            f"cron has a shell read {environment}, to which signs such as & and $ are commands: write NAME='VALUE' for "
            f"{', '.join(odd)}"
        )
    if missing := sorted(name for name in os.environ if NEEDED.fullmatch(name) and name not in there):
        found.append(
            f"set here, and not for a clock unless {environment} has them (NAME=VALUE, mode 600): {', '.join(missing)}"
        )
    if lacking := [name for name in variables if name not in (*there, *missing)]:
        found.append(
            f"the sweep's notifications want {', '.join(lacking)}, and each night is refused as long as {environment} "
            "has no such lines (NAME=VALUE, mode 600)"
        )
    return found
