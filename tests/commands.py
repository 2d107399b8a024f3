"""Commands of ours in this process: a process of their own would add seconds of imports, and a search one of Ray."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

if TYPE_CHECKING:
    from orchestrator.engines.kept import KeptEngines

KEPT: KeptEngines | None = None
"""Of the fixture `engines_kept`."""


def adept(folder: Path, *arguments: str, code: int = 0, typed: bytes | None = None) -> str:
    """What ``adept-search`` prints, given in a folder; it must end with this exit code and without a traceback.

    A search runs on the Ray of the fixture `ray_local`, which the test asks for, and leaves it to the next one. Its
    pages have frames where charts would be.
    """
    from orchestrator.cli import app

    with chdir(folder), as_a_process(), ray_kept(), charts_unpainted():
        result = CliRunner().invoke(app, arguments, input=typed)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, f"adept-search {' '.join(arguments)}\n{result.output}"
    assert "Traceback" not in result.output, result.output
    return result.output


@contextmanager
def ray_kept() -> Iterator[None]:
    """Has a search end what it has started on the Ray of this process, and leave that Ray to the next one."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        yield
        return
    from orchestrator.run import run
    from orchestrator.run.session import Session

    class OnThisRay(Session):
        def connect(self, debug: bool) -> None:
            """This process has its Ray. Engines end with their search where no test has asked for `engines_kept`."""
            self.engines = KEPT

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "run_search", partial(run.run_search, session=OnThisRay()))
        yield


@contextmanager
def charts_unpainted() -> Iterator[None]:
    """Has charts be laid out and not painted, which takes two seconds a search; tests of the pages paint them."""
    from markupsafe import Markup

    from orchestrator.summarizer.page.drawing import Canvas

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Canvas, "svg", lambda canvas, description, prefix: Markup("<svg></svg>"))
        yield


@contextmanager
def as_a_process() -> Iterator[None]:
    """Undoes what a command may do to its process: variables, and who is called at a signal."""
    variables = dict(os.environ)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(variables)
        for number, handler in handlers.items():
            signal.signal(number, handler)
