"""``adept-search history``."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.nights.history import History
from orchestrator.nights.night_files import KeptNight
from orchestrator.store.paths import StoragePath
from tests.orchestrator.nights.made_nights import DEBSEC, cell, finding, night, verdict


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    history = History("runs/history")
    for one in (KeptNight(night(1)), KeptNight(night(2, cell(DEBSEC, 45.0)), verdict(finding()))):
        history.append(*one)
    return tmp_path


def asked(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["history", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_shows_the_last_nights_and_writes_what_is_asked_for(runs: Path) -> None:
    code, shown, _ = asked("--html", "page/history.html", "--out", "tables")
    assert code == 0
    for text in ("Night of 2026-03-02: 1 worse", "45.0!", "Alarms", "debsec, adept: 52.0 to 47.0", "debmatch, pt on"):
        assert text in " ".join(shown.split())
    assert "Night of" in (runs / "page" / "history.html").read_text()
    assert (runs / "tables" / "report.md").read_text().startswith("# Nights of demo\n")
    rows = parquet.read_table(runs / "tables" / "tables.parquet").to_pylist()
    assert any(row["value"] == 45.0 for row in rows) and (runs / "tables" / "report.tex").exists()
    assert "2026-03-01" in shown
    assert "2026-03-01" not in asked("demo", "--history", f"file://{runs}/runs/history", "--nights", "1")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--history", "nowhere"), "nowhere: there is no history here"),
        (("demp",), "demp: the history in runs/history has no night of it (did you mean 'demo'?)"),
        (("--history", "s4://x/y"), "--history s4://x/y: unknown scheme 's4'"),
        (("--formats", "html", "--out", "x"), "--formats html: a history is written as"),
        (("--formats", "csv"), "--formats csv: name the folder"),
    ],
)
def test_what_is_wrong_is_named(arguments: tuple[str, ...], message: str, runs: Path) -> None:
    code, _, error = asked(*arguments)
    assert code == 2 and message in " ".join(error.split()) and "Traceback" not in error


def test_one_of_several_sweeps_must_be_named(runs: Path) -> None:
    History("runs/history").append(night(1, sweep="other"))
    code, _, error = asked()
    assert code == 2 and "name one of the sweeps in runs/history: demo, other" in error


def test_a_damaged_night_is_named_and_the_others_are_shown(runs: Path) -> None:
    Path("runs/history/nights/demo/2026-03-02.parquet").write_bytes(b"x")
    code, shown, error = asked("demo")
    assert code == 0 and "Night of 2026-03-01" in shown and "2026-03-02.parquet is damaged and left out" in error


def test_a_sweep_file_s_nights_are_shown_where_its_rows_cannot_be_read_any_more(runs: Path) -> None:
    Path("mail.yaml").write_text("{name: mail, template: '{text}', files: {train: gone.csv}}")
    Path("demo.yaml").write_text("tasks: [mail.yaml]\nbackbones: gone/\nhistory: runs/history\n")
    code, shown, error = asked("./demo.yaml")
    assert code == 0 and "Night of 2026-03-02" in shown, error
    Path("demo.yaml").write_text("tasks: [mail.yaml]\nhistry: runs/history\n")
    code, _, error = asked("./demo.yaml")
    assert code == 2 and "demo.yaml:2: " in error


def test_to_look_at_a_history_in_a_storage_writes_nothing_there(runs: Path) -> None:
    code, _, error = asked("--history", f"file://{runs}/nowhere")
    assert code == 2 and "there is no history here" in error and not (runs / "nowhere").exists()
    with patch.object(StoragePath, "write_bytes", side_effect=OSError("ACCESS_DENIED")):  # of keys that may read alone
        assert asked("demo", "--history", f"file://{runs}/runs/history")[0] == 0
