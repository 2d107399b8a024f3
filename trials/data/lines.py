"""Where a row stands in a text file, and whether its quotation marks are closed."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from trials.data.files import format_of, open_bytes, open_text

_SHOWN = 3
_CHUNK = 1 << 20


def places(path: Path, rows: Sequence[int], quoted: bool, shown: int = _SHOWN) -> str:
    """Such as "2 rows of train.csv (lines 3, 9)"; rows count from 0, lines from 1. Parquet has rows only."""
    known = lines_of(path, rows[:shown], quoted)
    word, numbers = ("line", known) if known is not None else ("row", list(rows[:shown]))
    listed = ", ".join(str(number) for number in numbers) + (", ..." if len(rows) > shown else "")
    start = "; the first row is 0" if known is None else ""
    return f"{len(rows):,} {_plural(len(rows), 'row')} of {path.name} ({_plural(len(numbers), word)} {listed}{start})"


def lines_of(path: Path, rows: Sequence[int], quoted: bool) -> list[int] | None:
    """The line on which each of some rows begins; rows ascend from 0, lines count from 1. None for Parquet.

    Args:
        quoted: whether quotation marks enclose texts (in JSON Lines they do, but a row is a line there).
    """
    form = format_of(path)
    if form not in ("csv", "tsv", "jsonl"):
        return None
    wanted, lines = set(rows), []
    with open_text(path) as stream:
        if form == "jsonl":
            starts: Iterator[int] = (number for number, line in enumerate(stream, 1) if line.strip())
        else:
            starts = _Records(stream, form, quoted).starts()
            next(starts, None)  # the header
        for row, line in enumerate(starts):
            if row in wanted:
                lines.append(line)
            if len(lines) == len(wanted):
                break
    return lines


def broken_quote(path: Path) -> str:
    """What is wrong with the quotation marks of a CSV file that is quoted; empty where nothing is.

    A reader that forgives them takes everything up to the next mark for one text, and rows are gone.
    """
    form = format_of(path)
    assert form in ("csv", "tsv")
    if not _holds_a_quote(path):
        return ""
    with open_text(path) as stream:
        records = _Records(stream, form, quoted=True)
        try:
            for _ in records.starts():
                pass
        except csv.Error as error:
            end = f"is closed on line {records.line} with more text after it"
            what = "is never closed" if "end of data" in str(error) else end
            return f"line {records.next_start}: a quotation mark in the row that begins here {what}"
    return ""


class _Records:
    """The records of a CSV or TSV file by the lines on which they begin; blank lines are none."""

    def __init__(self, stream: Iterator[str], form: str, quoted: bool) -> None:
        delimiter = "\t" if form == "tsv" else ","
        if quoted:
            self._reader = csv.reader(stream, delimiter=delimiter, strict=True)
        else:
            self._reader = csv.reader(stream, delimiter=delimiter, quoting=csv.QUOTE_NONE)
        self.next_start = 1

    @property
    def line(self) -> int:
        """The last line that was read."""
        return self._reader.line_num

    def starts(self) -> Iterator[int]:
        with _long_fields():
            for fields in self._reader:
                start, self.next_start = self.next_start, self._reader.line_num + 1
                if fields:
                    yield start


@contextmanager
def _long_fields() -> Iterator[None]:
    """Without the csv module's limit of 131,072 characters a field."""
    before = csv.field_size_limit(min(sys.maxsize, (1 << 31) - 1))
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _holds_a_quote(path: Path) -> bool:
    with open_bytes(path) as stream:
        while chunk := stream.read(_CHUNK):
            if b'"' in chunk:
                return True
    return False


def _plural(n: int, word: str) -> str:
    return word if n == 1 else f"{word}s"
