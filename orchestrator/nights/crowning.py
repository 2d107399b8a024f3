"""One winner of a night against the champions of the registry, and the aliases that move."""

from __future__ import annotations

import json
import logging
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pydantic import TypeAdapter

from orchestrator.command_lines import resume_command
from orchestrator.nights.beyond_noise import margin, night_noise
from orchestrator.nights.night import Cell, CellKey, Night
from orchestrator.nights.verdict import Verdict
from orchestrator.record import formats
from orchestrator.record.errors import RecordError
from orchestrator.record.kept_data import identity, rows_differ
from orchestrator.record.record import RECORD, SearchRecord
from orchestrator.record.secrecy import without_secrets
from orchestrator.store.layout import ADAPTER, PAGE
from orchestrator.store.predictions import PREDICTIONS, read_predictions
from orchestrator.store.twin_files import load_record
from orchestrator.summarizer.results.found_search import FoundSearch
from orchestrator.tracking.registry import CHAMPION, CONFIGURATION, Model, Registry, Version
from trials.errors import UserError

log = logging.getLogger(__name__)

_CELL = "cell"  # the tag of a version with all that its night measured
_MOVED = re.compile(r"since night (\S+): ")  # what the tag of an alias begins with
_TRIES = 3  # of a decision, where another night moves the same alias meanwhile


@dataclass(frozen=True, kw_only=True)
class Crowning:
    """What became of one alias in one night.

    Attributes:
        key: of the night's winner. version: that the alias stands at now.
        moved: whether it was moved. sentence: all of it for people, with the reason.
    """

    key: CellKey
    alias: str
    version: int
    moved: bool
    sentence: str


@dataclass(frozen=True)
class _Winner:
    """A cell of a night and its search."""

    cell: Cell
    search: FoundSearch

    @property
    def record(self) -> SearchRecord:
        return self.search.record


