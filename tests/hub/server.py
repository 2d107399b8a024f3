"""A stand-in of the Hugging Face hub on the loopback: repositories, commits, who may read them, and what goes wrong.

It answers what `huggingface_hub`, `datasets` and `transformers` ask with `HF_ENDPOINT` set to it, in the hub's own way:
`X-Repo-Commit`, `ETag`, `X-Error-Code`; large files behind a redirect to another address, with `X-Linked-Etag` and
`X-Linked-Size`. Each request is kept, for tests of what is asked for at all.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_of_a_test"  # opens the stand-in's private repositories and nothing else
LARGE = 2_000  # bytes from which a file lies behind a redirect, as those in LFS do


@dataclass
class Repository:
    """Files of commits.

    Attributes:
        kind: "datasets" or "models".
        commits: commit -> path -> content.
        main: the commit of the branch `main`.
        private: seen with `TOKEN` only; to others it is as if it were not there.
        gated: seen by all, read with `TOKEN` only.
    """

    kind: str
    name: str
    commits: dict[str, dict[str, bytes]]
    main: str
    private: bool = False
    gated: bool = False

    def commit(self, revision: str) -> str | None:
        """The commit that a branch or a commit's name means."""
        return self.main if revision == "main" else revision if revision in self.commits else None


@dataclass
class Trouble:
    """What goes wrong with the requests whose path holds a text.

    Attributes:
        cut: bytes after which the connection ends; None: it does not.
        wait: seconds before anything is answered.
        pause: seconds between bits of 1 kB.
        status: the answer, instead of the file; None: the file.
        times: how often; None: always.
    """

    cut: int | None = None
    wait: float = 0.0
    pause: float = 0.0
    status: int | None = None
    times: int | None = None


