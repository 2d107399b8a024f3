"""Runs a program and answers calls of its functions, one line each, until nobody asks any more."""

from __future__ import annotations

import os
import sys
from typing import Any

from trials.sandbox.inside.confine import confine
from trials.sandbox.inside.values import Values


def main(how: dict[str, Any]) -> None:
    """Answer until the other side is gone.

    Args:
        how: `trials.sandbox.base.Sandbox.confinement`.
    """
    most = how["answer"]
    asked, told = os.fdopen(os.dup(0), "rb"), os.dup(1)
    os.dup2(2, 0)  # to the program, standard input is empty and output goes nowhere
    os.dup2(2, 1)
    confine({**how, "keep": [*how["keep"], asked.fileno(), told]})
    values: Values = Values(lambda number: values.kept[number])
    space: dict[str, Any] = {"__name__": "program"}

    def call(request: bytes) -> Any:
        act, *parts = values.value(request)
        if act == "run":
            exec(compile(parts[0], "<program>", "exec"), space)
            return None
        if act == "name":
            values.kept.append(space[parts[0]])
            return len(values.kept) - 1
        if act == "call":
            of, positional, named = parts
            return of(*positional, **named)
        if act == "get":
            return getattr(*parts)
        setattr(*parts)
        return None

    for request in asked:
        try:
            answer = b"=" + values.text(call(request)).encode()
            if len(answer) > most:
                raise ValueError(f"a value of {len(answer):,} bytes, {most:,} may be handed over")
        except BaseException as error:  # also SystemExit: leaving early is no success
            try:
                answer = b"!" + values.text(f"{type(error).__name__}: {error}"[:300]).encode()
            except BaseException:
                answer = b'!["str", "an error that cannot be written"]'
        rest = memoryview(answer + b"\n")
        while rest:
            rest = rest[os.write(told, rest) :]
    sys.exit()