class Reign:
    """The champions of one registry.

    Args:
        place: folder in which records and answers of champions are kept once they were fetched.
    """

    def __init__(self, registry: Registry, place: Path) -> None:
        self._registry = registry
        self._place = place

    def cell(self, version: Version) -> Cell | None:
        """A champion as its night measured it; None where a person has made the version, or a later release."""
        if _CELL not in version.tags:
            return None
        folder = self._fetched(version)
        kept = folder / PREDICTIONS
        answers = str(kept) if kept.is_file() else ""
        try:
            cell = TypeAdapter(Cell).validate_json(version.tags[_CELL])
        except ValueError:
            log.warning("%s was written by another version of adept-search: nothing is compared with it", version.shown)
            return None
        scores = tuple(replace(one, predictions=answers and one.predictions and answers) for one in cell.scores)
        return replace(cell, scores=scores, folder=str(folder))

    def crown(
        self, night: Night, verdict: Verdict, cell: Cell, aliases: Sequence[str], earlier: Sequence[Night]
    ) -> Iterator[Crowning]:
        """Let a cell compete for aliases; what became of each, as soon as it is so.

        One that competes for the model's own becomes a version whatever comes of it.

        Raises:
            RegistryError: the registry does not do what it is asked. LookupError: MLflow has no run of the search.
            UserError: the search cannot be read.
        """
        winner = _Winner(cell, _search_in(Path(cell.folder)))
        if CHAMPION in aliases:
            self._add(night, verdict, winner)
        for alias in aliases:
            yield self._claim(night, verdict, winner, alias, earlier)

    def _claim(self, night: Night, verdict: Verdict, winner: _Winner, alias: str, earlier: Sequence[Night]) -> Crowning:
        key = winner.cell.key
        for _ in range(_TRIES):
            model = self._registry.model(key.task, key.backbone)
            if model is not None:
                self._registry.settle(model)
            current = None if model is None else self._registry.version(model, alias)
            moves, why = self._decide(model, current, winner, alias, night, earlier)
            if not moves and current is not None:
                return self._crowning(winner, alias, current, False, why)
            version = self._add(night, verdict, winner)
            model = self._registry.model(key.task, key.backbone)
            if model is None or model.aliases.get(alias) != (None if current is None else current.number):
                continue  # another night was faster
            tags = {**version.tags, alias: f"since night {night.date}: {why}"}
            self._registry.move(model.name, alias, version, {alias: tags[alias]}, _description(tags))
            return self._crowning(winner, alias, version, True, why)
        raise UserError([f"alias {alias} of {key.task} on {key.backbone} is moved by another night again and again"])

    def _decide(
        self,
        model: Model | None,
        current: Version | None,
        winner: _Winner,
        alias: str,
        night: Night,
        earlier: Sequence[Night],
    ) -> tuple[bool, str]:
        """Whether an alias moves to a winner, and why, or why not."""
        if model is None or current is None:
            return True, "there was no champion before"
        if current.tags.get("search_id") == winner.record.uid:
            return False, "it is the champion already"
        if why := self._cannot_run(current, winner):
            if night.date < (since := _since(current, alias)):  # it knows the data and the weights of before
                return False, (
                    f"version {current.number} cannot be run as in night {night.date} ({why}), but it has been the "
                    f"champion since {since}: a later night decides"
                )
            return True, f"version {current.number} cannot be run any more: {why}"
        champion = self._searched(current)
        if champion is None:
            return False, f"version {current.number} was not made by a night and has no record to compare with"
        found = margin(winner.search, champion, night_noise(winner.cell.key, earlier))
        if isinstance(found, str):
            return False, f"it was not compared with version {current.number}: {found}"
        then = {"method": current.tags.get("method", ""), "precision": champion.record.settings.get("precision")}
        now_is = {"method": winner.cell.key.method, "precision": winner.record.settings.get("precision")}
        other = [str(value) for name, value in then.items() if value and value != now_is[name]]
        versus = f"than version {current.number}" + (f" ({', '.join(other)})" if other else "")
        if not found.is_better:
            return False, f"not better {versus} beyond noise: {found.words}"
        if model.is_set_by_hand(alias):
            return False, (
                f"better {versus}: {found.words}; but somebody has set the alias to version {current.number} by hand, "
                "and there it stays until the alias is deleted in MLflow, or moved back"
            )
        return True, f"better {versus}: {found.words}"

    def _cannot_run(self, version: Version, winner: _Winner) -> str:
        """Why a version cannot answer on the data and the backbone of now; empty where it can."""
        from safetensors import SafetensorError, safe_open

        from trials.backbones.facts import UNKNOWN_REVISION
        from trials.backbones.revisions import is_former
        from trials.export.adapters import WEIGHTS, read_description

        with tempfile.TemporaryDirectory() as folder:
            adapter = self._registry.adapter(version, Path(folder))
            try:
                description = read_description(adapter)
                with safe_open(adapter / WEIGHTS, framework="np"):
                    pass
            except UserError as error:
                return f"its adapter cannot be read ({str(error).replace(str(adapter), version.shown)})"
            except (SafetensorError, OSError) as error:
                return f"its adapter cannot be read ({WEIGHTS} of {version.shown} is damaged: {error})"
        trained, here = str(description["backbone_revision"]), winner.record.provenance.get("backbone revision", "")
        known = here and UNKNOWN_REVISION not in (here, trained)
        if known and trained != here and not is_former(trained):
            return f"the weights of {winner.cell.key.backbone} have changed ({trained} then, {here} now)"
        champion = self._searched(version)
        differ = "" if champion is None else rows_differ(champion.record, winner.record)
        return f"the data of {winner.cell.key.task} have changed ({differ})" if differ else ""

    def _add(self, night: Night, verdict: Verdict, winner: _Winner) -> Version:
        cell, record = winner.cell, winner.record
        try:
            tags = _tags(night, verdict, winner)
            adapter = Path(cell.folder) / ADAPTER
            return self._registry.add(cell.key.task, cell.key.backbone, adapter, record.uid, tags, _description(tags))
        except LookupError as error:
            command = resume_command(record.name, Path(cell.folder).parent)
            raise LookupError(f"{error} ({record.name}): `{command}` writes it") from None

    def _searched(self, version: Version) -> FoundSearch | None:
        """The search of a version; None where it names none, or its record is gone."""
        try:
            return _search_in(self._fetched(version))
        except UserError:
            return None

    def _fetched(self, version: Version) -> Path:
        """The folder here that holds record and answers of a version; they never change."""
        folder = self._place / version.model / str(version.number)
        if load_record(folder / RECORD)[0] is None:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as beside:
                # The record comes last: where it is, all of it is, and so are the answers.
                for file in self._registry.files(version, (PREDICTIONS, RECORD), Path(beside)):
                    file.replace(folder / file.name)
        return folder

    @staticmethod
    def _crowning(winner: _Winner, alias: str, version: Version, moved: bool, why: str) -> Crowning:
        key = winner.cell.key
        what = f"{alias} of {key.task} on {key.backbone}"
        stands = f"is version {version.number} now, {key.method}" if moved else f"stays version {version.number}"
        return Crowning(key=key, alias=alias, version=version.number, moved=moved, sentence=f"{what} {stands}: {why}")


