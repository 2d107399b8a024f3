"""Which tracking URIs can be one: told from the text alone, before anything is asked or written."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from orchestrator.provenance import without_secrets
from trials.errors import did_you_mean

DEFAULT_DATABASE = "mlflow.db"  # what a plain `mlflow ui` opens in its own folder
URI_VARIABLE = "MLFLOW_TRACKING_URI"
SERVERS = {"http": 80, "https": 443}
"""Schemes of MLflow servers, with their usual ports."""

DATABASES = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
"""Dialects of databases that are servers themselves, with their usual ports."""


def problems_of(uri: str, *, on_command_line: bool) -> list[str]:
    """What is wrong with a URI, in words that follow it; an empty list where nothing is.

    Args:
        on_command_line: it was given there, where everybody on the machine can read it, and is kept with the search.
    """
    problems = []
    scheme = "databricks" if uri == "databricks" else dialect_of(uri)
    plugins = metadata.entry_points(group="mlflow.tracking_store").names
    known = {"sqlite", "databricks", *SERVERS, *DATABASES, *plugins}
    if scheme in ("", "file"):
        folder = Path(urlsplit(uri).path).absolute()
        parent = folder.parent if folder.name == "mlruns" else folder
        problems.append(
            "this is a folder, MLflow's old file store, which MLflow no longer develops. Use a database in it: "
            f"sqlite:///{parent / DEFAULT_DATABASE}"
        )
    elif scheme not in known:
        hint = did_you_mean(scheme, known)
        problems.append(f"MLflow knows no scheme {scheme!r}{hint}: use sqlite:///FILE or http://HOST:PORT")
    elif scheme == "sqlite" and sqlite_file(uri) is None:
        problems.append(
            f"it names no file, and a database in memory is gone with the search: use sqlite:///{DEFAULT_DATABASE}"
        )
    elif scheme in SERVERS and not urlsplit(uri).hostname:
        problems.append("it names no host: use http://HOST:PORT")
    return problems + _secrets_in(uri, on_command_line)


def _secrets_in(uri: str, on_command_line: bool) -> list[str]:
    parts, dialect = urlsplit(uri), dialect_of(uri)
    if dialect in SERVERS and "@" in parts.netloc:
        return [
            "a user name or password is in it. Take it out, and set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD, or write them into ~/.mlflow/credentials"
        ]
    secret = parts.password or without_secrets(parts.query) != parts.query
    if dialect in DATABASES and secret and on_command_line:
        file = "write it into ~/.pgpass (mode 600), or " if dialect == "postgresql" else ""
        return [f"a password is in it. Keep it off the command line: {file}give the whole URI as ${URI_VARIABLE}"]
    return []


def dialect_of(uri: str) -> str:
    """The scheme without its driver: ``postgresql`` of ``postgresql+psycopg://...``."""
    return urlsplit(uri).scheme.partition("+")[0].lower()


def sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite database; None for one in memory and for what is none."""
    if dialect_of(uri) != "sqlite":
        return None
    name = uri.partition("://")[2].partition("?")[0].removeprefix("/")
    return Path(name).absolute() if name and ":memory:" not in name else None
