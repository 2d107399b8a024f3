"""MBPP's own solutions in the sandbox: how many pass their tests, and how long that takes.

    python -m benchmarks.mbpp_references --data-dir DATA

Reads ``DATA/mbpp/full.parquet`` (the 974 rows of the hub's ``google-research-datasets/mbpp``), runs every reference
solution as a model's answer would be run, without verdicts kept from before, and names those that fail.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet

from orchestrator.record.provenance import collect
from trials.sandbox.run import Check
from trials.sandbox.verdicts import verdicts
from trials.tasks.mbpp import Problem


def main() -> int:
    """Run them; 1 where one fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mbpp_references", description=__doc__.split("\n\n")[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="has mbpp/full.parquet")
    parser.add_argument("--every", type=int, default=1, help="only one of so many problems [all]")
    options = parser.parse_args()
    file = options.data_dir / "mbpp" / "full.parquet"
    if not file.is_file():
        sys.exit(f"error: {file}: no such file; it is a file of google-research-datasets/mbpp on the hub")
    problems = [Problem.of(row) for row in pyarrow.parquet.read_table(file).to_pylist()[:: options.every]]
    with tempfile.TemporaryDirectory(prefix="verdicts-") as cache:
        os.environ["ADEPT_CACHE"] = cache
        started = time.monotonic()
        found = verdicts([Check.of(problem.check, problem.solution) for problem in problems])
        seconds = time.monotonic() - started
    for number, verdict in enumerate(found):
        if not verdict.passed:
            print(f"row {number * options.every + 1}: {verdict}")
    passed = sum(verdict.passed for verdict in found)
    cores = collect().get("cpu", "")
    print(f"{passed} of {len(found)} pass, {seconds:.0f} s ({seconds / len(found):.2f} s a program) on {cores}")
    return 0 if passed == len(found) else 1


if __name__ == "__main__":
    sys.exit(main())
