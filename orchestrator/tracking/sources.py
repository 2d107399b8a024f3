"""Finds the sources of a transfer: in folders, among the searches of the results' folder, in the MLflow store.

A source is an adapter's folder, a search by its name, or a task by its: then it is the task's champion of prompt tuning
in MLflow's registry, or else the winner with the best validation score of all searches of prompt tuning on that task.
A method that starts from its own adapters takes its own champion, and its own searches. Whatever is named must have
been trained on the backbone of the search that asks for it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.command_lines import comma_separated, command_line
from orchestrator.plan.settings import SearchSettings
from orchestrator.plan.sources import name_of
from orchestrator.store.layout import ADAPTER
from orchestrator.tracking import projection
from orchestrator.tracking.pages import find_experiments, find_runs, quoted
from orchestrator.tracking.projection import PARENT
from orchestrator.tracking.registry import Registry, champion_of
from orchestrator.tracking.store import TrackingError, open_for_reading
from trials.backbones.describe import backbone_names, describe
from trials.backbones.facts import Facts
from trials.errors import UserError, did_you_mean
from trials.export.files import CONFIG
from trials.export.source_prompts import read_source, source_methods, why_no_source
from trials.methods import get_method
from trials.source_prompts import SourcePrompt
from yaml_reader.home import from_home

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

METHOD = "pt"
"""Whose prompts a task's name means to a method that starts from prompts: SPoT, ATTEMPT, MPT."""

_SHOWN = 8  # names in a message


@dataclass(frozen=True)
class Candidate:
    """A search with a winner whose prompt could be a source.

    Attributes:
        backbone: its name. score: of the winner on validation, in percent.
        folder: of its adapter; None where it is in the store. run: of the search, in the store.
    """

    search: str
    task: str
    method: str
    backbone: str
    score: float
    folder: Path | None = None
    run: Run | None = None


class StoredSources:
    """`FindSources` in the results' folder and the MLflow store of a search."""

    def find(self, settings: SearchSettings, facts: Facts) -> list[SourcePrompt]:
        """What ``--sources`` names, in its order.

        Args:
            facts: of the backbone that they must have been trained on.

        Raises:
            UserError: everything that is wrong with them.
        """
        place = _Place(settings, facts)
        found, problems = [], []
        for part in comma_separated(settings.sources):
            try:
                found.append(place.source(part))
            except UserError as error:
                problems += [f"--sources: {problem}" for problem in error.problems]
        if problems:
            raise UserError(problems)
        return found

    def there(self, settings: SearchSettings, facts: Facts) -> list[str]:
        """Searches that could be named, on this backbone, a few of them."""
        place = _Place(settings, facts)
        return _few([one.search for one in place.candidates if one.backbone == facts.name])


