"""A sweep file in a folder, and its nights, whose searches are made instead of trained."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

from orchestrator.console import PlainConsole
from orchestrator.nights.history import History
from orchestrator.nights.run import plan_night, run_night
from tests.orchestrator.sweep.made_sweeps import SMALL, made

NIGHT = SMALL + "champions: no\nnotify: {when: always, file: notes.jsonl}\n"


class Weeks:
    """A sweep file in a folder, and its nights."""

    def __init__(self, folder: Path, text: str = NIGHT) -> None:
        self.folder, self.trained = folder, list[str]()
        self.file = folder / "small.yaml"
        self.file.write_text(text)
        self.place = folder / "runs" / "small"
        self.console = PlainConsole(quiet=True)

    def night(self, day: str | None, **given: Any) -> int:
        how = {"run_one": made(self.trained), **given}
        return run_night(str(self.file), self.console, day=day, places={"output": str(self.folder / "runs")}, **how)

    @property
    def dates(self) -> list[str]:
        return [one.date for one in History(self.folder / "runs" / "history").nights("small")]

    @property
    def notified(self) -> int:
        return len((self.folder / "notes.jsonl").read_text().splitlines())


def with_mail(tmp_path: Path, text: str = NIGHT) -> Weeks:
    """A sweep of debsec and of an own task with rows in CSV."""
    weeks = Weeks(tmp_path, text.replace("debmatch", "mail.yaml"))
    rows = "text,kind\n" + "\n".join(f"{kind} {number},{kind}" for number in range(9) for kind in ("good", "bad"))
    files = {split: f"{split}.csv" for split in ("train", "validation", "test")}
    for file in files.values():
        (tmp_path / file).write_text(rows + f"\nthe last of {file},good\n")
    (tmp_path / "mail.yaml").write_text(
        f"{{name: mail, template: '{{text}}', label_column: kind, files: {json.dumps(files)}}}"
    )
    return weeks


def planned(weeks: Weeks, day: str | None = None) -> str:
    """What ``nightly SWEEP --plan`` prints."""
    console = PlainConsole(file=StringIO(), width=120)
    assert plan_night(str(weeks.file), console, day=day, places={"output": str(weeks.folder / "runs")}) == 0
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()
