"""Verdicts on many programs: in parallel, and each program once."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from trials.sandbox.find import usable_sandbox
from trials.sandbox.limits import Limits
from trials.sandbox.run import Check, Verdict, judge

FORMAT = 1
"""Goes up when the same program comes to be judged in another way."""

_TABLE = "CREATE TABLE IF NOT EXISTS verdicts (key TEXT PRIMARY KEY, outcome TEXT NOT NULL, why TEXT NOT NULL)"
_AT_ONCE = 500


def verdicts(checks: Sequence[Check], limits: Limits | None = None, cache: Path | None = None) -> list[Verdict]:
    """The verdict on each program, in their order. As many run at once as this process has cores.

    Equal programs with equal tests are run once, and never again while the cache is there. What waited too long is run
    again the next time, since the machine may have been busy.

    Args:
        cache: a file that keeps verdicts, made if need be; None: `verdicts.sqlite` in `trials.data.cache`'s folder.

    Raises:
        SandboxError: there is no sandbox here; nothing was run.
    """
    limits = limits or Limits()
    by_key = {key_of(check, limits): check for check in checks}
    file = cache or _default_cache()
    found = _kept(file, list(by_key))
    missing = [key for key in by_key if key not in found]
    if missing:
        sandbox = usable_sandbox()
        fresh = _in_parallel(lambda key: judge(sandbox, by_key[key], limits), missing)
        found |= fresh
        _keep(file, {key: verdict for key, verdict in fresh.items() if verdict.end != "waited too long"})
    return [found[key_of(check, limits)] for check in checks]


def _in_parallel(judged: Callable[[str], Verdict], keys: Sequence[str]) -> dict[str, Verdict]:
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return dict(zip(keys, pool.map(judged, keys), strict=True))


@functools.lru_cache(maxsize=100_000)
def key_of(check: Check, limits: Limits) -> str:
    """What decides a verdict: the program, its tests, its limits, and the Python that runs it."""
    decides = [FORMAT, list(sys.version_info[:3]), asdict(check), asdict(limits)]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def _default_cache() -> Path:
    from trials.data.cache import default_cache_dir

    return default_cache_dir() / "verdicts.sqlite"


def _kept(file: Path, keys: Sequence[str]) -> dict[str, Verdict]:
    if not file.exists():
        return {}
    found: dict[str, Verdict] = {}
    try:
        with closing(sqlite3.connect(file, timeout=30)) as database:
            for first in range(0, len(keys), _AT_ONCE):
                some = keys[first : first + _AT_ONCE]
                marks = ",".join("?" * len(some))
                rows: Iterable[tuple[str, str, str]] = database.execute(
                    f"SELECT key, outcome, why FROM verdicts WHERE key IN ({marks})", some
                )
                found |= {key: Verdict(outcome, why) for key, outcome, why in rows}  # type: ignore[arg-type]
    except sqlite3.Error:  # a damaged cache, or one on a file system without locks, costs time and nothing else
        return {}
    return found


def _keep(file: Path, found: Mapping[str, Verdict]) -> None:
    rows = [(key, verdict.end, verdict.why) for key, verdict in found.items()]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(file, timeout=30)) as database, database:
            database.execute(_TABLE)
            database.executemany("INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?)", rows)
    except (OSError, sqlite3.Error):  # a cache that cannot be written is none
        return
