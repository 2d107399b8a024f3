"""Holds the tests of a program that runs elsewhere, asks it for values, and writes the verdict."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, BinaryIO

from trials.sandbox.inside.confine import confine
from trials.sandbox.inside.values import Values


class ProgramError(Exception):
    """What went wrong in the program, as it says."""


class EndedError(Exception):
    """The program is gone."""


def main(how: dict[str, Any]) -> None:
    """Read a check from standard input, write its verdict to standard output.

    Args:
        how: `trials.sandbox.base.Sandbox.confinement`; it keeps the ends of two pipes, to and from the program.
    """
    with os.fdopen(os.dup(0), "rb") as file:
        check = json.loads(file.read())
    verdict, (ask_at, answer_at) = os.dup(1), how["keep"]
    os.dup2(2, 0)
    os.dup2(2, 1)
    confine({**how, "keep": [ask_at, answer_at, verdict]})
    passed, why = judged(check, ask_at, os.fdopen(answer_at, "rb"), how["answer"])
    os.write(verdict, json.dumps({"passed": passed, "why": why[:500]}).encode() + b"\n")
    sys.exit()


def judged(check: dict[str, Any], ask_at: int, answers: BinaryIO, most: int) -> tuple[bool, str]:
    """(Whether all tests hold, why not)."""

    class Remote:
        """An object of the program's: it can be called, and asked for its attributes. It equals itself alone."""

        __slots__ = ("__number",)

        def __init__(self, number: int) -> None:
            object.__setattr__(self, "_Remote__number", number)

        def __call__(self, *positional: Any, **named: Any) -> Any:
            return ask("call", self, list(positional), named)

        def __getattr__(self, name: str) -> Any:
            return ask("get", self, name)

        def __setattr__(self, name: str, value: Any) -> None:
            ask("set", self, name, value)

    class Asking(Values):
        def written(self, value: Any) -> Any:
            if type(value) is Remote:
                return ["kept", object.__getattribute__(value, "_Remote__number")]
            made = super().written(value)
            if made and made is not True and made[0] == "kept":
                raise TypeError(f"{type(value).__name__} cannot be handed to the program")
            return made

    values = Asking(Remote)

    def ask(*request: Any) -> Any:
        rest = memoryview(values.text(list(request)).encode() + b"\n")
        try:
            while rest:
                rest = rest[os.write(ask_at, rest) :]
        except BrokenPipeError:
            raise EndedError from None
        line = answers.readline(most + 2)
        if not line.endswith(b"\n"):
            raise EndedError
        found = values.value(line[1:])
        if line[:1] != b"=":
            raise ProgramError(str(found))
        return found

    try:
        ask("run", check["program"])
        space: dict[str, Any] = {name: Remote(ask("name", name)) for name in check["names"]}
        exec(compile(check["setup"], "<setup>", "exec"), space)
        for test in check["tests"]:
            try:
                exec(compile(test, "<test>", "exec"), space)
            except AssertionError:
                return False, f"does not hold: {test}"
    except EndedError:
        return False, "ended before its tests"
    except ProgramError as error:
        return False, str(error)
    except Exception as error:
        return False, f"the tests cannot be run on it: {type(error).__name__}: {error}"
    return True, ""
