"""`adept-search predict`, as typed, with an adapter that was trained on rows of two columns."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.commands.predict import input_file, read
from trials import Engine, TrialConfig, get_task, load_adapter, load_backbone, prepare
from trials.backbones.facts import EMBEDDED
from trials.engine import EngineSettings
from trials.errors import UserError
from trials.export.files import CONFIG
from trials.stack import devices

ROWS = 24
LABELS = {"accounts": "0", "a bill": "1"}
WORDS = {"accounts": "password login user account", "a bill": "invoice payment money price"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task, a backbone and an adapter that was scored on the task's validation rows; in `score.json`."""
    home = tmp_path_factory.mktemp("my work")
    for split in ("train", "validation", "test"):
        with (home / f"{split}.csv").open("w", newline="") as stream:
            rows = [
                {"id": f"{n:03}", "subject": f"{WORDS[team].split()[n % 4]} {n}", "body": f"{split} text", "team": team}
                for n, team in enumerate(list(LABELS) * (ROWS // 2))
            ]
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    files = {split: f"{split}.csv" for split in ("train", "validation", "test")}
    task = {"name": "tickets", "template": "{subject}: {body}", "label_column": "team", "files": files}
    (home / "tickets.yaml").write_text(json.dumps({**task, "labels": LABELS}))
    shutil.copytree(EMBEDDED / "t5-nano", home / "my t5")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        backbone = load_backbone("my t5")  # from a relative place
        data = prepare(get_task("tickets.yaml"), backbone.tokenizer, architecture=backbone.facts.architecture,
                       cache_dir=home / "cache")  # fmt: skip
    torch.set_num_threads(1)
    engine = Engine(backbone, data, EngineSettings(deterministic=True))  # needs no measuring of the device
    shape = {"prompt_lr": 0.3, "mlp_lr": 0.01, "prompt_length": 4, "bottleneck": 2}
    engine.start("a", TrialConfig("adept", shape, steps=30, eval_every=10, batch_size=8, warmup_steps=2))
    reports = [engine.next_report("a") for _ in range(3)]
    engine.save("a", home)
    (home / "score.json").write_text(json.dumps(max(report.score for report in reports)))
    return home


@pytest.fixture
def adapter(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The adapter, seen from another folder."""
    monkeypatch.chdir(tmp_path)
    return home / "adapter"


def typed(*words: object, rows: bytes | None = None) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["predict", *map(str, words)], input=rows)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def test_a_machine_without_units_for_the_adapters_precision_says_so(
    adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search that trained it may have chosen bfloat16 on another machine; nobody need have asked for it."""
    monkeypatch.setattr(devices, "pace", lambda precision, device: 0.02)
    rows = b"subject,body\nlogin 1,train text\n"
    code, _, err = typed(adapter, "--precision", "bfloat16", rows=rows)
    assert code == 0 and "this CPU has no units for it and multiplies 50 times slower" in " ".join(err.split())
    code, _, err = typed(adapter, rows=rows)
    assert code == 0 and not err


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_rows_come_back_with_the_users_labels_and_the_recorded_score(home: Path, adapter: Path) -> None:
    code, out, _ = typed(adapter, home / "validation.csv")
    assert code == 0
    rows = rows_of(out)
    assert list(rows[0]) == ["id", "subject", "body", "team", "prediction", "probability"]
    assert rows[7]["id"] == "007"  # its columns as they were
    right = sum(row["prediction"] == row["team"] for row in rows)
    assert 100 * right / len(rows) == pytest.approx(json.loads((home / "score.json").read_text()))
    assert 100 * right / len(rows) > 50, "nothing was learnt, so this would hold for a constant, too"
    assert all(0 < float(row["probability"]) <= 1 for row in rows if row["prediction"])


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "parquet"])
def test_standard_input_is_read_in_every_format(home: Path, adapter: Path, form: str) -> None:
    expected = [row["prediction"] for row in rows_of(typed(adapter, home / "validation.csv")[1])]
    read = rows_of((home / "validation.csv").read_text())
    sink = io.BytesIO()
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(read), sink)
    elif form == "jsonl":
        sink.write("".join(json.dumps({"n": n, **row}) + "\n" for n, row in enumerate(read)).encode())
    else:
        mark = "," if form == "csv" else "\t"
        sink.write("".join(mark.join(row) + "\n" for row in [list(read[0]), *(r.values() for r in read)]).encode())
    code, out, err = typed(adapter, "--format", "jsonl", rows=sink.getvalue())
    assert code == 0, err
    found = [json.loads(text) for text in out.splitlines()]
    assert [row["prediction"] or "" for row in found] == expected
    assert found[3]["subject"] == read[3]["subject"] and ("n" not in found[3] or found[3]["n"] == 3)


