"""Which tracking URIs can be one, by their text alone: before any server is asked and anything is written."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from orchestrator.record.secrecy import Address, read_address, shown_address
from trials.errors import did_you_mean

DEFAULT_DATABASE = "mlflow.db"  # what a plain `mlflow ui` opens in its own folder
URI_VARIABLE = "MLFLOW_TRACKING_URI"
SERVERS = {"http": 80, "https": 443}
"""Schemes of MLflow servers, with their usual ports."""

DATABASES = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
"""Dialects of databases that are servers themselves, with their usual ports."""


def resolve_tracking_uri(uri: str | None) -> tuple[str, str, list[str]]:
    """Which store is meant: the one given, else the variable's, else a database in the working folder.

    Returns:
        Its URI, how a message names it, and what is wrong with it, a sentence each.
    """
    given, variable = uri, os.environ.get(URI_VARIABLE)
    source = "--tracking-uri" if given else URI_VARIABLE if variable else f"the default, {DEFAULT_DATABASE} here"
    uri = given or variable or f"sqlite:///{Path.cwd() / DEFAULT_DATABASE}"
    named = f"tracking URI {shown_address(uri)!r} ({source})"
    found = uri_problems(uri, on_command_line=bool(given))
    return uri, named, [f"{named}: {problem}" for problem in found]


def uri_problems(uri: str, *, on_command_line: bool) -> list[str]:
    """What is wrong with a URI, in words that follow it; an empty list where nothing is.

    Args:
        on_command_line: it was given there, where everybody on the machine can read it, and is kept with the search.
    """
    problems = []
    address = read_address(uri)
    scheme = "databricks" if uri == "databricks" else dialect_of(uri)
    known = {"sqlite", "databricks", *SERVERS, *DATABASES, *_plugins()}
    if scheme in ("", "file"):
        folder = Path(re.sub(r"^file:/*(?=/)", "", address.start + address.place)).absolute()
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
    elif scheme in SERVERS and not address.place.partition("/")[0].partition(":")[0]:
        problems.append("it names no host: use http://HOST:PORT")
    elif scheme in DATABASES and not _is_readable(uri):
        problems.append(
            "it cannot be read: a port is a number, and of a user and a password all but letters and digits is "
            "percent-encoded (%40 for @, %2F for /)"
        )
    return problems + _secrets_in(address, scheme, on_command_line)


def _secrets_in(address: Address, scheme: str, on_command_line: bool) -> list[str]:
    parameters = " and ".join(name for name, _ in address.secret_parameters)
    if scheme in SERVERS and (address.user or address.has_password or parameters):
        what = "a user name or password is in it" if not parameters else f"a secret is in it ({parameters})"
        return [
            f"{what}. Take it out, and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or write them into "
            "~/.mlflow/credentials"
        ]
    if on_command_line and (address.has_password or parameters):
        what = "a password is in it" if address.has_password else f"a secret is in it ({parameters})"
        file = "write it into ~/.pgpass (mode 600), or " if scheme == "postgresql" else ""
        return [f"{what}. Keep it off the command line: {file}give the whole URI as ${URI_VARIABLE}"]
    return []


@lru_cache(maxsize=1)
def _plugins() -> set[str]:
    return set(metadata.entry_points(group="mlflow.tracking_store").names)


def _is_readable(uri: str) -> bool:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        make_url(uri)
    except (ArgumentError, ValueError):
        return False
    return True


def dialect_of(uri: str) -> str:
    """The scheme without its driver: ``postgresql`` of ``postgresql+psycopg://...``."""
    found = re.match(r"([A-Za-z][\w+.-]*):", uri)
    return found[1].partition("+")[0].lower() if found else ""


def sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite database; None for one in memory and for what is none."""
    if dialect_of(uri) != "sqlite":
        return None
    name = uri.partition("://")[2].partition("?")[0].removeprefix("/")
    return Path(name).absolute() if name and ":memory:" not in name else None
