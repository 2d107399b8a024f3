"""The adapter of one training, from the folder of its search, its storage, or the tracking store."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.analyses.pools import Trained
from orchestrator.record.errors import StorageError
from orchestrator.store.checkpoints import Files, adapter_folder, read_files
from orchestrator.store.layout import ADAPTER, OPTIONS, TUNE
from orchestrator.store.paths import Folder, StoragePath, listed
from trials.errors import UserError
from trials.export.files import CONFIG, WEIGHTS


def adapter_of(one: Trained, tracking_uri: str | None) -> Files:
    """The files of its best adapter by their names.

    Args:
        tracking_uri: of the store that the search was found in.

    Raises:
        UserError: none was kept where the search was found.
    """
    search = one.search
    found = _in_folder(one) if search.folder is not None else _in_store(one, tracking_uri)
    if {CONFIG, WEIGHTS} <= found.keys():
        return found
    raise UserError(
        [
            f"{one.title} has no adapter in {search.folder or search.source}: removed, or never kept. The command of "
            f"its search with --rerun {one.trial.number} trains it again"
        ]
    )


def options_of(one: Trained, tracking_uri: str | None) -> Mapping[str, Any]:
    """The options that its search was started with; empty where they are not known."""
    search = one.search
    if search.folder is not None:
        file = search.folder / OPTIONS
        return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}
    from orchestrator.tracking.store import open_for_reading

    client, _ = open_for_reading(tracking_uri)
    return dict(json.loads(client.get_run(search.run_id).data.tags.get("options", "{}")))


def _in_folder(one: Trained) -> Files:
    folder = one.search.folder
    assert folder is not None
    test = one.search.record.test
    if test is not None and test.trial_number == one.trial.number and (folder / ADAPTER).is_dir():
        return read_files(folder / ADAPTER)
    storage = options_of(one, None).get("storage")
    places: list[Folder] = [folder / TUNE]
    places += [StoragePath(storage) / one.search.record.name / TUNE] if storage else []
    for place in places:
        try:
            found = adapter_folder(place, one.trial.number, one.trial.best_step or 0)
        except StorageError as error:
            raise UserError([f"{one.title}: {problem}" for problem in error.problems]) from error
        if found is not None:
            return {file.name: file.read_bytes() for file in listed(found, "*")}
    return {}


def _in_store(one: Trained, tracking_uri: str | None) -> Files:
    from mlflow.exceptions import MlflowException

    from orchestrator.tracking.pages import find_runs
    from orchestrator.tracking.projection import ADAPTER as ARTIFACT
    from orchestrator.tracking.projection import PARENT
    from orchestrator.tracking.store import open_for_reading

    client, _ = open_for_reading(tracking_uri)
    parent = client.get_run(one.search.run_id)
    below = f"tags.`{PARENT}` = '{one.search.run_id}' AND tags.kind = 'trial' AND tags.trial = '{one.trial.number}'"
    for run in find_runs(client, [parent.info.experiment_id], below):
        with tempfile.TemporaryDirectory() as folder:
            try:
                return read_files(Path(client.download_artifacts(run.info.run_id, ARTIFACT, folder)))
            except (MlflowException, OSError):
                continue
    return {}
