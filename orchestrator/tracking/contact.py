"""Whether what a tracking URI names answers, found within seconds, and what to do where it does not."""

from __future__ import annotations

import os
import re
import socket

from orchestrator.plan.tracking_uri import DATABASES, DEFAULT_DATABASE, dialect_of

CONTACT_SECONDS = 8
_DRIVERS = {"psycopg": "'psycopg[binary]'", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}

_ON_THE_WAY = {
    "CERTIFICATE_VERIFY_FAILED": "the certificate of what answers there is not accepted{}: where it is of an authority "
    "of your own, name the file with that one's certificate in MLFLOW_TRACKING_SERVER_CERT_PATH",
    "SSLError": "the connection cannot be encrypted: use http:// where the server has no TLS, or correct the port",
    "ProxyError": "the proxy in the environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY) does not lead there: correct it, "
    "or name the host in NO_PROXY",
    "Connection aborted": "something answers there and ends the connection: use https:// where it speaks TLS, or "
    "correct the port",
}
"""By a sign in the errors of requests, the gravest first: what is in the way although a server may be there."""


class UnusableError(Exception):
    """What is wrong with a store, in words that follow its URI."""


def knock(uri: str) -> None:
    """See whether a database server answers and lets us in; an HTTP server is asked by MLflow itself."""
    dialect = dialect_of(uri)
    if dialect not in DATABASES:
        return
    import sqlalchemy

    url = sqlalchemy.make_url(uri)
    if url.host:
        try:
            socket.create_connection((url.host, url.port or DATABASES[dialect]), timeout=CONTACT_SECONDS).close()
        except OSError as error:
            raise UnusableError(f"no database answers there ({error}): start it, or correct host and port") from None
    try:
        engine = sqlalchemy.create_engine(uri)
        engine.connect().close()
        engine.dispose()
    except ModuleNotFoundError as error:
        package = _DRIVERS.get(error.name or "", error.name)
        raise UnusableError(f"the driver of this database is not installed: pip install {package}") from None
    except sqlalchemy.exc.SQLAlchemyError as error:
        found = str(error).splitlines()[0]
        raise UnusableError(f"the database lets us not in ({found}): correct user, password or its name") from None


def explanation(error: Exception, served: bool) -> str:
    """An error of MLflow's client in words; ``served``: by an HTTP server."""
    found = " ".join(str(error).split())
    if "out-of-date database schema" in found:
        return "another version of MLflow wrote it. Take a copy of it, then run `mlflow db upgrade` with this URI"
    if "Could not determine home directory" in found:  # pathlib's words, when MLflow is imported
        return "MLflow needs a home folder, and this user has none: set HOME to a folder where you may write"
    if not served:
        return f"MLflow cannot use it ({found[:300]})"
    if _has_status(401, found):
        from mlflow.utils.credentials import read_mlflow_creds

        known = read_mlflow_creds().username or os.environ.get("MLFLOW_TRACKING_TOKEN")
        return (
            "the server does not accept this user with this password: correct them in MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD, or in ~/.mlflow/credentials"
            if known
            else "the server wants to know who we are: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
            "MLFLOW_TRACKING_TOKEN, or write ~/.mlflow/credentials"
        )
    if _has_status(403, found):
        return (
            f"the server refuses us ({found[:200]}): the user may lack the right to do this, or the host name is not "
            "in the server's --allowed-hosts"
        )
    if why := next((text for sign, text in _ON_THE_WAY.items() if sign in found), ""):
        return why.format("".join(re.findall(r"verify failed(: [^('\"]+?)\.? \(", found)[:1]))
    if "exception" in found and ("Connection" in found or "Timeout" in found or "resolve" in found):
        return (
            "no server answers there. Start one (`mlflow server --port 5000`), correct the address, or use "
            f"sqlite:///{DEFAULT_DATABASE}, which needs none"
        )
    return f"what answers there is no MLflow server that we can use ({found[:200]})"


def _has_status(status: int, text: str) -> bool:
    """Whether an HTTP status is named, and is no part of a port or another number."""
    return re.search(rf"(?<![:\d]){status}(?!\d)", text) is not None
