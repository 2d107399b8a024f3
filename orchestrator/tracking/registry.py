"""MLflow's registry of models: adapters as versions of `adept-TASK-BACKBONE`, and the aliases that name the best ones.

The registry is a picture of what nights decided, but for the aliases: where a person has moved one, that counts. MLflow
keeps no account of who set an alias, so the version that a night gave it stands in a tag of the model.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.record.secrecy import without_secrets
from orchestrator.tracking.pages import find_experiments, find_runs, find_versions, quoted
from orchestrator.tracking.projection import UID
from orchestrator.tracking.store import TrackingError, open_for_reading

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION = "champion"
"""The alias of a model's best version over all methods; `champion_of` names that of one method."""

CONFIGURATION = "configuration"  # the tag of a version with its hyperparameters, as JSON
_SET = "nights."  # before an alias, the tag of a model: the version that a night gave it last
_GONE = ("RESOURCE_DOES_NOT_EXIST", "ENDPOINT_NOT_FOUND")


class RegistryError(TrackingError):
    """The registry does not answer, or refuses what it is asked."""


def champion_of(method: str) -> str:
    """The alias of the best version of one method."""
    return f"{CHAMPION}-{re.sub(r'[^A-Za-z0-9_-]', '-', method)}"


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version of a model.

    Attributes:
        number: from 1. run: id of the search's run in MLflow, with its report; empty where a person made the version.
        made: the day it was made on here, in ISO form.
    """

    model: str
    number: int
    made: str
    run: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """Model and version as MLflow's addresses have them."""
        return f"models:/{self.model}/{self.number}"


@dataclass(frozen=True, kw_only=True)
class Model:
    """A registered model.

    Attributes:
        aliases: the number of the version that each stands at.
    """

    name: str
    aliases: Mapping[str, int]
    tags: Mapping[str, str]

    def is_set_by_hand(self, alias: str) -> bool:
        """Whether somebody has moved the alias since a night did last."""
        ours = {int(number) for number in self.tags.get(_SET + alias, "").split()}
        return alias in self.aliases and self.aliases[alias] not in ours


