"""Where MLflow keeps its runs: which URI, whether it can be written, and the experiment in it, before a trial starts.

Everything that can be wrong with a tracking store is found here within seconds, by probes of our own: MLflow itself
tries a server that is not there for four minutes and a database for almost two.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from orchestrator.plan.tracking_uri import (
    DATABASES,
    DEFAULT_DATABASE,
    SERVERS,
    dialect_of,
    resolve_tracking_uri,
    sqlite_file,
)
from orchestrator.record.secrecy import shown_address, without_secrets
from orchestrator.tracking import contact
from orchestrator.tracking.contact import UnusableError, explanation, knock
from trials.errors import UserError

if TYPE_CHECKING:  # MLflow takes seconds to import, and reads the settings below when it is imported
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

# A driver talks to one store through one thread that tries again by itself: short requests, no progress bars, no
# addresses printed between the lines of the search, no usage statistics sent from a machine that may have no network.
_MLFLOW_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # it would make a run twice whose first request was not answered
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
log = logging.getLogger(__name__)

_LOCK_SECONDS = 120


class TrackingError(UserError):
    """The tracking store cannot be used; ``problems`` names each value, the rule it breaks and the likely fix."""


class StoreAwayError(TrackingError):
    """What a URI names does not answer, or not so that it can be used.

    Attributes:
        store: the same store, for when it does.
    """

    def __init__(self, problems: list[str], store: Store) -> None:
        super().__init__(problems)
        self.store = store


@dataclass
class Store:
    """A store, and the experiment in it. The first use of either asks the store, until it has answered.

    Attributes:
        uri: the URI in full (SQLite: with an absolute path). May hold a password: show ``shown``.
        database: the SQLite file; None for a server.
        artifact_root: see `open_store`.
    """

    uri: str
    name: str
    database: Path | None
    artifact_root: Path
    _answer: tuple[MlflowClient, Experiment] | None = None

    @property
    def connected(self) -> bool:
        """Whether it has answered."""
        return self._answer is not None

    @property
    def client(self) -> MlflowClient:
        """MLflow's client. Raises while the store is away."""
        return self._contacted()[0]

    @property
    def experiment(self) -> Experiment:
        """The experiment, which is made or brought back where it is not there. Raises while the store is away."""
        return self._contacted()[1]

    def _contacted(self) -> tuple[MlflowClient, Experiment]:
        if self._answer is None:
            try:
                with _quiet_contact(), _writable(self.database) if self.database is not None else nullcontext():
                    knock(self.uri)
                    self._answer = _contact(self.uri, self.name, self.artifact_root, self.database)
            except UnusableError as error:
                raise UnusableError(without_secrets(str(error), self.uri)) from None
        return self._answer

    @property
    def shown(self) -> str:
        """The URI without secrets."""
        return shown_address(self.uri)

    @property
    def is_server(self) -> bool:
        """Whether the URI is the address of a server with a user interface of its own."""
        return dialect_of(self.uri) in SERVERS


def open_store(uri: str | None, experiment: str, artifact_root: Path | None = None) -> Store:
    """Find or create the store and the experiment.

    Args:
        uri: a tracking URI; without one ``$MLFLOW_TRACKING_URI``, or else ``mlflow.db`` in the working folder.
        experiment: its name. A deleted one is brought back.
        artifact_root: folder for the artifacts of a new experiment in a database; ``mlartifacts`` beside a SQLite file
            where it is left out. A server has its own.

    Raises:
        TrackingError: the URI is no tracking URI.
        StoreAwayError: what it names does not answer or cannot be written.
    """
    uri, database, named = _resolved(uri, experiment)
    beside = Path.cwd() if database is None else database.parent
    store = Store(uri, experiment, database, artifact_root or beside / "mlartifacts")
    try:
        store._contacted()
    except UnusableError as error:
        raise StoreAwayError([f"{named}: {error}"], store) from None
    return store


