"""CSV for spreadsheets: numbers as they are, and no text that a spreadsheet would compute as a formula."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from typing import Any

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a text begins with that spreadsheets take for a formula (OWASP, "CSV Injection")."""


def comma_separated(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """CSV with a header; empty where a value is missing (None)."""
    lines = _Lines()
    writer = csv.writer(lines, lineterminator="\r\n")  # so that a cell with either of them is quoted
    writer.writerow([cell(name) for name in names])
    writer.writerows([cell(value) for value in row] for row in rows)
    return "".join(f"{line[:-2]}\n" for line in lines)


def cell(value: Any) -> Any:
    """A value as it may stand in a cell: a text that would be a formula gets an apostrophe, by which it stays a text.

    Numbers, also those that come as text (``-1.5``), are left as they are.
    """
    if not isinstance(value, str) or not value.startswith(FORMULA) or _is_number(value):
        return value
    return f"'{value}"


class _Lines(list[str]):
    """A stream that keeps what is written to it, a row at a time."""

    write = list.append


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and text.strip() == text and text.isascii()
    except ValueError:
        return False
