"""One file of rows (Parquet, CSV or JSON Lines) into an Arrow table, or every reason why not."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from trials.data.files import DAMAGED, format_of, is_compressed, open_bytes, open_text, unknown_format, unpacked
from trials.data.lines import broken_quote, places
from trials.errors import DataError, did_you_mean
from trials.tasks.base import TsvQuoting

_LFS_POINTER = b"version https://git-lfs"
_BLOCK = 1 << 20
_LARGEST_BLOCK = (1 << 31) - 1


def read_table(
    path: Path, columns: Sequence[str], text_columns: Sequence[str], tsv_quoting: TsvQuoting | None = None
) -> pa.Table:
    """The named columns of a file, in that order.

    CSV and TSV give every column as text (an empty cell is null, `""` is empty text), so that a label is spelled as it
    stands in the file; JSON Lines and Parquet keep their types, and a text that looks like a date stays one.

    Args:
        path: plain or compressed (`trials.data.files`).
        columns: those to read.
        text_columns: those of them that hold texts.
        tsv_quoting: as the task says; None: see `is_quoted`.

    Raises:
        DataError: no such file, unknown format, malformed, truncated, not UTF-8, or a column is missing.
    """
    return _read(path, list(columns), text_columns, tsv_quoting, whole=False)


def read_whole(path: Path, text_columns: Sequence[str], tsv_quoting: TsvQuoting | None = None) -> pa.Table:
    """All columns of a file as they stand in it; see `read_table`."""
    return _read(path, list(text_columns), text_columns, tsv_quoting, whole=True)


def _read(
    path: Path, columns: list[str], text_columns: Sequence[str], tsv_quoting: TsvQuoting | None, *, whole: bool
) -> pa.Table:
    """The columns asked for, or with `whole` all, after a look whether those asked for are there."""
    form = format_of(path)
    _check_file(path)
    if form is None:
        raise DataError(unknown_format(path))
    try:
        if form == "parquet":
            file = pa.parquet.ParquetFile(path)
            table = _without_views(_select(path, file, columns))
            return all_utf8(_without_views(file.read()), str(path)) if whole else table
        _refuse_utf16(path)
        source = pa.BufferReader(unpacked(path)) if is_compressed(path) else pa.OSFile(str(path))
        if form == "jsonl":
            read = _read_jsonl(source, None if whole else columns)
            table = _select(path, read, columns)
            return read if whole else table
        quoted = is_quoted(path, tsv_quoting)
        if quoted and (problem := broken_quote(path)):
            raise DataError(f"{path}: {problem}; {_QUOTES}")
        delimiter = "\t" if form == "tsv" else ","
        read = _read_csv(source, columns, delimiter, quoted)
        table = _select(path, read, columns)
        if whole:  # once more, now that the names of all columns are known: each is to come as text
            source.seek(0)
            table = _read_csv(source, read.column_names, delimiter, quoted)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(_explain(path, form, error)) from error
    if not quoted and tsv_quoting is None:
        _check_unquoted(path, table.select(list(text_columns)))
    return table


def _refuse_utf16(path: Path) -> None:
    """Spreadsheets' "Unicode text": read as UTF-8, its every second byte would be an odd character."""
    with suppress(*DAMAGED), open_bytes(path) as stream:  # the reading of the whole file names what is damaged
        if stream.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise DataError(f"{path}: is UTF-16, not UTF-8; save the file as UTF-8")


_QUOTES = 'a text that holds a quotation mark is quoted as a whole, with the mark written twice: "say ""hi"""'


def is_quoted(path: Path, tsv_quoting: TsvQuoting | None) -> bool:
    """Whether quotation marks enclose texts: in CSV always, in a tab-separated file only where that is declared.

    The task declares it (`tsv_quoting: csv`), or, where it says nothing, the file itself with a header in quotes.
    """
    if format_of(path) != "tsv" or tsv_quoting is not None:
        return tsv_quoting != "none" or format_of(path) == "csv"
    with open_text(path) as stream:
        names = stream.readline().rstrip("\r\n").split("\t")
    return all(len(name) > 1 and name[0] == name[-1] == '"' for name in names)


def _check_unquoted(path: Path, texts: pa.Table) -> None:
    """Raises DataError where a tab-separated file has marks like CSV's, and the task file does not name them."""
    for name in texts.column_names:
        if pa.types.is_string(texts.schema.field(name).type):
            alike = pa.compute.match_substring_regex(texts.column(name), '(?s)^".*"".*"$')
            rows = np.flatnonzero(alike.fill_null(False).to_numpy(zero_copy_only=False))
            if len(rows):
                raise DataError(
                    f"{path}: column '{name}' has texts in quotation marks with doubled ones inside, as CSV writes "
                    f"them, in {places(path, rows.tolist(), quoted=False)}: write `tsv_quoting: csv` into the task "
                    "file to have them taken off, `tsv_quoting: none` to keep them"
                )


