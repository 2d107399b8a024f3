"""Nights of one sweep whose winners become champions, in a tracking store of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mlflow import MlflowClient

from orchestrator.nights.champions import crown
from orchestrator.nights.crowning import Crowning
from orchestrator.nights.night import Cell, Night
from tests.orchestrator.nights.made_nights import night, verdict
from tests.orchestrator.nights.made_winners import Winners

MODEL = "adept-rte-t5-nano"
WEAK, STRONG, ALIKE = range(60), range(20), range(1, 61)


class Sweep:
    """Nights of one sweep, one after the other."""

    def __init__(self, folder: Path, uri: str) -> None:
        self.folder, self.uri = folder / "demo", uri
        self.winners = Winners(folder / "my searches", uri)
        self.client = MlflowClient(uri)
        self.nights: list[Night] = []

    def crown(self, *cells: Cell, **other: Any) -> dict[str, Crowning]:
        self.nights.append(night(len(self.nights) + 1, *cells, **other))
        return self.again()

    def again(self) -> dict[str, Crowning]:
        earlier = self.nights[:-1]
        found = crown(self.nights[-1], verdict(), tracking_uri=self.uri, folder=self.folder, earlier=earlier)
        return {one.alias: one for one in found}

    @property
    def aliases(self) -> dict[str, int]:
        return {name: int(number) for name, number in self.client.get_registered_model(MODEL).aliases.items()}

    def artifacts(self, version: str) -> Path:
        """Where the files of a version's run are."""
        run = self.client.get_model_version(MODEL, version).run_id
        assert run is not None
        return Path(url2pathname(urlsplit(self.client.get_run(run).info.artifact_uri).path))

    @property
    def versions(self) -> int:
        return len(self.client.search_model_versions(f"name = '{MODEL}'"))