class _Place:
    """Where sources are looked for."""

    def __init__(self, settings: SearchSettings, facts: Facts) -> None:
        self.output, self.facts = from_home(settings.output).absolute(), facts
        self.wanted = get_method(settings.method)
        self.of_tasks = METHOD if self.wanted.source_kind == "prompt" else self.wanted.name
        self.client: MlflowClient | None = None
        self.shown = self.away = ""
        try:
            self.client, self.shown = open_for_reading(settings.tracking_uri)
        except TrackingError as error:
            self.away = error.problems[0]
        here = list(self._in_folders())
        names = {one.search for one in here}
        self.searches = here + [one for one in self._in_store() if one.search not in names]
        methods = source_methods(self.wanted)
        self.candidates = [one for one in self.searches if one.method in methods]

    def source(self, part: str) -> SourcePrompt:
        """One source.

        Raises:
            UserError: there is none, or it cannot be used.
        """
        name, path = name_of(part), from_home(part)
        for folder in (path, path / ADAPTER):
            if (folder / CONFIG).exists():
                return self._from(folder, name, f"adapter {folder}")
        if "/" in part:
            raise UserError([f"{part}: no adapter is there: a folder with {CONFIG} in it, or a search's, is expected"])
        if chosen := next((one for one in self.searches if one.search == part), None):
            if why := why_no_source(chosen.method, self.wanted):
                raise UserError([f"source {name} (search {part}) {why}"])
            return self._read(chosen, name)
        if champion := self._champion(part):
            return champion
        of_task = [one for one in self.candidates if one.task == part and one.method == self.of_tasks]
        on_this = [one for one in of_task if one.backbone == self.facts.name]
        if on_this:
            return self._read(max(on_this, key=lambda one: one.score), name)
        raise UserError([self._nothing(part, of_task)])

    def _nothing(self, part: str, of_task: Sequence[Candidate]) -> str:
        """Why a name means nothing, and what there is."""
        facts = self.facts
        method, whole = self.of_tasks, self.wanted.source_kind == "adapter"
        kind, things = (f"adapter of {method}", f"adapters of {method}") if whole else ("prompt", "prompts")
        is_known = facts.name in backbone_names() and describe(facts.name).location == facts.location
        backbone = facts.name if is_known else facts.location  # a folder may be called like a known one
        command = command_line("search", task=part, method=method, backbone=backbone)
        if of_task:
            others = ", ".join(dict.fromkeys(one.backbone for one in of_task))
            return f"{part}: its {things} are of {others}, and none of {facts.name}; train one: {command}"
        there = [one for one in self.candidates if one.backbone == facts.name]
        names = list(dict.fromkeys([*(one.search for one in there), *(o.task for o in there if o.method == method)]))
        known = f"there are {', '.join(_few(names))}" if names else f"there is none of {facts.name} yet"
        store = f" and in {self.shown}" if self.client else f" (MLflow was not asked: {self.away})"
        return (
            f"{part}: no search, and no task with a trained {kind}, is called so in {self.output}{store}"
            f"{did_you_mean(part, names)}; {known}. --method {method} trains a source on its task, as in: {command}"
        )

    def _read(self, chosen: Candidate, name: str) -> SourcePrompt:
        if chosen.folder is not None:
            return self._from(chosen.folder, name, f"search {chosen.search}")
        assert self.client is not None and chosen.run is not None
        origin = f"search {chosen.search} (run {chosen.run.info.run_id[:8]})"
        winner = chosen.run.data.tags.get("winner.trial", "")
        below = (
            f"tags.`{PARENT}` = '{chosen.run.info.run_id}' AND tags.kind = 'trial' AND tags.trial = {quoted(winner)}"
        )
        trials = [
            run
            for run in find_runs(self.client, [chosen.run.info.experiment_id], below)
            if run.data.tags.get(projection.ADAPTER)
        ]
        if not trials:
            raise UserError([f"{name}: {origin} has no adapter of its winner in {self.shown}: train it again"])
        best = max(trials, key=lambda run: run.data.metrics.get("best_score", float("-inf")))
        with tempfile.TemporaryDirectory() as folder:
            try:
                fetched = self.client.download_artifacts(best.info.run_id, projection.ADAPTER, folder)
            except Exception as error:  # of MLflow, or of whatever holds its artifacts
                reason = " ".join(str(error).split())[:200]
                raise UserError(
                    [f"{name}: the adapter of {origin} cannot be fetched from {self.shown} ({reason})"]
                ) from error
            return self._from(Path(fetched), name, origin)

    def _from(self, folder: Path, name: str, origin: str) -> SourcePrompt:
        return read_source(folder, name, self.wanted, self.facts, origin)

    def _champion(self, task: str) -> SourcePrompt | None:
        """What is registered of a task; None where nothing is."""
        if self.client is None:
            return None
        registry = Registry(self.client, self.shown)
        with suppress(TrackingError):
            model = registry.model(task, self.facts.name)
            version = None if model is None else registry.version(model, champion_of(self.of_tasks))
            if version is not None:
                with tempfile.TemporaryDirectory() as folder:
                    adapter = registry.adapter(version, Path(folder))
                    if (adapter / CONFIG).exists():
                        return self._from(adapter, task, f"champion {version.shown}")
        return None

    def _in_folders(self) -> Iterator[Candidate]:
        for file in sorted(self.output.glob(f"*/{ADAPTER}/{CONFIG}")):
            with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                about: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
                backbone = Path(str(about["base_model_name_or_path"])).name
                score = float(about.get("validation_score", float("-inf")))
                search, method = file.parent.parent.name, str(about["trial"]["method"])
                yield Candidate(search, str(about["task"]), method, backbone, score, file.parent)

    def _in_store(self) -> Iterator[Candidate]:
        if self.client is None:
            return
        experiments = [one.experiment_id for one in find_experiments(self.client)]
        for run in find_runs(self.client, experiments, "tags.kind = 'search'") if experiments else ():
            params, tags, metrics = run.data.params, run.data.tags, run.data.metrics
            if tags.get("status") != "finished" or not tags.get("winner.trial"):
                continue
            scores = [v for k, v in metrics.items() if k.startswith("validation/") and k != "validation/n"]
            known = (
                tags.get("search", ""),
                params.get("task", ""),
                params.get("method", ""),
                params.get("backbone", ""),
            )
            yield Candidate(*known, max(scores, default=float("-inf")), run=run)


def _few(names: Sequence[str]) -> list[str]:
    more = len(names) - _SHOWN
    return [*names[:_SHOWN], *([f"{more} more"] if more > 0 else [])]