class Registry:
    """The models of a tracking store. Each method raises `RegistryError` where MLflow does not do what it is asked.

    Attributes:
        shown: the store's URI without secrets.
    """

    def __init__(self, client: MlflowClient, shown: str) -> None:
        self._client = client
        self.shown = shown

    @classmethod
    def open(cls, tracking_uri: str | None) -> Registry:
        """The registry of a store that is there.

        Raises:
            TrackingError: it is not there, or does not answer.
        """
        return cls(*open_for_reading(tracking_uri))

    def model(self, task: str, backbone: str) -> Model | None:
        """The model of a task and a backbone; None before its first version."""
        return self._model(self._name(task, backbone))

    def models(self) -> list[Model]:
        """All models of tasks and backbones, by name."""
        from orchestrator.tracking.pages import find_models

        with self._asked("the list of its models"):
            names = sorted(model.name for model in find_models(self._client, "name LIKE 'adept-%'"))
        return [model for name in names if (model := self._model(name)) is not None and "task" in model.tags]

    def version(self, model: Model, alias: str) -> Version | None:
        """The version that an alias stands at; None where it stands at none."""
        if alias not in model.aliases:
            return None
        with self._asked(f"version {model.aliases[alias]} of {model.name}"):
            return _version(self._client.get_model_version(model.name, str(model.aliases[alias])))

    def version_of(self, model: Model, uid: str) -> Version | None:
        """The version that was made of a search's winner; the first, should there be two."""
        with self._asked(f"the versions of {model.name}"):
            found = [_version(one) for one in find_versions(self._client, model.name)]
        return min((one for one in found if one.tags.get(UID) == uid), key=lambda one: one.number, default=None)

    def add(
        self, task: str, backbone: str, adapter: Path, uid: str, tags: Mapping[str, str], description: str
    ) -> Version:
        """Make a version of a search's winner, or find the one that there is: asked twice, it makes one.

        Args:
            adapter: folder of the winner's adapter, which becomes an artifact of the search's run and the source of
                the version. uid: of the search.

        Raises:
            LookupError: MLflow has no run of this search.
        """
        name = self._name(task, backbone)
        if self._model(name) is None:
            self._make(name, task, backbone)
        model = self._model(name)
        assert model is not None
        known = self.version_of(model, uid)
        if known is not None:
            return known
        run = self._run_of(task, uid)
        with self._asked(f"a version of {name}"):
            self._client.log_artifacts(run, str(adapter), adapter.name)
            self._client.create_model_version(
                name, f"runs:/{run}/{adapter.name}", run, tags={**tags, UID: uid}, description=description
            )
        made = self.version_of(model, uid)
        if made is None:
            raise RegistryError([f"the registry of {self.shown} has not kept the version of {name} that it took"])
        return made

    def move(self, model: str, alias: str, version: Version, tags: Mapping[str, str], description: str) -> None:
        """Let an alias stand at a version, and say on the version why.

        The model's tag names the version of before as well until the alias stands at the new one: a kill between the
        two must not look like a person's choice. Nor must two sweeps that move it at once.
        """
        with self._asked(f"alias {alias} of {model}"):
            for name, value in tags.items():
                _once_more(self._client.set_model_version_tag, model, str(version.number), name, value)
            self._client.update_model_version(model, str(version.number), description)
            before = self._client.get_registered_model(model).aliases.get(alias, "")
            both = f"{version.number} {before}".strip()
            _once_more(self._client.set_registered_model_tag, model, _SET + alias, both)
            _once_more(self._client.set_registered_model_alias, model, alias, str(version.number))
            _once_more(self._client.set_registered_model_tag, model, _SET + alias, str(version.number))
            found = self._client.get_registered_model(model)
            now, ours = str(found.aliases.get(alias, "")), found.tags.get(_SET + alias, "")
            if now and now not in ours.split():  # another sweep has moved it meanwhile, and its tag came before ours
                _once_more(self._client.set_registered_model_tag, model, _SET + alias, f"{now} {ours}")

    def settle(self, model: Model) -> None:
        """Complete what a kill has left of a move: the tag names one version again."""
        for alias, number in model.aliases.items():
            ours = model.tags.get(_SET + alias, "").split()
            if len(ours) > 1 and str(number) in ours:
                with self._asked(f"alias {alias} of {model.name}"):
                    _once_more(self._client.set_registered_model_tag, model.name, _SET + alias, str(number))

    def adapter(self, version: Version, folder: Path) -> Path:
        """Fetch a version's adapter; an empty folder where its files are gone."""
        from mlflow.artifacts import download_artifacts

        folder.mkdir(parents=True, exist_ok=True)
        with self._asked(f"the adapter of {version.shown}", gone_is_fine=True):
            # Not `version.shown`: MLflow would look it up in its default store, whatever it is given here.
            place = self._client.get_model_version_download_uri(version.model, str(version.number))
            return Path(download_artifacts(place, dst_path=str(folder), tracking_uri=self._client.tracking_uri))
        return folder

    def files(self, version: Version, names: Iterable[str], folder: Path) -> list[Path]:
        """Fetch files of the version's run; those that are there."""
        found = []
        for name in names if version.run else ():
            with self._asked(f"{name} of {version.shown}", gone_is_fine=True):
                if any(file.path == name for file in self._client.list_artifacts(version.run)):
                    folder.mkdir(parents=True, exist_ok=True)
                    found.append(Path(self._client.download_artifacts(version.run, name, str(folder))))
        return found

    def _name(self, task: str, backbone: str) -> str:
        """The name of a model; with a few digits more where another task and backbone have it already."""
        name = "adept-" + re.sub(r"[/:\s]+", "-", f"{task}-{backbone}")
        there = self._model(name)
        if there is None or (there.tags.get("task", task), there.tags.get("backbone", backbone)) == (task, backbone):
            return name
        return f"{name}-{hashlib.sha256(f'{task} {backbone}'.encode()).hexdigest()[:6]}"

    def _model(self, name: str) -> Model | None:
        with self._asked(f"model {name}", gone_is_fine=True):
            found = self._client.get_registered_model(name)
            aliases = {alias: int(number) for alias, number in found.aliases.items()}
            return Model(name=name, aliases=aliases, tags=dict(found.tags))
        return None

    def _make(self, name: str, task: str, backbone: str) -> None:
        from mlflow.exceptions import MlflowException

        about = f"Winners of task {task} on {backbone}: `{CHAMPION}` is the best, `{CHAMPION}-METHOD` that of a method."
        with self._asked(f"model {name}"):
            try:
                self._client.create_registered_model(name, {"task": task, "backbone": backbone}, about)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another night has made it meanwhile
                    raise

    def _run_of(self, task: str, uid: str) -> str:
        with self._asked(f"the run of search {uid}"):
            experiments = [one.experiment_id for one in find_experiments(self._client)]
            condition = f"tags.{UID} = {quoted(uid)} AND tags.kind = 'search'"
            runs = list(find_runs(self._client, experiments, condition)) if uid and experiments else []
        if not runs:
            raise LookupError(f"MLflow at {self.shown} has no run of this search")
        return str(runs[0].info.run_id)

    @contextmanager
    def _asked(self, what: str, gone_is_fine: bool = False) -> Iterator[None]:
        """Say in one sentence what MLflow was asked for, whichever of its many errors it raises."""
        try:
            yield
        except Exception as error:
            if gone_is_fine and getattr(error, "error_code", "") in _GONE:
                return
            why = without_secrets(" ".join(str(error).split()))[:300]
            raise RegistryError([f"the registry of {self.shown} was asked for {what} and refused: {why}"]) from error


def _once_more(write: Callable[..., object], *given: str) -> None:
    """Write a tag or alias; again where another process made it in the same moment, which MLflow's database refuses."""
    from mlflow.exceptions import MlflowException

    try:
        write(*given)
    except MlflowException:
        write(*given)


def champion_configurations(
    cells: Iterable[tuple[str, str, str]], tracking_uri: str | None
) -> dict[tuple[str, str, str], dict[str, Any]]:
    """The hyperparameters of the champion of each (task, method, backbone) that has one.

    Raises:
        TrackingError: the store is not there, or does not answer.
    """
    registry = Registry.open(tracking_uri)
    found = {}
    for task, method, backbone in cells:
        model = registry.model(task, backbone)
        version = None if model is None else registry.version(model, champion_of(method))
        if version is not None and CONFIGURATION in version.tags:
            found[task, method, backbone] = json.loads(version.tags[CONFIGURATION])
    return found


def _version(found: Any) -> Version:
    """From MLflow's own."""
    made = datetime.fromtimestamp(found.creation_timestamp / 1000).date().isoformat()
    run = found.run_id or ""
    return Version(model=found.name, number=int(found.version), made=made, run=run, tags=dict(found.tags))