def _check_file(path: Path) -> None:
    if not path.exists():
        folder = path.parent
        near = did_you_mean(path.name, (p.name for p in folder.iterdir())) if folder.is_dir() else " (nor its folder)"
        raise DataError(f"{path}: no such file{near}")
    if not path.is_file():
        raise DataError(f"{path}: not a file but a folder; name the file of rows in it")
    try:
        with path.open("rb") as file:
            start = file.read(len(_LFS_POINTER))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    if not start:
        raise DataError(f"{path}: the file is empty (0 bytes); copy or download it again")
    if start == _LFS_POINTER:
        raise DataError(f"{path}: a Git LFS pointer, not the data itself; run `git lfs pull` in its repository")


def _read_csv(source: pa.NativeFile, columns: list[str], delimiter: str, quoted: bool) -> pa.Table:
    return pa.csv.read_csv(
        source,
        # One thread: only then do the parser's messages name the row. The block holds the longest row.
        read_options=pa.csv.ReadOptions(use_threads=False, block_size=_block_size(source)),
        parse_options=pa.csv.ParseOptions(
            delimiter=delimiter, quote_char='"' if quoted else False, newlines_in_values=quoted
        ),
        convert_options=pa.csv.ConvertOptions(
            column_types={name: pa.string() for name in columns},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def _read_jsonl(source: pa.NativeFile, wanted: Sequence[str] | None) -> pa.Table:
    """All columns, those wanted with texts as they are spelled; None: all."""
    read_options = pa.json.ReadOptions(use_threads=False, block_size=_block_size(source))
    table = pa.json.read_json(source, read_options=read_options)
    # JSON has no dates: where texts look like some, pyarrow takes them for times, and their spelling is lost.
    found = [one for one in table.schema if wanted is None or one.name in wanted]
    if changed := [one.with_type(kind) for one in found if (kind := _of_texts(one.type)) != one.type]:
        source.seek(0)
        as_texts = pa.json.ParseOptions(explicit_schema=pa.schema(changed))
        table = pa.json.read_json(source, read_options=read_options, parse_options=as_texts).select(table.column_names)
    return table


def _of_texts(kind: pa.DataType) -> pa.DataType:
    """A type of JSON's values with text in the place of times."""
    if pa.types.is_timestamp(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_of_texts(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct(
            [kind.field(place).with_type(_of_texts(kind.field(place).type)) for place in range(kind.num_fields)]
        )
    return kind


def _without_views(table: pa.Table) -> pa.Table:
    """The table with text views (Polars') as plain text: pyarrow 25 neither takes their rows nor writes them as CSV."""
    for place, one in enumerate(table.schema):
        if pa.types.is_string_view(one.type):
            table = table.set_column(place, one.name, table.column(place).cast(pa.large_string()))
    return table


def all_utf8(table: pa.Table, where: str) -> pa.Table:
    """The table, all of whose texts Python can read. Raises DataError, where one is no UTF-8."""
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            raise DataError(f"{where}: column '{name}' is not valid UTF-8 text ({error}); write it as UTF-8") from error
    return table


def _block_size(source: pa.NativeFile) -> int:
    return min(max(source.size() + 1, _BLOCK), _LARGEST_BLOCK)


def _select(path: Path, source: pa.Table | pa.parquet.ParquetFile, columns: list[str]) -> pa.Table:
    present = source.schema_arrow.names if isinstance(source, pa.parquet.ParquetFile) else source.schema.names
    if len(present) == 1 and len(columns) > 1 and any(mark in present[0] for mark in ";\t|"):
        raise DataError(
            f"{path}: one column only, {present[0]!r}; columns are separated by commas in .csv, by tabs in .tsv"
        )
    problems = [_missing(path, name, present) for name in columns if name not in present]
    problems += [f"{path}: two columns are called '{name}'; rename one" for name in columns if present.count(name) > 1]
    if problems:
        raise DataError(problems)
    if isinstance(source, pa.parquet.ParquetFile):
        return source.read(columns=columns).select(columns)
    return source.select(columns)


def _missing(path: Path, name: str, present: list[str]) -> str:
    has = ", ".join(repr(column) for column in present) or "none"
    return f"{path}: no column '{name}'{did_you_mean(name, present)}; its columns are {has}"


def _explain(path: Path, form: str, error: Exception) -> str:
    text = " ".join(str(error).split())
    shown = text if len(text) <= 200 else f"{text[:200]}..."
    if isinstance(error, UnicodeDecodeError) or "UTF8" in text or "encoding" in text:
        return f"{path}: not UTF-8 ({shown}); convert it, e.g. `iconv -f LATIN1 -t UTF-8`"
    if form == "parquet":
        return (
            f"{path}: truncated, damaged or not a Parquet file ({path.stat().st_size:,} bytes; {shown}); "
            "copy or download it again"
        )
    if form == "jsonl":
        return f"{path}: not JSON Lines ({shown}; the first row is 0); write one JSON object a line, one type a column"
    fix = "put quotes around texts that hold the separator, a quote or a line break"
    if form == "tsv":
        fix = "quotation marks are text in .tsv; write `tsv_quoting: csv` into the task file where they enclose texts"
    return f"{path}: not a table ({shown}; row 1 is the header); {fix}"
