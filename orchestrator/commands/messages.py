"""How a command ends: with its exit code, or with one message that says what is wrong and what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from orchestrator.console import INTERRUPTED
from orchestrator.record.secrecy import without_secrets
from trials.errors import UserError
from yaml_reader.names import with_short_words


def with_messages(run: Callable[[], int]) -> None:
    """Run; a user's error becomes one message on stderr and exit code 2, without a traceback."""
    from orchestrator.record.disk import in_words

    try:
        code = run()
    except UserError as error:
        lines = [with_short_words(without_secrets(problem)) for problem in error.problems]
        print("error: " + lines[0] if len(lines) == 1 else "errors:", file=sys.stderr)
        for line in lines if len(lines) > 1 else ():
            print(f"  - {line}", file=sys.stderr)
        code = error.exit_code
    except OSError as error:
        if not (problem := in_words(error)):
            raise
        print(f"error: {problem}", file=sys.stderr)
        code = UserError.exit_code
    except KeyboardInterrupt:
        print(
            "interrupted once more: what was going on is left as it was; all reports and decisions up to now are kept, "
            "and the same command goes on from them",
            file=sys.stderr,
        )
        code = INTERRUPTED
    raise typer.Exit(code)


def files_in(folder: Path, paths: Sequence[Path]) -> str:
    """Written files, the first two by name: ``report/report.md, report/report.html and 8 more files in report``."""
    first, more = ", ".join(map(str, paths[:2])), len(paths) - 2
    if more > 0:
        return f"{first} and {more} more file{'s' if more > 1 else ''} in {folder}"
    return first or "none, as there is no row to write"