def open_for_reading(uri: str | None) -> tuple[MlflowClient, str]:
    """A client of a store that is there already, and its URI without secrets; nothing is written.

    Args:
        uri: as for `open_store`.

    Raises:
        TrackingError: the URI is no tracking URI, or there is no store that answers.
    """
    uri, database, named = _resolved(uri, "any")
    if database is not None and not database.is_file():
        raise TrackingError(
            [
                f"{named}: there is no such database. A search makes one where it is started; name it with "
                f"--tracking-uri sqlite:///FOLDER/{DEFAULT_DATABASE}, or read folders of results with --runs FOLDER"
            ]
        )
    served = database is None and dialect_of(uri) not in DATABASES
    try:
        with _quiet_contact():
            knock(uri)
            try:
                from mlflow import MlflowClient

                client = MlflowClient(tracking_uri=uri)
                client.search_experiments(max_results=1)
            except Exception as error:
                raise UnusableError(explanation(error, served)) from error
    except UnusableError as error:
        raise TrackingError([f"{named}: {without_secrets(str(error), uri)}"]) from None
    return client, shown_address(uri)


def _resolved(uri: str | None, experiment: str) -> tuple[str, Path | None, str]:
    """The URI in full, its SQLite file where it is one, and how a message names it."""
    uri, named, problems = resolve_tracking_uri(uri)
    if not experiment.strip():
        problems.append(f"{named}: the experiment's name is empty: give it one, such as the name of the task")
    if problems:
        raise TrackingError(problems)
    database = sqlite_file(uri)
    return (uri if database is None else f"sqlite:///{database}"), database, named


@contextmanager
def _writable(database: Path) -> Iterator[None]:
    """Hold the database's lock: of eight processes that open a fresh one at once, MLflow lets seven die."""
    advice = "choose a file in a folder that you may write to, e.g. --tracking-uri sqlite:///$HOME/mlflow.db"
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(database.with_name(f".{database.name}.lock"), timeout=_LOCK_SECONDS):
            with closing(
                sqlite3.connect(database, timeout=contact.CONTACT_SECONDS, isolation_level=None)
            ) as connection:
                connection.execute("BEGIN IMMEDIATE")  # asks for the right to write, and reads the header
                connection.execute("ROLLBACK")
            yield
    except Timeout:
        raise UnusableError(f"another process has been creating it for {_LOCK_SECONDS} s: try again") from None
    except OSError as error:
        raise UnusableError(f"its folder cannot be used ({error.strerror}: {error.filename}): {advice}") from None
    except sqlite3.OperationalError as error:
        raise UnusableError(f"the database cannot be written ({error}): {advice}") from None
    except sqlite3.DatabaseError as error:
        raise UnusableError(f"the file is no SQLite database ({error}): name another file") from None


def _contact(uri: str, name: str, artifact_root: Path, database: Path | None) -> tuple[MlflowClient, Experiment]:
    served = database is None and dialect_of(uri) not in DATABASES
    try:
        from mlflow import MlflowClient
        from mlflow.entities import LifecycleStage

        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            experiment = _create(client, name, None if served else artifact_root.absolute().as_uri())
        elif experiment.lifecycle_stage == LifecycleStage.DELETED:
            client.restore_experiment(experiment.experiment_id)
            log.warning("experiment %r of %s had been deleted: it is back, old runs too", name, shown_address(uri))
    except Exception as error:
        raise UnusableError(explanation(error, served)) from error
    return client, experiment


def _create(client: MlflowClient, name: str, artifact_location: str | None) -> Experiment:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_experiment(client.create_experiment(name, artifact_location=artifact_location))
    except MlflowException:
        made_meanwhile = client.get_experiment_by_name(name)
        if made_meanwhile is None:
            raise
        return made_meanwhile


@contextmanager
def _quiet_contact() -> Iterator[None]:
    """MLflow's first contact in seconds, not minutes, and without its account of how it lays out a database."""
    for name, value in _MLFLOW_DEFAULTS.items():
        os.environ.setdefault(name, value)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # a traceback for each error that it raises
    hurry = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": str(contact.CONTACT_SECONDS)}
    before = {name: os.environ.get(name) for name in hurry}
    os.environ.update(hurry)
    try:
        yield
    finally:
        for name, earlier in before.items():
            os.environ[name] = earlier if earlier is not None else _MLFLOW_DEFAULTS[name]
