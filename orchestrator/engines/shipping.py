"""What only the driver's host has (a backbone's folder, a task's data), brought to the other hosts by the storage.

It is put there once, fetched once a host, and kept in that host's cache under the hash of its content, which is
computed again from what has arrived. A host that has the path itself uses that: a shared folder needs no copy.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.plan.engine_spec import Shipment
from orchestrator.store.paths import StoragePath, safe_name
from trials.errors import UserError

if TYPE_CHECKING:
    from orchestrator.plan.engine_spec import EngineSpec
    from orchestrator.plan.plan import Plan

PLACE = "inputs"  # in the storage, beside the searches: they share what is equal
LIST = "list.json"  # written last: where it is, the rest is


def ship(plan: Plan, sources: list[str]) -> tuple[Shipment, ...]:
    """Put what engines read into the search's storage, unless it is there already; nothing without a storage.

    Raises:
        StorageError: the storage cannot be used.
    """
    if not plan.settings.storage:
        return ()
    below = StoragePath(plan.settings.storage) / PLACE
    return tuple(shipped(Path(source), parcel(plan, Path(source)), below) for source in sources)


def parcel(plan: Plan, source: Path) -> dict[str, Path]:
    """The files that go together, by their names in the storage: a folder's, or an own task's with its data.

    Empty for a task whose data are not beside it: their paths mean something on this host alone.
    """
    if source.is_dir():
        found = (file for file in source.rglob("*") if file.is_file())
        return {f"{source.name}/{file.relative_to(source).as_posix()}": file for file in sorted(found)}
    data = [file for files in (plan.task.files or {}).values() for file in files]
    if not all(file.is_relative_to(source.parent) for file in data):
        return {}
    return {file.relative_to(source.parent).as_posix(): file for file in [source, *data]}


def shipped(source: Path, files: dict[str, Path], below: StoragePath) -> Shipment:
    """Put files in the storage, under the hash of all; `Shipment.digest` is empty where there are none."""
    digest = digest_of(files) if files else ""
    place = below / (digest or "none")
    if files and not (place / LIST).exists():
        for name, file in files.items():
            (place / name).upload(file)
        (place / LIST).write_text(json.dumps(sorted(files)))
    return Shipment(str(source), source.name, digest, place)


def digest_of(files: dict[str, Path]) -> str:
    """Hash of files' names and contents."""
    digest = hashlib.sha256()
    for name in sorted(files):
        with files[name].open("rb") as stream:
            digest.update(f"{name}\0{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def unpacked(spec: EngineSpec) -> EngineSpec:
    """An engine's spec with paths that exist on this host: of those that do not, the copies in its cache.

    Engines of one host wait for the first one's copy.

    Raises:
        UserError: what arrived is not what was sent, or the cache cannot be written.
        StorageError: it cannot be fetched.
    """
    paths: dict[str, Any] = {}
    for shipment in spec.shipments:
        if shipment.digest and not Path(shipment.source).exists():
            here = str(fetched(shipment))
            paths |= {name: here for name in ("task", "backbone", "data_dir") if getattr(spec, name) == shipment.source}
    return replace(spec, **paths)


def fetched(shipment: Shipment, cache: Path | None = None) -> Path:
    """Where a shipment is on this host; see `unpacked`.

    Args:
        cache: folder of the host's copies; None: where tokenised data are.
    """
    from trials.data.cache import cached, default_cache_dir

    def fetch(folder: Path) -> dict[str, Any]:
        try:
            names = [safe_name(name) for name in json.loads((shipment.place / LIST).read_bytes())]
        except (ValueError, TypeError) as error:
            raise UserError([f"{shipment.place / LIST} is damaged ({error}); remove {shipment.place}"]) from error
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (shipment.place / name).download(folder / name)
        if digest_of({name: folder / name for name in names}) != shipment.digest:
            shutil.rmtree(folder)
            raise UserError(
                [
                    f"{shipment.place} is damaged: what came from there is not what {shipment.source} held; remove it, "
                    "and the same command puts it there again"
                ]
            )
        return {"source": shipment.source}

    folder, _ = cached(cache or default_cache_dir(), f"shipped-{shipment.digest[:16]}", fetch)
    return folder / shipment.opened