@dataclass
class Hub:
    """The stand-in; `with Hub() as hub:` serves at `hub.url`."""

    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    trouble: dict[str, Trouble] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def __enter__(self) -> Hub:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.closing = threading.Event()
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """What `HF_ENDPOINT` is to be."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def add(self, kind: str, name: str, files: Mapping[str, bytes], commit: str = "", **more: Any) -> Repository:
        """A repository, or another commit of one, which becomes its `main`."""
        commit = commit or hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        made = self.repositories.setdefault((kind, name), Repository(kind, name, {}, commit, **more))
        made.commits[commit], made.main = dict(files), commit
        return made

    def asked(self) -> list[str]:
        """The requests since the last call."""
        found = list(self.requests)
        del self.requests[: len(found)]
        return found

    def trouble_with(self, path: str) -> Trouble:
        """What goes wrong with a request; counted."""
        for piece, trouble in self.trouble.items():
            if piece in path and trouble.times != 0:
                trouble.times = None if trouble.times is None else trouble.times - 1
                return trouble
        return Trouble()


_API = re.compile(r"^/api/(models|datasets)/([^/]+/[^/]+)(?:/(revision|tree|paths-info)/([^/]+)(?:/(.*))?)?$")
_FILE = re.compile(r"^/(?:(datasets)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)$")
_STORED = re.compile(r"^/stored/(models|datasets)/([^/]+/[^/]+)/([^/]+)/(.+)$")


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the requests are kept."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def _answer(self, body: bytes = b"") -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        self.trouble = self.hub.trouble_with(path)
        if self.hub.closing.wait(self.trouble.wait):
            self.close_connection = True
            return
        if self.trouble.status:
            self._send(self.trouble.status, b"{}")
        elif found := _STORED.match(path):
            kind, name, commit, file = found.groups()
            self._content(self.hub.repositories[kind, name].commits[commit][file], {})
        elif found := _FILE.match(path):
            kind, name, revision, file = found.groups()
            self._file(kind or "models", name, revision, file)
        elif found := _API.match(path):
            self._api(body, *found.groups())
        else:
            self._refuse(404, "EntryNotFound")

    def _repository(self, kind: str, name: str) -> Repository | None:
        """None where it is not there for this client, which has been answered."""
        found, authorised = self.hub.repositories.get((kind, name)), TOKEN in self.headers.get("Authorization", "")
        if found is None or (found.private and not authorised):
            self._refuse(404 if authorised else 401, "RepoNotFound", "Repository not found")
            return None
        return found

    def _file(self, kind: str, name: str, revision: str, file: str) -> None:
        repository = self._repository(kind, name)
        if repository is None:
            return
        commit = repository.commit(revision)
        content = repository.commits[commit].get(file) if commit else None
        if commit is None:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        elif repository.gated and TOKEN not in self.headers.get("Authorization", ""):
            self._refuse(401, "GatedRepo", f"Access to {name} is restricted. You must be authenticated.")
        elif content is None:
            self._refuse(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
        elif len(content) < LARGE:
            self._content(content, {"X-Repo-Commit": commit, "ETag": f'"{_etag(content)}"'})
        else:
            # The address names another host, as the hub's does, so that a client keeps its token to itself.
            address = f"{self.hub.url.replace('127.0.0.1', 'localhost')}/stored/{kind}/{name}/{commit}/{file}"
            linked = {"X-Linked-Etag": f'"{_etag(content)}"', "X-Linked-Size": str(len(content))}
            self._send(302, b"", {"X-Repo-Commit": commit, **linked, "Location": address})

    def _content(self, content: bytes, headers: dict[str, str]) -> None:
        asked = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            self._send(200, content, {**headers, "Accept-Ranges": "bytes"})
            return
        first, last = int(asked.group(1)), int(asked.group(2) or len(content) - 1)
        part = content[first : last + 1]
        self._send(206, part, {**headers, "Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(content)}"})

    def _api(
        self, body: bytes, kind: str, name: str, what: str | None, revision: str | None, under: str | None
    ) -> None:
        repository = self._repository(kind, name)
        if repository is None:
            return
        commit = repository.commit(revision or "main")
        files = repository.commits[commit] if commit else {}
        if commit is None:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        elif what == "tree":
            recursive = parse_qs(urlsplit(self.path).query).get("recursive", ["false"])[0].lower() in ("true", "1")
            if listed := _tree(files, under or "", recursive):
                self._json(listed)
            else:
                self._refuse(404, "EntryNotFound", f"{under} does not exist on {revision}")
        elif what == "paths-info":
            paths = parse_qs(body.decode())["paths"]
            self._json([entry for entry in _tree(files, "", True) if entry["path"] in paths])
        else:
            siblings = [{"rfilename": path} for path in files]
            self._json({"_id": "0", "id": name, "sha": commit, "private": repository.private, "siblings": siblings})

    def _json(self, found: Any) -> None:
        self._send(200, json.dumps(found).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str, message: str = "", headers: Mapping[str, str] | None = None) -> None:
        error = json.dumps({"error": message}).encode()
        known = {"X-Error-Code": code, "X-Error-Message": message, "Content-Type": "application/json"}
        self._send(status, error, {**known, **(headers or {})})

    def _send(self, status: int, content: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        cut, pause = self.trouble.cut, self.trouble.pause
        self.close_connection = self.close_connection or cut is not None
        content = content if cut is None else content[:cut]
        for start in range(0, len(content), 1_000 if pause else max(len(content), 1)):
            self.wfile.write(content[start : start + 1_000] if pause else content)
            if pause and self.hub.closing.wait(pause):
                return


def _etag(content: bytes) -> str:
    """SHA-256 of a file in LFS; of a small one, Git's name of it."""
    if len(content) >= LARGE:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0%s" % (len(content), content)).hexdigest()


def _tree(files: Mapping[str, bytes], under: str, recursive: bool) -> list[dict[str, Any]]:
    """What lies in a folder; with `recursive`, below it."""
    above = f"{under.rstrip('/')}/" if under else ""
    found: dict[str, dict[str, Any]] = {}
    for path, content in files.items():
        if not path.startswith(above):
            continue
        inside = path[len(above) :].split("/")
        for depth in range(1, len(inside) if recursive else min(len(inside), 2)):
            folder = above + "/".join(inside[:depth])
            found[folder] = {"type": "directory", "path": folder, "oid": _etag(folder.encode()), "size": 0}
        if recursive or len(inside) == 1:
            found[path] = {"type": "file", "path": path, "oid": _etag(content)[:40], "size": len(content)}
            if len(content) >= LARGE:
                found[path]["lfs"] = {"oid": _etag(content), "size": len(content), "pointerSize": 130}
    return list(found.values())