def _search_in(folder: Path) -> FoundSearch:
    """A search by its record, with its answers.

    Raises:
        RecordError: there is none that can be read.
    """
    record, problem = load_record(folder / RECORD)
    if record is None:
        raise RecordError(problem)
    return FoundSearch(record, None, str(folder), partial(read_predictions, folder / PREDICTIONS))


def _since(version: Version, alias: str) -> str:
    """The last night that is known to have had a champion's data and weights, or the day on which a person made it."""
    found = _MOVED.match(version.tags.get(alias, ""))
    return max(version.tags.get("night", version.made), found[1] if found else "")


def _tags(night: Night, verdict: Verdict, winner: _Winner) -> dict[str, str]:
    """What a version says of itself."""
    cell, record = winner.cell, winner.record
    alarms = [one.sentence for one in verdict.worse if one.key == cell.key]
    data = identity(record)
    tags = {
        "task": cell.key.task,
        "method": cell.key.method,
        "backbone": cell.key.backbone,
        "sweep": night.sweep,
        "night": cell.measured_on,
        "search": record.name,
        "metric": record.metric,
        "precision": str(record.settings.get("precision", "")),
        "score": formats.score(cell.score),
        "n": str(cell.scores[0].n),
        "seeds": ", ".join(str(one.seed) for one in cell.scores),
        "validation": "" if cell.validation is None else formats.score(cell.validation),
        CONFIGURATION: json.dumps(dict(cell.configuration), default=str),
        "data_fingerprint": data.fingerprint,
        "rows_fingerprint": data.rows,
        "backbone_revision": str(record.provenance.get("backbone revision", "")),
        "fingerprint": cell.fingerprint,
        "git_commit": str(record.provenance.get("git_commit", "")),
        "command": without_secrets(cell.command or str(record.provenance.get("command", ""))),
        "report": PAGE,
        "alarms": " ".join(alarms),
        _CELL: TypeAdapter(Cell).dump_json(cell).decode(),
    }
    return {name: text for name, text in tags.items() if text}


def _description(tags: dict[str, str]) -> str:
    """A version in Markdown, as MLflow shows it, from its tags."""
    plain = {name: formats.markdown(text) for name, text in tags.items()}
    named = [f"**{plain['method']}** on task **{plain['task']}** with the backbone **{plain['backbone']}**"]
    named.append(f"{plain['metric']} {plain['score']} on test (n {plain['n']}, seeds {plain['seeds']})")
    where = f"night {plain['night']} of sweep {plain['sweep']}"
    reasons = [f"`{name}` {plain[name]}." for name in tags if name.startswith(CHAMPION)]
    alarms = [f"Of that night: {plain['alarms']}"] if "alarms" in tags else []
    command = f"Made by `{tags['command']}`" if "command" in tags else ""
    report = f"The report is {PAGE} among the artifacts of the source run."
    return "\n\n".join(filter(None, [f"{': '.join(named)}; {where}.", *reasons, *alarms, command, report]))
