"""The sweeps that come with the project: a YAML file each (docs/sweeps.md), found by its name."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def sweep_names() -> list[str]:
    """The names of the shipped sweeps, in alphabetical order."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))
