"""How a command ends: with its exit code, or with one message that says what is wrong and what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable

import typer

from search_spaces import SpaceError
from trials.errors import UserError


def with_messages(run: Callable[[], int]) -> None:
    """Run; a user's error becomes one message on stderr and exit code 2, without a traceback."""
    from orchestrator.records import RecordError
    from orchestrator.tracking_store import TrackingError

    try:
        code = run()
    except (UserError, SpaceError, TrackingError) as error:
        lines = error.problems
        print("error: " + lines[0] if len(lines) == 1 else "errors:", file=sys.stderr)
        for line in lines if len(lines) > 1 else ():
            print(f"  - {line}", file=sys.stderr)
        code = 2
    except RecordError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    raise typer.Exit(code)
