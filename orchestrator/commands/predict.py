"""``adept-search predict``: a search's adapter answers texts, files of rows or standard input, in one's own labels."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands.messages import with_messages
from orchestrator.commands.rows_out import FORMS, form_of, with_predictions, written
from orchestrator.plan.settings import AUTO, SearchSettings
from trials.errors import UserError, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa

    from trials import Adapter
    from trials.export.predictions import Prediction
    from trials.tasks.base import TsvQuoting

FORMS_IN = {"csv": ".csv", "tsv": ".tsv", "jsonl": ".jsonl", "parquet": ".parquet"}
_PARQUET = b"PAR1"
_HEADER = 1 << 16  # bytes at the start of standard input that show its format


def predict(
    adapter: Annotated[Path, typer.Argument(metavar="ADAPTER", help="its folder, e.g. runs/NAME/best_adapter")],
    inputs: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT...|FILE]", help="texts, or one file of rows [standard input]")
    ] = None,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="write there [standard output]")] = None,
    form: Annotated[
        str | None,
        typer.Option("--format", metavar="NAME", help=f"{', '.join(FORMS)} [by the output's name, else csv]"),
    ] = None,
    form_in: Annotated[
        str | None,
        typer.Option("--input-format", metavar="NAME", help=f"of standard input: {', '.join(FORMS_IN)} [as it begins]"),
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="where the backbone is now [where the adapter says]")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(metavar="NAME", help="float32, float32-exact or bfloat16 [the adapter's own]")
    ] = None,
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="leave wrong rows without a prediction [refuse all]")
    ] = False,
) -> None:
    """Predict: answer the rows of a file (CSV, TSV, JSON Lines, Parquet) or texts with a search's adapter.

    A file must have the columns of the task's template. Out come its columns, with prediction (the label, the text or
    the number) and probability (of a label among all of the task's); for texts, a line each with both.
    """
    with_messages(lambda: run(adapter, inputs or [], output, form, form_in, backbone, precision, skip_bad_rows))


def run(
    folder: Path,
    inputs: Sequence[str],
    output: Path | None,
    form: str | None,
    form_in: str | None,
    backbone: str | None,
    precision: str | None,
    skip_bad_rows: bool,
) -> int:
    """Read, check, load, predict, write; the exit code."""
    from trials.export.adapters import load_adapter, read_description
    from trials.export.predictions import faults, numbered, sentences
    from trials.tasks.base import template_columns

    problems = option_problems(form, form_in, precision)
    out = None if problems else form_of(form, output, problems)
    source = input_file(inputs, problems)
    if source is not None and output is not None and output.exists() and output.samefile(source):
        problems.append(f"--output {output}: is the file of rows that is read; name another, so that these rows stay")
    try:
        description = read_description(folder)
        columns = template_columns(description["template"])
    except UserError as error:
        problems += error.problems
    if problems:
        raise UserError(problems)
    table, where = read(source, inputs, columns, form_in, description.get("tsv_quoting"))
    rows: list[Mapping[str, Any]] = table.select(list(columns)).to_pylist()
    wrong = faults(rows, columns)
    if wrong and not skip_bad_rows:
        ways_out = "--skip-bad-rows leaves them without a prediction"
        raise UserError([f"{where}: {sentence} ({ways_out})" for sentence in sentences(wrong)])
    kind = description.get("target", "labels")
    with_predictions(table, [None] * table.num_rows, where, kind)  # the columns that it adds are free

    import torch
    from transformers.utils import logging as transformers_logging

    from orchestrator.quiet import silence_libraries
    from trials.stack.devices import why_slow

    silence_libraries()
    transformers_logging.disable_progress_bar()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    loaded: Adapter = load_adapter(folder, backbone, device, precision)  # type: ignore[arg-type]
    scored_in = loaded.backbone.precision
    if why := why_slow(scored_in, torch.device(device)):
        faster = "--precision float32 answers faster, perhaps otherwise in a few rows"
        print(f"note: the backbone is computed in {scored_in}, but {why}; {faster}", file=sys.stderr)
    good = [number for number in range(len(rows)) if number not in wrong]
    found = dict(zip(good, loaded.predict_rows([rows[number] for number in good]), strict=True))
    predictions: list[Prediction | None] = [found.get(number) for number in range(len(rows))]
    if source is None and inputs and out is None:
        lines = "".join(line(prediction) + "\n" for prediction in predictions)
        written(lines.encode(), None)
    else:
        written(with_predictions(table, predictions, where, kind), output, out or "csv")
    for sentence in sentences(wrong):
        print(f"note: no prediction for {sentence}", file=sys.stderr)
    if lost := [number for number, prediction in found.items() if prediction.label is None]:
        none_of = "no number" if kind == "number" else "none of the task's target texts"
        answers = ", ".join(sorted({repr(found[number].answer) for number in lost})[:5])
        print(
            f"note: no prediction for {numbered(lost)}: what the backbone answers there ({answers}) is {none_of}; "
            "evaluation counts that as wrong",
            file=sys.stderr,
        )
    return 0


def option_problems(form: str | None, form_in: str | None, precision: str | None) -> list[str]:
    """What is wrong with options that have a few values each: a sentence each."""
    choices = {"--format": (form, FORMS), "--input-format": (form_in, tuple(FORMS_IN))}
    known_precisions = tuple(name for name in SearchSettings.choices("precision") if name != AUTO)
    choices["--precision"] = (precision, known_precisions)
    return [
        f"{name} {value}: must be one of {', '.join(known)}{did_you_mean(value, known)}"
        for name, (value, known) in choices.items()
        if value is not None and value not in known
    ]


def input_file(inputs: Sequence[str], problems: list[str]) -> Path | None:
    """The file that the arguments name; None where they are texts or there are none.

    A single argument that is a file is read as one. What is called like a file of rows and is not there is refused
    rather than taken for a text.
    """
    from trials.data.files import format_of

    files = [text for text in inputs if is_there(Path(text).is_file)]
    if files and len(inputs) > 1:
        problems.append(f"{files[0]} is a file: give one file, or texts, but not both")
        return None
    if not files and len(inputs) == 1 and inputs[0] != "-" and len(inputs[0].split()) == 1:
        path = Path(inputs[0])
        if is_there(path.is_dir):
            problems.append(f"{path}: a folder; name the file of rows in it")
        elif format_of(path) is not None:
            problems.append(f"{path}: called like a file of rows, but there is none; give its folder as well")
    return Path(files[0]) if files else None


def is_there(check: Callable[[], bool]) -> bool:
    """Whether a text is the path of a file or folder, by a check of `Path`; one that is too long for a path is none."""
    try:
        return check()
    except (OSError, ValueError):
        return False


def read(
    source: Path | None,
    inputs: Sequence[str],
    columns: Sequence[str],
    form_in: str | None,
    tsv_quoting: TsvQuoting | None,
) -> tuple[pa.Table, str]:
    """The rows to answer, with all their columns, and how a message names them.

    Args:
        tsv_quoting: as the adapter's task says.

    Raises:
        UserError: they cannot be read, or columns are missing.
    """
    import pyarrow as pa

    from trials.data.reading import read_whole

    if source is not None:
        return read_whole(source, columns, tsv_quoting), str(source)
    if inputs and list(inputs) != ["-"]:
        if len(columns) != 1:
            named = ", ".join(columns)
            raise UserError([f"the adapter's task has the columns {named}: give a file with them, not texts"])
        try:
            return pa.table({columns[0]: list(inputs)}), "the texts"
        except UnicodeEncodeError as error:  # bytes of the command line that are no UTF-8
            raise UserError(
                [f"the text {error.object!a} is not UTF-8; type it in a terminal of UTF-8, or give a file"]
            ) from error
    if sys.stdin.isatty():
        raise UserError(["nothing to predict: give texts, a file of rows, or rows on standard input"])
    content = sys.stdin.buffer.read()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"input{FORMS_IN[form_in or form_of_bytes(content, columns)]}"
        file.write_bytes(content)
        try:
            return read_whole(file, columns, tsv_quoting), "standard input"
        except UserError as error:
            raise UserError([problem.replace(str(file), "standard input") for problem in error.problems]) from None


def form_of_bytes(content: bytes, columns: Sequence[str]) -> str:
    """The format of rows by how they begin: Parquet's mark, an object of JSON, a header with tabs, else CSV."""
    start = content[:_HEADER].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(_PARQUET):
        return "parquet"
    if start.startswith(b"{"):
        return "jsonl"
    names = start.partition(b"\n")[0].decode("utf-8", "replace").rstrip("\r").split("\t")
    return "tsv" if len(names) > 1 and set(columns) <= {name.strip('"') for name in names} else "csv"


def line(prediction: Prediction | None) -> str:
    """A text's label and its probability, with a tab between; of what has no probability, the answer alone."""
    if prediction is None or prediction.label is None:
        return "\t"
    return " ".join(prediction.label.splitlines()) + (
        "" if prediction.probability is None else f"\t{prediction.probability:.4f}"
    )
