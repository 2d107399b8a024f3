"""What is secret in a text or an address: found by names and places, and taken out before anybody reads it.

Addresses are read as their writers meant them, not only as a parser does: a password may hold a slash, ``#``, ``?`` or
``@`` that ought to have been percent-encoded. In doubt more is hidden than is secret.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

HIDDEN = "removed"
FOLDERS = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs", "hf")
"""Schemes whose addresses are folders, in the names of which an @ may be."""

_ENDINGS = (
    *("password", "passwd", "passphrase", "passcode", "pass", "pwd", "key", "keyid"),
    *("token", "secret", "credential", "credentials", "signature"),
)
_WHOLE = {"sig", "sas", "auth", "authorization", "jwt"}
_FILES = {"sslkey", "passfile"}  # names of files, in the addresses of databases
_SHORTEST = 3  # letters of a value that is looked for in other texts

_PORT = re.compile(r"[^:]*(?::\d*)?")
_IPV6 = re.compile(r"^\[[0-9A-Fa-f:.%]*\]")
_INNER_USER = re.compile(r"(?:^|//)[^/@:]*:[^@]+@")
_ADDRESS = re.compile(r"[A-Za-z][\w+.-]*://[^\s'\"<>]*")
# A path leaves one slash of two. A password may hold blanks; PORT is in what we say of addresses ourselves.
_PASSWORD = re.compile(r"(?P<start>[A-Za-z][\w+.-]+:/{1,2})[^\s/@:'\"]*:(?!PORT\b|\d*(?:[/?#\s,;.)'\"]|$))[^\n'\"<>]*@")
_ASSIGNED = re.compile(r"(?P<name>[\w%.-]+)=(?P<value>[^&\s'\"]+)")
_INNER = re.compile(r"(?P<name>[\w%. -]+?)\s*=\s*(?P<value>\{[^}]*\}|[^;&]*)")


def is_secret(name: str) -> bool:
    """Whether a parameter or option of this name has a value that is nobody else's business."""
    plain = unquote(unquote_plus(name)).strip().strip("-").lower()
    letters = re.sub(r"[^a-z0-9]", "", plain)
    if letters in _FILES:
        return False
    return letters in _WHOLE or any(word.endswith(_ENDINGS) for word in re.split(r"[^a-z0-9]+", plain) if word)


class Address(NamedTuple):
    """An address in parts, as it was written.

    Attributes:
        scheme: in lower case; empty where there is none. start: up to and with ``://``.
        user: what is before the @, a password perhaps in it; empty where nothing is.
        place: host, port and path. parameters: what follows, with the sign before it.
    """

    scheme: str
    start: str
    user: str
    place: str
    parameters: str

    @property
    def has_password(self) -> bool:
        """Whether there is one before the host, or what cannot be a port behind it."""
        authority = _IPV6.sub("", re.split(r"[/?#]", self.place, maxsplit=1)[0])
        wrong_port = self.scheme not in ("", "databricks") and _PORT.fullmatch(authority) is None
        return bool(self.user.partition(":")[2]) or wrong_port

    @property
    def secret_parameters(self) -> list[tuple[str, str]]:
        """Names and values of the parameters that hold a secret, or an address with one."""
        pieces = (piece.partition("=") for piece in self.parameters[1:].split("&"))
        return [(name, value) for name, _, value in pieces if is_secret(name) or _has_inner_secret(value)]

    @property
    def values(self) -> list[str]:
        """All secrets, as written and decoded, the longest first."""
        user, _, password = self.user.partition(":")
        found = [password, *(value for _, value in self.secret_parameters)]
        if self.scheme in ("http", "https") and not password:  # a token in a user's place
            found.append(user)
        for _, value in self.secret_parameters:
            inner = _INNER.finditer(unquote_plus(value))
            found += [match["value"].strip("{}") for match in inner if is_secret(match["name"])]
            found += [match[0].rpartition("@")[0] for match in _INNER_USER.finditer(unquote_plus(value))]
        decoded = {text for value in found for text in (value, unquote(value), unquote_plus(value))}
        return sorted((text for text in decoded if len(text) >= _SHORTEST), key=len, reverse=True)


def read_address(text: str) -> Address:
    """Take an address apart; never fails."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "", text
    scheme = scheme.rpartition(" ")[2].lower()
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    at = rest.rfind("@")
    if not separator:
        at = at if ":" in rest[: max(at, 0)] else -1
    elif not authority:  # a file
        at = -1
    elif scheme in FOLDERS and ":" not in authority:
        at = authority.rfind("@")
    user, place = rest[: max(at, 0)], rest[at + 1 :]
    first = re.search(r"[?#;]", place)
    split = first.start() if first else len(place)
    return Address(scheme, text[: len(text) - len(rest)], user, place[:split], place[split:])


def shown_address(text: str) -> str:
    """The same address without user and password and the values of secret parameters."""
    address = read_address(text)
    place = address.place
    if not address.user and address.has_password:  # behind the host, where a port would be
        authority = re.split(r"[/?#]", place, maxsplit=1)[0]
        place = f"{authority.partition(':')[0]}:{HIDDEN}{place[len(authority) :]}"
    kept: list[str] = []
    secret = False
    for piece in address.parameters[1:].split("&"):
        name, assigned, value = piece.partition("=")
        if not assigned and secret:  # an & in a password
            continue
        secret = bool(assigned) and (is_secret(name) or _has_inner_secret(value))
        kept.append(f"{name}={HIDDEN}" if secret else piece)
    return address.start + place + address.parameters[:1] + "&".join(kept)


def without_secrets(text: str, *known: str) -> str:
    """The same text without ``user:password@`` in addresses and the values of ``password=``, ``token=`` and the like.

    Args:
        known: addresses whose secrets are taken out wherever they stand.
    """
    for address in known:
        for value in read_address(address).values:
            text = text.replace(value, HIDDEN)
    text = _PASSWORD.sub(r"\g<start>", text)
    text = _ADDRESS.sub(lambda found: _in_a_sentence(found[0]), text)
    return _ASSIGNED.sub(_unassigned, text)


def shown_argument(argument: str) -> str:
    """One argument of a command line without secrets: all that follows a ``://`` is one address, blanks included."""
    start = re.search(r"[A-Za-z][\w+.-]*://", argument)
    if start is None:
        return without_secrets(argument)
    return without_secrets(argument[: start.start()]) + shown_address(argument[start.start() :])


def shown_command(command: Sequence[str]) -> str:
    """A command line as a shell takes it, without secrets and without the folders of its program."""
    shown: list[str] = []
    for position, argument in enumerate(command):
        if position == 0 and Path(argument).is_absolute():
            shown.append(Path(argument).name)  # the folders above an installed script say whose home it is
        elif shown and command[position - 1].startswith("-") and is_secret(command[position - 1]):
            shown.append(HIDDEN)
        else:
            shown.append(shown_argument(argument))
    return shlex.join(shown)


def _in_a_sentence(address: str) -> str:
    """Words about addresses (``http://HOST:PORT``) have no port that is a number, nor an @."""
    if "@" not in address and read_address(address).has_password and "?" not in address:
        return address
    return shown_address(address)


def _unassigned(found: re.Match[str]) -> str:
    return f"{found['name']}={HIDDEN}" if is_secret(found["name"]) else found[0]


def _has_inner_secret(value: str) -> bool:
    for _ in range(3):  # it may be encoded more than once
        if _INNER_USER.search(value) or any(is_secret(found["name"]) for found in _INNER.finditer(value)):
            return True
        value = unquote_plus(value)
    return False
