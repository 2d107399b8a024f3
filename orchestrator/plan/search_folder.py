"""The folder of a planned search: whether what is there belongs to it, and what is written when it begins."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.plan.plan import Plan
from orchestrator.plan.sources import SOURCES
from orchestrator.record.record import RECORD, SearchRecord
from orchestrator.record.strict_json import write_atomically
from orchestrator.store.checkpoints import attempts
from orchestrator.store.layout import DEFINITION, OPTIONS, TUNE
from orchestrator.store.paths import Folder, StoragePath
from orchestrator.store.twin_files import copy_of, keep_record, load_record, read_either, write_twice
from trials.backbones.revisions import same_revision
from trials.config import Precision
from trials.data_facts import DataIdentity
from trials.errors import UserError
from trials.source_prompts import to_file

DATA = "data"  # the definition's key of what the rows were
CHOSEN = "chosen_precision"  # that of what ``--precision auto`` stands for
UID = "uid"  # and that of what tells the search from others of its name
_SHOWN = 40  # characters of a value in a message
_CALLED = {"revision": "revision of the backbone's weights"}


@dataclass
class SearchFolder:
    """A search's folder.

    Attributes:
        begun: whether a search has been started in it. damage: what was found damaged there, and what was used instead.
        data: what the search's rows were when it began; None where an earlier version did not write that down.
        precision: what ``--precision auto`` stands for in it; None: not decided.
        uid: the `SearchRecord.uid` of the search that began; empty likewise.
    """

    folder: Path
    record: Path = field(init=False)
    begun: bool = False
    data: DataIdentity | None = None
    precision: Precision | None = None
    uid: str = ""
    damage: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.record = self.folder / RECORD

    def previous(self, plan: Plan) -> SearchRecord | None:
        """What an earlier run of this search has recorded; None also where that was lost.

        Raises:
            UserError: the folder belongs to a search with other settings, or to one that is not known.
        """
        definition = self.folder / DEFINITION
        if not (definition.exists() or copy_of(definition).exists()):
            if attempts(self.folder / TUNE):
                raise UserError([f"--name {plan.name}: {self._unknown()}"])
            return None
        self.begun = True
        before, damaged = read_either(definition)
        data, self.uid, self.precision = before.pop(DATA, None), before.pop(UID, ""), before.pop(CHOSEN, None)
        self.data = None if data is None else DataIdentity(**data)
        now = json.loads(json.dumps(plan.definition))
        # An earlier version did not name what a task file decides: the data's fingerprint differs then (`same_data`).
        unnamed = plan.task_file.keys() if not {"labels", "target"} & before.keys() else ()
        if same_revision(str(before.get("revision", "")), plan.facts.revision, plan.facts.location):
            before["revision"] = now["revision"]
        changed = sorted(key for key in now | before if now.get(key) != before.get(key))
        changed = [key for key in changed if key not in {*unnamed, *moved(plan, before)}]
        if changed:
            raise UserError(
                [
                    f"--name {plan.name}: {self.folder} holds a search of that name with another "
                    f"{_described(before, now, changed)}; put it back as it was, choose another --name, or remove the "
                    f"folder{_revised(changed)}"
                ]
            )
        record, lost = load_record(self.record)
        self.damage = [text for text in (damaged, lost) if text]
        return record

    def _unknown(self) -> str:
        return (
            f"{self.folder / TUNE} holds checkpoints, but {DEFINITION} beside it, which names their search, is gone "
            "with its copy. Nothing was touched; bring it back from a backup, or search under another --name"
        )

    def begin(self, plan: Plan, options: Mapping[str, Any], record: SearchRecord, data: DataIdentity) -> None:
        """Write down what the search is, so that it can be taken up again; the definition last, as the sign of it."""
        if plan.sources and not (self.folder / SOURCES).exists():
            write_atomically(self.folder / SOURCES, to_file(plan.sources))
        keep_record(record, self.record)
        write_twice(self.folder / OPTIONS, dict(options))
        found_out = {DATA: asdict(data), UID: record.uid, **({CHOSEN: plan.chosen} if plan.chosen else {})}
        write_twice(self.folder / DEFINITION, {**plan.definition, **found_out})


def chosen_there(plan: Plan) -> Precision | None:
    """What ``--precision auto`` stands for in a search that has begun; None where none has, or it cannot be read."""
    try:
        return read_either(plan.folder / DEFINITION)[0].get(CHOSEN)
    except UserError:
        return None


def moved(plan: Plan, before: Mapping[str, Any]) -> set[str]:
    """Keys of a definition that say where something is: they may differ where a fingerprint says that it is the same.

    Args:
        before: the definition as it was written down. The data's fingerprint is in the record.
    """
    folder = not plan.facts.is_embedded and Path(plan.facts.location).is_dir()
    same_weights = folder and plan.facts.revision == before.get("revision")
    return {"data_dir", "backbone"} if same_weights else {"data_dir"}


def _described(before: Mapping[str, Any], now: Mapping[str, Any], changed: list[str]) -> str:
    """The keys of a definition that differ, with what they were and are where that is short."""
    things = []
    for key in changed:
        then, here = (json.dumps(side[key], ensure_ascii=False) if key in side else "none" for side in (before, now))
        short = max(len(then), len(here)) <= _SHOWN
        things.append(_CALLED.get(key, key) + (f" (then {then}, now {here})" if short else ""))
    return ", ".join(things)


def _revised(changed: list[str]) -> str:
    """What it means that another revision of the trainer is at hand."""
    if "trainer_revision" not in changed:
        return ""
    return (
        ". Another version of this program trained it, with which the same configurations give other numbers; "
        "adept-search report still reads it"
    )


def stored(plan: Plan) -> StoragePath | None:
    """A search's place in its storage; None where it has none."""
    return StoragePath(plan.settings.storage) / plan.name if plan.settings.storage else None


def checkpoints_of(plan: Plan) -> Folder:
    """Where the checkpoints of a search's trials are."""
    return (stored(plan) or plan.folder) / TUNE
