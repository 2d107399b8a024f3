"""The ways that a notification goes: a webhook, a mail, a line of a file. Each tries once, for seconds, or raises."""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import smtplib
import ssl
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, unquote, urlsplit

from orchestrator.nights.notify_message import Message
from orchestrator.record.secrecy import HIDDEN, without_secrets

ANSWER_SECONDS = 10.0
"""For which each step of a delivery waits for the other side."""

WHOLE_SECONDS = 20.0
"""For one attempt, however slowly the other side answers."""

PORTS = {"smtp": 587, "smtps": 465}
_MORE = (408, 425, 429)  # of the answers below 500, those that another attempt may change


class DeliveryError(Exception):
    """A notification was not taken; the message holds no secret.

    Attributes:
        again: whether another attempt may go better.
    """

    def __init__(self, why: str, *, again: bool) -> None:
        super().__init__(why)
        self.again = again


@dataclass(frozen=True)
class Webhook:
    """A URL that takes a POST of JSON; all of it but the host may be secret."""

    url: str

    @property
    def shown(self) -> str:
        """Where it is, without what is secret."""
        return f"webhook at {urlsplit(self.url).hostname}"

    def deliver(self, message: Message, page: Path | None) -> None:
        """Post it.

        Raises:
            DeliveryError: it was not taken.
        """
        request = urllib.request.Request(
            self.url,
            json.dumps(message.as_json(), ensure_ascii=False).encode(),
            {"Content-Type": "application/json; charset=utf-8", "User-Agent": "adept-search"},
        )
        # No redirects: they would hand the message on to another host. No proxy for this machine.
        no_proxy = [urllib.request.ProxyHandler({})] if is_loopback(urlsplit(self.url)) else []
        opener = urllib.request.build_opener(_NoRedirect, *no_proxy)
        try:
            with opener.open(request, timeout=ANSWER_SECONDS):
                return
        except HTTPError as error:
            code, answer = error.code, _beginning(error)
            why = f"it answers {code} {error.reason}" + (f" ({answer})" if answer else "")
            raise DeliveryError(self._plain(why), again=code >= 500 or code in _MORE) from None
        except URLError as error:
            raise DeliveryError(self._plain(_words(error.reason)), again=True) from None
        except (OSError, HTTPException, ValueError) as error:
            raise DeliveryError(self._plain(_words(error)), again=not isinstance(error, ValueError)) from None

    def _plain(self, text: str) -> str:
        parts = urlsplit(self.url)
        for secret in (self.url, f"{parts.path}?{parts.query}", parts.path, *parts.path.split("/"), parts.query):
            text = text.replace(secret, HIDDEN) if len(secret) > 3 else text
        return without_secrets(text, self.url)


@dataclass(frozen=True)
class Mail:
    """A server for outgoing mail, ``smtp[s]://user:password@host:port``, and whom to write to."""

    url: str
    sender: str
    recipients: tuple[str, ...]

    @property
    def shown(self) -> str:
        """Where it is, without what is secret."""
        return f"mail to {', '.join(self.recipients)} by {urlsplit(self.url).hostname}"

    def deliver(self, message: Message, page: Path | None) -> None:
        """Send it.

        Raises:
            DeliveryError: it was not taken, or not for everybody.
        """
        try:
            mail = message.as_mail(self.sender, self.recipients, page)
            refused = self._send(mail)
        except DeliveryError:
            raise
        except smtplib.SMTPResponseException as error:
            why = f"the server answers {error.smtp_code} {_words(error.smtp_error)}"
            lasting = isinstance(error, smtplib.SMTPAuthenticationError) or error.smtp_code >= 550
            raise DeliveryError(without_secrets(why, self.url), again=not lasting) from None
        except smtplib.SMTPRecipientsRefused as error:
            refused = error.recipients
        except ssl.SSLError as error:
            why = f"its certificate or its encryption is not accepted ({_words(error)})"
            raise DeliveryError(without_secrets(why, self.url), again=False) from None
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise DeliveryError(without_secrets(_words(error), self.url), again=isinstance(error, OSError)) from None
        if refused:
            raise DeliveryError(f"the server does not take mail for {', '.join(refused)}", again=False)

    def _send(self, mail: EmailMessage) -> dict[str, Any]:
        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        context = ssl.create_default_context()
        if parts.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=ANSWER_SECONDS, context=context)
        else:
            server = smtplib.SMTP(host, port, timeout=ANSWER_SECONDS)
        with server:
            server.ehlo()
            if parts.scheme == "smtp" and server.has_extn("starttls"):
                server.starttls(context=context)
                server.ehlo()
            elif parts.scheme == "smtp" and parts.password and not is_loopback(parts):
                raise DeliveryError("it offers no STARTTLS, and a password is not sent in the clear", again=False)
            if parts.username and parts.password:
                server.login(unquote(parts.username), unquote(parts.password))
            return server.send_message(mail)


@dataclass(frozen=True)
class Lines:
    """A file that gets a line of JSON."""

    path: Path

    @property
    def shown(self) -> str:
        """Which file it is."""
        return f"file {self.path}"

    def deliver(self, message: Message, page: Path | None) -> None:
        """Add the line at the end, whole or not at all, also where others write to the file.

        Raises:
            DeliveryError: the file cannot be written.
        """
        line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="seconds"), **message.as_json()}) + "\n"
        try:
            with self.path.open("ab+") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                end = stream.seek(0, os.SEEK_END)
                stream.seek(max(end - 1, 0))
                cut = end and stream.read(1) != b"\n"  # by a kill or a full disk: what follows is a line of its own
                stream.write((b"\n" if cut else b"") + line.encode())
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise DeliveryError(_words(error), again=False) from None


Channel = Webhook | Mail | Lines


def within(seconds: float, what: Callable[[], None]) -> None:
    """Do something that may hang, for so many seconds at most; it is left behind then.

    Raises:
        DeliveryError: it is not over. And whatever it raises itself.
    """
    raised: list[Exception] = []

    def run() -> None:
        try:
            what()
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=run, name="notification", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise DeliveryError(f"it has not answered within {seconds:.0f} s", again=True)
    if raised:
        raise raised[0]


def is_loopback(parts: SplitResult) -> bool:
    """Whether an address is this machine's own."""
    host = parts.hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _beginning(error: HTTPError) -> str:
    try:
        return " ".join(error.read(200).decode(errors="replace").split())
    except (OSError, HTTPException):
        return ""


def _words(error: object) -> str:
    if isinstance(error, TimeoutError):
        return f"it has not answered within {ANSWER_SECONDS:.0f} s"
    text = error.decode(errors="replace") if isinstance(error, bytes) else str(error)
    return " ".join(text.split())[:200] or type(error).__name__
