"""A task's rows on the Hugging Face hub: the copy on this machine, or else downloaded.

A commit never changes, so a copy of it is used without a question to the hub. `datasets` alone would ask each time, and
where the hub does not answer it would take its newest copy, whichever commit that is of.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from trials.errors import DataError
from trials.hub import end_all_waits, explained, fetched
from trials.tasks.base import Task
from yaml_reader.home import from_home

_COMMIT = re.compile(r"[0-9a-f]{40}")


def is_here(task: Task) -> bool:
    """Whether the rows of a task at a fixed commit are on this machine."""
    return task.hub is not None and _folder(*task.hub, task.revision) is not None


def load_repository(task: Task, layout: str) -> Any:
    """The published splits of a task: split -> `datasets.Dataset`.

    Args:
        layout: the files that would do instead, as a message names them.

    Raises:
        DataError: they are not here and cannot be had, or are another commit's than the task's.
    """
    import datasets

    assert task.hub is not None
    repository, subset = task.hub
    name = f"{repository}, subset {subset}" if subset else repository
    if (folder := _folder(repository, subset, task.revision)) is not None:
        with suppress(Exception):  # a damaged copy is made anew
            return _read(folder, repository)
    try:
        if repository.count("/") == 1 and not Path(repository).is_dir():
            _ask(repository, task.revision)
        splits = datasets.load_dataset(repository, subset, revision=task.revision)
    # Whatever goes wrong inside (network, authorisation, a moved or changed data set), the way out is the same.
    except Exception as error:
        why = explained(error, "dataset", repository, task.revision)
        raise DataError(f"task '{task.name}' needs {name} from the hub: {why}; or give {layout}") from error
    found = {Path(file["filename"]).parent.name for split in splits.values() for file in split.cache_files}
    if _is_commit(task.revision) and found and found != {task.revision}:
        other = ", ".join(sorted(found))
        raise DataError(
            f"task '{task.name}' needs {name} from the hub at revision {task.revision}, of which files are missing "
            f"there or cannot be had now; the copy on this machine is of revision {other}, whose rows may be others: "
            f"check the network, without HF_HUB_OFFLINE; or give {layout}"
        )
    return splits


def _ask(repository: str, revision: str | None) -> None:
    """Fetch the repository's card, and so hear what is wrong with it from the hub's client itself.

    `datasets` does the same first, and puts what it hears into words from which the reason cannot be told.
    """
    from huggingface_hub.errors import RemoteEntryNotFoundError

    end_all_waits()
    with suppress(RemoteEntryNotFoundError):  # a data set may do without a card
        fetched("dataset", repository, "README.md", revision)


def _is_commit(revision: str | None) -> bool:
    return revision is not None and _COMMIT.fullmatch(revision) is not None


def _folder(repository: str, subset: str | None, revision: str | None) -> Path | None:
    """Where `datasets` keeps the rows of a commit as Arrow files, if they are there."""
    if not _is_commit(revision):
        return None
    import datasets
    from datasets.naming import camelcase_to_snakecase

    owner, _, name = repository.rpartition("/")
    called = "___".join([*([owner] if owner else []), camelcase_to_snakecase(name)])
    above = from_home(datasets.config.HF_DATASETS_CACHE) / called
    found = [path for path in above.glob(f"{subset or '*'}/*/{revision}") if (path / "dataset_info.json").is_file()]
    return found[0] if len(found) == 1 else None


def _read(folder: Path, repository: str) -> Any:
    from datasets.packaged_modules.cache.cache import Cache

    config, version, commit = folder.parts[-3:]
    made = Cache(
        repo_id=repository, dataset_name=repository.split("/")[-1], config_name=config, version=version, hash=commit
    )
    return made.as_dataset()
