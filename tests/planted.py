"""Secrets planted in a search's environment, and where on the machine they have got to."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

NAMES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AZURE_CLIENT_SECRET",
    "AZURE_STORAGE_CONNECTION_STRING",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "WANDB_API_KEY",
)


def planted() -> dict[str, str]:
    """A value for each variable that nothing else on the machine has."""
    return {name: f"planted{secrets.token_hex(12)}" for name in NAMES}


def command_lines() -> Iterator[tuple[Path, str]]:
    """What everybody on the machine can list."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield file, file.read_text(errors="replace")
        except OSError:
            continue


def found_in(places: Mapping[str, str], values: Mapping[str, str]) -> list[tuple[str, str]]:
    """Which secret is in which place."""
    return [(name, place) for place, text in places.items() for name, value in values.items() if value in text]


def texts_below(*folders: Path) -> dict[str, str]:
    """The content of all files, SQLite's and Ray's included, and their names."""
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file() and not file.is_symlink()]
    return {str(file): file.read_bytes().decode("latin-1") + str(file) for file in files}


class ProcessWatch:
    """All command lines that there are while this is open, looked at again and again.

    Attributes:
        seen: each of them. looks: how often all processes were looked at.
    """

    def __init__(self, pause: float = 0.1) -> None:
        self.seen: set[str] = set()
        self.looks = 0
        self._pause = pause
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> ProcessWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(self._pause):
            self.seen.update(text for _, text in command_lines())
            self.looks += 1
