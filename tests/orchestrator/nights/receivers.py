"""Receivers on loopback: a webhook's that answers, refuses or hangs, and a mail server."""

from __future__ import annotations

import json
import socketserver
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast


class Hook(ThreadingHTTPServer):
    """Takes POSTs and answers with one status after the other, the last of them for ever; 0 never answers.

    Attributes:
        got: the JSON of each request. paths: their paths.
    """

    daemon_threads = True

    def __init__(self, *statuses: int) -> None:
        super().__init__(("127.0.0.1", 0), _Hook)
        self.statuses = list(statuses or (200,))
        self.got: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Hook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        hook = cast(Hook, self.server)
        hook.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        hook.paths.append(self.path)
        status = hook.statuses.pop(0) if len(hook.statuses) > 1 else hook.statuses[0]
        if not status:
            hook.over.wait(30)
            return
        self.send_response(status)
        if status in (301, 302, 307):
            self.send_header("Location", f"{hook.url}/elsewhere")
        self.end_headers()
        self.wfile.write(f"no luck with {self.path}".encode() if status != 200 else b"ok")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class MailServer(socketserver.ThreadingTCPServer):
    """Speaks as much SMTP as a sender needs, without encryption.

    Attributes:
        mails: what was sent, parsed. users: who logged in, with the password. refuse: addresses that get no mail.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, refuse: tuple[str, ...] = (), password: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Mail)
        self.mails: list[Message] = []
        self.users: list[tuple[str, str]] = []
        self.refuse, self.password = refuse, password

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Mail(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server = cast(MailServer, self.server)
        self._say("220 here")
        while line := self.rfile.readline().decode().strip():
            word = line.split()[0].upper()
            if word == "EHLO":
                self.wfile.write(b"250-here\r\n250 AUTH PLAIN\r\n")
            elif word == "AUTH":
                _, user, password = b64decode(line.split()[-1]).decode().split("\0")
                server.users.append((user, password))
                known = not server.password or password == server.password
                self._say("235 welcome" if known else f"535 {user} {password} is not known here")
            elif word == "RCPT" and any(address in line for address in server.refuse):
                self._say("550 nobody of that name")
            elif word == "DATA":
                self._say("354 go on")
                lines = []
                while (text := self.rfile.readline()) != b".\r\n":
                    lines.append(text.removeprefix(b"."))
                server.mails.append(message_from_bytes(b"".join(lines), policy=default))
                self._say("250 taken")
            elif word == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 fine")

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


@contextmanager
def running(server: Any) -> Iterator[Any]:
    """A receiver in a thread of its own."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        if isinstance(server, Hook):
            server.over.set()
        server.shutdown()
        server.server_close()