def test_a_file_is_written_in_the_format_of_its_name(home: Path, adapter: Path, tmp_path: Path) -> None:
    assert typed(adapter, home / "test.csv", "--output", "out.parquet")[0] == 0
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.num_rows == ROWS and set(table.column("prediction").to_pylist()) <= {*LABELS, None}
    code, _, err = typed(adapter, home / "test.csv", "--output", "out.xlsx")
    assert code == 2 and "add --format" in err
    code, _, err = typed(adapter, "out.parquet")
    assert code == 2 and "'prediction'" in err and "'probability'" in err


def test_columns_beside_the_texts_come_back_as_they_were(adapter: Path, tmp_path: Path) -> None:
    row = {"subject": "invoice 3", "body": "validation text"}
    dates = [{**row, "on": "2024-01-02"}, {**row, "on": "2024-01-02T03:04:05Z"}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in dates))
    for form, parsed in (("jsonl", lambda out: [json.loads(text) for text in out.splitlines()]), ("csv", rows_of)):
        code, out, err = typed(adapter, "rows.jsonl", "--format", form)
        assert code == 0, err
        assert [found["on"] for found in parsed(out)] == ["2024-01-02", "2024-01-02T03:04:05Z"]
    views = {name: pa.array([text, text], pa.string_view()) for name, text in row.items()}
    pq.write_table(pa.table({**views, "n": [1.5, float("nan")]}), tmp_path / "views.parquet")
    code, out, err = typed(adapter, "views.parquet")
    assert code == 0 and [found["subject"] for found in rows_of(out)] == ["invoice 3"] * 2, err
    out = typed(adapter, "views.parquet", "--format", "jsonl")[1]

    def no_word(word: str) -> Any:
        raise AssertionError(f"{word} is no JSON")

    assert [json.loads(text, parse_constant=no_word)["n"] for text in out.splitlines()] == [1.5, None]


def test_texts_that_are_no_utf8_are_named(adapter: Path, tmp_path: Path) -> None:
    offsets = pa.array([0, 1], pa.int32()).buffers()[1]
    damaged = pa.Array.from_buffers(pa.string(), 1, [None, offsets, pa.py_buffer(b"\xe9")])
    for name in ("subject", "more"):
        columns = {"subject": ["a"], "body": ["b"], "more": ["c"]} | {name: damaged}
        pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
        code, out, err = typed(adapter, "rows.parquet", "--format", "jsonl")
        assert (code, out) == (2, "") and f"column '{name}' is not valid UTF-8" in err


def test_a_typed_text_that_is_no_utf8_is_named() -> None:
    """Python hands on such bytes of the command line as halves of characters, which Arrow does not take."""
    with pytest.raises(UserError, match=r"the text 'caf\\udce9' is not UTF-8"):
        read(None, ["good", "caf\udce9"], ["text"], None, None)


def test_a_text_without_blanks_may_be_longer_than_a_name() -> None:
    """As one of Chinese is: it was looked for among the folders, and the system refuses to look for such a name."""
    problems: list[str] = []
    assert input_file(["\u6587" * 300], problems) is None and problems == []


def test_the_rows_that_are_read_are_never_written_over(home: Path, adapter: Path, tmp_path: Path) -> None:
    """They may be the data of a search, which would not go on with others."""
    rows = Path(shutil.copy(home / "test.csv", tmp_path))
    (tmp_path / "link.csv").symlink_to(rows)
    for output in ("test.csv", rows, "link.csv"):
        code, _, errors = typed(adapter, "test.csv", "--output", output)
        assert code == 2 and "name another" in errors
    assert rows.read_bytes() == (home / "test.csv").read_bytes()


