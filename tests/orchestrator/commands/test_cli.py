"""The command line as a user meets it: exit code 2, one message, nothing started."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator.cli import main
from tests.orchestrator.typed_commands import typed

ROOT = Path(__file__).parents[3]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The script in a process of its own, which takes seconds to import what it needs."""
    return subprocess.run(
        [sys.executable, str(ROOT / "orchestrator" / "search.py"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "ADEPT_CACHE": str(folder / "cache")},
    )


def run_here(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in this process; an error that is not turned into a message is raised."""
    out, error, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(error):
        patch.chdir(folder)
        patch.setenv("ADEPT_CACHE", str(folder / "cache"))
        patch.setattr(
            "orchestrator.commands.search.silence_libraries", lambda: None
        )  # it would silence the tests that come after
        try:
            main(["search", *arguments])
        except SystemExit as ended:
            code = int(ended.code or 0)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), error.getvalue())


def refused(folder: Path, *arguments: str, run: Callable[..., subprocess.CompletedProcess[str]] = run_here) -> str:
    """The message of a request that is refused, which must leave nothing behind but tokenised data."""
    before = set(folder.iterdir())
    done = run(folder, *arguments)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert set(folder.iterdir()) - before <= {folder / "cache"}
    return done.stderr


def test_wrong_values_of_all_kinds_come_in_one_message(tmp_path: Path) -> None:
    message = refused(
        tmp_path, "--task", "rtr", "--method", "adpt", "--steps", "x", "--recipe", "papr", "--backbone", "t6", run=run
    )
    assert message.startswith("errors:")
    assert message.count("\n  - ") == 5


def test_an_unknown_option_is_refused(tmp_path: Path) -> None:
    assert "--tsk" in refused(tmp_path, "--tsk", "rte")


def test_a_space_with_a_typo_is_refused_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(
        "settings: {steps: 4, eval_every: 4, batch_size: 2, warmup_steps: 0}\n"
        "grids:\n  adept: {promt_lr: 1, mlp_lr: fast}\n"
    )
    message = refused(tmp_path, "--space", "s.yaml")
    assert "promt_lr" in message and "prompt_lr" in message and "fast" in message


def test_a_backbone_folder_without_weights_is_refused(tmp_path: Path) -> None:
    nano = ROOT / "trials" / "embedded" / "t5-nano"
    shutil.copytree(nano, tmp_path / "empty", ignore=shutil.ignore_patterns("*.safetensors"))
    assert "no weights" in refused(tmp_path, "--backbone", "empty")


def test_a_tracking_server_that_is_not_there_is_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, "--tracking-uri", "http://user:secret@127.0.0.1:9")
    assert "127.0.0.1:9" in message and "secret" not in message


def test_an_output_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    assert "cannot write" in refused(tmp_path, "--output", "/proc/no")


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"sentence1": ["a"] * 4, "label": [0, 1, 0, 1]}, "sentence2"),
        ({"sentence1": ["a"] * 4, "sentence2": ["b"] * 4, "label": [0, 1, 7, -1]}, "7"),
        ({"sentence1": [], "sentence2": [], "label": []}, "no rows"),
        (None, "parquet"),
    ],
)
def test_bad_data_is_refused(tmp_path: Path, table: dict[str, list[object]] | None, expected: str) -> None:
    folder = tmp_path / "data" / "glue" / "rte"
    folder.mkdir(parents=True)
    for split in ("train", "validation"):
        if table is None:
            (folder / f"{split}.parquet").write_bytes(b"PAR1 and then nothing")
        else:
            pq.write_table(pa.table(table), folder / f"{split}.parquet")
    message = refused(tmp_path, "--task", "rte", "--backbone", "t5-nano", "--data-dir", "data")
    assert expected in message.lower()


def test_resume_needs_something_to_resume(tmp_path: Path) -> None:
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "options.json").write_text(json.dumps({"task": "debsec", "steps": "8"}))
    assert "did you mean 'mine'?" in refused(tmp_path, "--resume", "--name", "mime")
    assert "was started with 8" in refused(tmp_path, "--resume", "--name", "mine", "--steps", "9")
    assert "holds no search yet" in refused(tmp_path, "--resume", "--steps", "8")


def test_plan_starts_nothing(tmp_path: Path) -> None:
    done = run(tmp_path, "--task", "rte", "--plan", "--price", "2")
    assert done.returncode == 0, done.stderr
    for words in ("24 trials x 30,000 steps = 720,000 steps", "76,051", "device-hours", "estimated cost", "t5-base"):
        assert words in done.stdout
    assert not list(tmp_path.iterdir())


def test_the_installed_command_shares_the_parser() -> None:
    code = "from orchestrator.cli import main; main(['search', '--task', 'rtr'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 2
    assert "did you mean 'rte'?" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("search", "--output", "~/runs"),
        ("search", "--task", "~/task.yaml"),
        ("search", "--data-dir", "~/data"),
        ("sweep", "~/sweep.yaml", "--plan"),
        ("report", "--runs", "~/runs"),
    ],
)
def test_a_path_from_home_is_refused_where_there_is_no_home_folder(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("posixpath.expanduser", str)  # as it is where the system does not know the user either
    code, _, err = typed(*words)
    assert code == 2 and "HOME is not set" in err and "write the path in full" in err
    assert next(word for word in words if word.startswith("~")) in err


def test_a_path_from_the_home_of_nobody_is_refused_with_its_name() -> None:
    code, _, err = typed("plan", "--output", "~no-such-user/runs")
    assert code == 2 and "~no-such-user/runs: the system knows no user no-such-user with a home folder" in err


LONG = "n" * 300


@pytest.mark.parametrize(
    ("words", "holds"),
    [
        *[
            (("plan", option, LONG), option)
            for option in ("--task", "--backbone", "--space", "--data-dir", "--sources")
        ],
        (("plan", "--sources", f"debsec,{LONG}"), "--sources"),
        (("plan", "--output", f"runs/{LONG}/mine"), "--output"),
        (("plan", "--output", "\u00e4" * 130), "--output"),  # two bytes each
        (("search", "--resume", "--name", "mine", "--output", LONG), "--output"),
        (("sweep", LONG), "FILE|NAME"),
        (("nightly", LONG), "SWEEP"),
        (("report", "--runs", LONG), "--runs"),
        (("predict", LONG, "a text"), "ADAPTER"),
        (("nightly", "install", "demo", "--cron", "--out", LONG), "--out"),
    ],
)
def test_a_name_that_no_file_can_have_is_refused_with_its_option_and_the_rule(
    words: tuple[str, ...], holds: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = typed(*words)
    assert code == 2 and holds in err.replace("\n", " ")
    assert "name of a file or folder may have 255 bytes" in err and "give a shorter one" in err
    assert LONG not in err and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "value"), [("--name", LONG), ("--name", "n " * 150), ("--steps", LONG), ("--tracking-uri", LONG)]
)
def test_a_long_value_is_shown_by_its_ends(option: str, value: str) -> None:
    code, _, err = typed("plan", option, value)
    assert code == 2 and option in err and "(300 characters)" in err and len(err) < 600


def test_a_name_in_a_file_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(f"tasks: [{LONG}]\nmethods: [pt]\nbackbones: [t5-nano]\n")
    code, _, err = typed("sweep", str(tmp_path / "mine.yaml"), "--plan")
    assert code == 2 and err.startswith("error: nnn") and "name of a file or folder may have 255 bytes" in err
