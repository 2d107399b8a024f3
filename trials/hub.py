"""The Hugging Face hub as its own client reaches it: waits that end, and what went wrong in a user's words.

`huggingface_hub` 2.4 asks for a repository's facts and its list of files without any time limit (`repo_info`,
`list_repo_tree`, `get_paths_info`), so that a server which accepts and never answers would hold a search for ever.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Literal

Kind = Literal["dataset", "model"]
_SHOWN = 200
_NO_PLACE = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}
_NO_ROOM = "Not enough disk space"  # what `datasets` says before it begins
_NO_FILES = "infer the same data file format for all splits"  # what `datasets` finds where a split has no files


@cache
def end_all_waits() -> None:
    """Give each request of the hub's client a time limit, in this process.

    The limit is the longer one of `HF_HUB_DOWNLOAD_TIMEOUT` and `HF_HUB_ETAG_TIMEOUT` (10 seconds without them), and
    counts from one byte to the next: a large file may take as long as it takes. It holds for requests that come with a
    longer one, too: for the headers of a file, the client waits 60 seconds, six times over. With its pauses between
    tries, a hub that never answers is given up after a minute and a half.
    """
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils._http import default_client_factory

    def limit(request: Any) -> None:
        given, most = request.extensions.get("timeout") or {}, seconds()
        request.extensions["timeout"] = {
            name: min(given.get(name) or most, most) for name in ("connect", "read", "write", "pool")
        }

    def client() -> Any:
        made = default_client_factory()
        made.event_hooks = {**made.event_hooks, "request": [*made.event_hooks["request"], limit]}
        return made

    set_client_factory(client)


def seconds() -> float:
    """How long one answer of the hub is waited for."""
    from huggingface_hub import constants

    return max(constants.HF_HUB_DOWNLOAD_TIMEOUT, constants.HF_HUB_ETAG_TIMEOUT)


def copy_here(kind: Kind, name: str, file: str, revision: str | None = None) -> Path | None:
    """A file of a repository where it is in the hub's cache on this machine; nothing is asked for.

    Args:
        revision: a commit; None: the one that the copy's `main` is of.
    """
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, file, repo_type=kind, revision=revision)
    return Path(found) if isinstance(found, str) else None


def fetched(kind: Kind, name: str, file: str, revision: str | None = None) -> Path:
    """A file of a repository, from the cache on this machine or else downloaded; its folder is called as its commit.

    Raises:
        Exception: as the hub's client does; `explained` says what it means.
    """
    from huggingface_hub import hf_hub_download

    end_all_waits()
    here = copy_here(kind, name, file, revision)
    return here or Path(hf_hub_download(name, file, repo_type=kind, revision=revision))


def known_whole(kind: Kind, name: str, commit: str, part: str) -> bool:
    """Whether some part of a repository, such as a model's tokenizer, was loaded from here once (`mark_whole`).

    Only then does one that can be loaded without the hub lack nothing: an interrupted download leaves files out.
    """
    return _mark(kind, name, commit, part).exists()


def mark_whole(kind: Kind, name: str, commit: str, part: str) -> None:
    """Keep in this project's cache that a part of a repository is in the hub's."""
    with suppress(OSError):  # without it, the hub is asked again
        mark = _mark(kind, name, commit, part)
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()


def _mark(kind: Kind, name: str, commit: str, part: str) -> Path:
    from trials.data.cache import default_cache_dir  # not above: facts are read without pyarrow

    return default_cache_dir() / "hub" / "--".join([f"{kind}s", *name.split("/"), commit, part])


def is_the_hubs(error: BaseException) -> bool:
    """Whether an error came from asking the hub, or from not being allowed to."""
    ours = ("huggingface_hub", "httpx", "httpx2", "httpcore", "httpcore2")
    return any(type(one).__module__.partition(".")[0] in ours for one in _chain(error))


def explained(error: BaseException, kind: Kind, name: str, revision: str | None = None) -> str:
    """What went wrong with a repository, and what mends it: one sentence without its end.

    Args:
        error: as the hub's client, `datasets` or `transformers` raised it.
        revision: the one that was asked for; None: the newest.
    """
    from huggingface_hub import constants

    what = "data set" if kind == "dataset" else "model"
    which = f"{what} {name}" + (f" at revision {revision}" if revision else "")
    page = f"{constants.ENDPOINT}/{'datasets/' if kind == 'dataset' else ''}{name}"
    login = "log in with `hf auth login`, or set HF_TOKEN"
    chain = list(_chain(error))
    texts = " ".join(str(one) for one in chain)
    kinds = {base.__name__ for one in chain for base in type(one).__mro__}

    missing = kinds & {"OfflineModeIsEnabled", "LocalEntryNotFoundError", "EntryNotFoundError"}
    if constants.HF_HUB_OFFLINE and (missing or "OfflineModeIsEnabled" in texts or "find cache for" in texts):
        return (
            f"HF_HUB_OFFLINE is set, and {constants.HF_HOME} holds no whole copy of the {which}: take HF_HUB_OFFLINE "
            "away for the first time, or bring the copy of another machine"
        )
    if "GatedRepoError" in kinds or "is a gated" in texts:
        return f"the {what} {name} is gated: ask for access on {page}, then {login}"
    if "RevisionNotFoundError" in kinds:
        return f"the {what} {name} has no revision {revision}: look at {page} for those that there are"
    if "RepositoryNotFoundError" in kinds or _status(chain) in (401, 403):
        return f"the hub shows no {what} {name}: check the id or, where it is private, {login}"
    if _any(kinds, "TimeoutException", "TimeoutError", "Timeout"):
        return (
            f"{constants.ENDPOINT} did not answer within {seconds()} s, or stopped in the middle of the {which}: try "
            "again later, or give it more seconds with HF_HUB_DOWNLOAD_TIMEOUT"
        )
    if _any(kinds, "ConnectError", "ProxyError"):
        return (
            f"{constants.ENDPOINT} cannot be reached ({_shown(_root(chain))}): check the network, or HF_ENDPOINT, "
            "which names the hub"
        )
    places = [one for one in chain if isinstance(one, OSError) and (one.errno in _NO_PLACE or _NO_ROOM in str(one))]
    if places:
        return (
            f"the {which} cannot be kept on this machine ({_shown(places[0])}): make room or give the right to write, "
            f"or set HF_HOME, which is {constants.HF_HOME} now, to another folder"
        )
    if _status(chain) == 429:
        return (
            f"the hub answers this machine no more for now (429, too many requests): try again later; {login} for more"
        )
    if (status := _status(chain)) and status >= 500:
        return f"the hub answers with an error of its own ({status}) when asked for the {which}: try again later"
    if _any(kinds, "RemoteEntryNotFoundError", "DataFilesNotFoundError", "EmptyDatasetError") or _NO_FILES in texts:
        return f"files are missing in the {which} ({_shown(error)}): {page} shows what there is"
    if _any(kinds, "TransportError", "IncompleteRead") or "Consistency check failed" in texts:
        return (
            f"the download of the {which} broke off ({_shown(_root(chain))}): give the same command again, files that "
            "are here whole are not downloaded twice"
        )
    return f"the {which} did not load ({type(error).__name__}: {_shown(error)}): check the id and the network"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that it came from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _root(chain: list[BaseException]) -> BaseException:
    """The first error that has words."""
    return next((one for one in reversed(chain) if str(one).strip()), chain[0])


def _any(kinds: set[str], *names: str) -> bool:
    return not kinds.isdisjoint(names)


def _status(chain: list[BaseException]) -> int | None:
    """The HTTP status that the hub answered with, if it did."""
    statuses = (getattr(getattr(one, "response", None), "status_code", None) for one in chain)
    return next((status for status in statuses if isinstance(status, int)), None)


def _shown(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
