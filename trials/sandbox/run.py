"""One program and its tests, from start to verdict: two sandboxed processes, and nothing that they leave behind."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from trials.sandbox.base import ENVIRONMENT, Sandbox
from trials.sandbox.limits import Limits

End = Literal["passed", "failed", "out of time", "waited too long"]
_LONGEST_VERDICT = 8_192
_SLOWER = 3
"""The checker's processor time, as a multiple of the program's; it computes little, and waits."""


@dataclass(frozen=True)
class Check:
    """A program and what has to hold of it.

    Attributes:
        program: its text.
        tests: statements, such as ``assert f(2) == 4``; each has to hold.
        names: what the tests use of the program's; every other name in them is Python's own, whatever the program does.
        setup: statements before the tests.
    """

    program: str
    tests: tuple[str, ...]
    names: tuple[str, ...]
    setup: str = ""

    @classmethod
    def of(cls, problem: str, answer: str) -> Check:
        """The check of an answer to a problem, which is JSON: prompt, tests, names, setup."""
        found = json.loads(problem)
        return cls(found["prompt"] + answer, tuple(found["tests"]), tuple(found["names"]), found["setup"])


@dataclass(frozen=True)
class Verdict:
    """How it ended.

    Attributes:
        end: "out of time" is of the processor and the same on every machine of that speed; "waited too long" is not.
        why: what did not hold, or what went wrong; it may quote the program.
    """

    end: End
    why: str = ""

    @property
    def passed(self) -> bool:
        """Whether all tests hold."""
        return self.end == "passed"


def judge(sandbox: Sandbox, check: Check, limits: Limits | None = None) -> Verdict:
    """Run a program against its tests. Nothing that it does makes this raise, or take longer than the limits."""
    limits = limits or Limits()
    with tempfile.TemporaryFile() as file:
        file.write(json.dumps(asdict(check)).encode())
        file.seek(0)
        to_program, from_checker = os.pipe()[::-1]
        answers, from_program = os.pipe()
        longer = Limits(**{**asdict(limits), "cpu_seconds": _SLOWER * limits.cpu_seconds})
        program = checker = None
        try:
            program = _start(sandbox.command("program", limits), from_checker, from_program)
            command = sandbox.command("checker", longer, (to_program, answers))
            checker = _start(command, file.fileno(), subprocess.PIPE, (to_program, answers))
            for number in (to_program, from_checker, answers, from_program):
                os.close(number)
            line = _line(checker, time.monotonic() + limits.wall_seconds)
        finally:
            code = _ended(program)
            _ended(checker)
    return _verdict(line, code)


def _start(command: Sequence[str], given: int, taken: int, keep: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, stdin=given, stdout=taken, stderr=subprocess.DEVNULL, pass_fds=keep, env=ENVIRONMENT, cwd="/",
        start_new_session=True,
    )  # fmt: skip


def _line(checker: subprocess.Popen[bytes], until: float) -> bytes | None:
    """What the checker writes, to its end or a limit; None where nothing came in time."""
    assert checker.stdout is not None
    found, number = b"", checker.stdout.fileno()
    while b"\n" not in found and len(found) < _LONGEST_VERDICT:
        poll = select.poll()
        poll.register(number, select.POLLIN | select.POLLHUP)
        if not poll.poll(1000 * max(0.0, until - time.monotonic())):
            return None
        if not (more := os.read(number, _LONGEST_VERDICT)):
            break
        found += more
    return found


def _ended(process: subprocess.Popen[bytes] | None) -> int:
    """Its exit code, once it is dead. Before, give one whose work is done a moment to say how it ended."""
    if process is None:
        return 0
    try:
        return process.wait(0.05)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
    finally:
        if process.stdout is not None:
            process.stdout.close()


def _verdict(line: bytes | None, code: int) -> Verdict:
    signals = {-code, code - 128}
    if line is None:
        return Verdict("waited too long", "no verdict within the time that it may take")
    try:
        found = json.loads(line)
        if found["passed"] is True:
            return Verdict("passed")
        why = str(found["why"])
    except (ValueError, KeyError, TypeError):
        return Verdict("failed", "the checker ended without a verdict")
    if why == ENDED and signals & {signal.SIGXCPU, signal.SIGKILL}:
        return Verdict("out of time", "more processor time than it may take")
    return Verdict("failed", why)


ENDED = "ended before its tests"
"""What the checker writes of a program that is gone (`inside/checker.py`)."""