def test_bad_rows_are_named_by_number_all_at_once(adapter: Path, tmp_path: Path) -> None:
    good = {"subject": "invoice 3", "body": "validation text"}
    rows: list[Mapping[str, Any]] = [good, {"subject": "a"}, good, {"subject": None, "body": "b"}, {"subject": "c"}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, out, err = typed(adapter, "rows.jsonl")
    assert (code, out) == (2, "")
    assert "2 rows (1, 4; the first row is 0): column 'body' is null" in err
    assert "1 row (3; the first row is 0): column 'subject' is null" in err
    code, out, err = typed(adapter, "rows.jsonl", "--skip-bad-rows")
    assert code == 0 and "2 rows (1, 4; the first row is 0)" in err
    labels = [row["prediction"] for row in rows_of(out)]
    assert labels[1] == labels[3] == labels[4] == "" and labels[0] == labels[2] != ""


@pytest.mark.parametrize(
    ("words", "rows", "expected"),
    [
        (["validation.csv"], None, "validation.csv: called like a file of rows, but there is none"),
        (["hello"], None, "columns subject, body: give a file"),
        (["no-rows.csv", "hello"], None, "not both"),
        ([], b"topic,body\nx,y\n", "standard input: no column 'subject'"),
        (["--format", "xml", "--precision", "half"], b"", "must be one of csv, jsonl, parquet"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    adapter: Path, tmp_path: Path, words: list[str], rows: bytes | None, expected: str
) -> None:
    (tmp_path / "no-rows.csv").write_text("subject,body\n")
    code, out, err = typed(adapter, *words, rows=rows)
    assert (code, out) == (2, "") and expected in err and "Traceback" not in err


def test_a_backbone_that_moved_is_named_and_checked(home: Path, tmp_path: Path, other_weights: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(home / "adapter", moved / "adapter")
    description = json.loads((moved / "adapter" / CONFIG).read_text())
    assert description["base_model_name_or_path"] == str(home / "my t5")  # it was given as "my t5"
    description["base_model_name_or_path"] = "/gone/my t5"
    (moved / "adapter" / CONFIG).write_text(json.dumps(description))
    code, _, err = typed(moved / "adapter", home / "test.csv")
    assert code == 2 and "--backbone FOLDER" in err and "/gone/my t5" in err
    assert typed(moved / "adapter", home / "test.csv", "--backbone", home / "my t5")[0] == 0
    code, _, err = typed(moved / "adapter", home / "test.csv", "--backbone", other_weights)
    assert code == 2 and "other weights" in err


@pytest.fixture
def other_weights(home: Path, tmp_path: Path) -> Path:
    """The same model with one weight changed."""
    shutil.copytree(home / "my t5", tmp_path / "other t5")
    weights = tmp_path / "other t5" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    return tmp_path / "other t5"


def test_an_adapter_of_before_still_loads_and_a_broken_one_says_so(home: Path, adapter: Path, tmp_path: Path) -> None:
    row = {"subject": "invoice 3", "body": "validation text"}
    expected = load_adapter(adapter).predict_rows([row])
    old = tmp_path / "old"
    shutil.copytree(adapter, old)
    description = json.loads((old / CONFIG).read_text())
    for key in ("precision", "label_of", "target"):
        del description[key]
    (old / CONFIG).write_text(json.dumps(description))
    assert load_adapter(old).predict_rows([row]) == expected
    whole = (old / CONFIG).read_text()
    for text, words in (
        (whole[:-9], "not JSON"),
        ("[1]", "no mapping"),
        ('{"template": 3}', "backbone_revision"),
        (whole.replace("adept", "addept"), f"{CONFIG}: trial: method 'addept': must be one of"),
        ("[" * 100_000, "not JSON"),
    ):
        (old / CONFIG).write_text(text)
        with pytest.raises(UserError, match=words):
            load_adapter(old)
    (old / CONFIG).write_text(whole)
    (old / "adapter_model.safetensors").write_bytes(b"cut")
    code, _, err = typed(old, home / "test.csv")
    assert code == 2 and "damaged" in err and "Traceback" not in err
