"""Whether a storage that a user names can be used: found out before anything starts, and on every host."""

from __future__ import annotations

import secrets

from orchestrator.record.errors import StorageError
from orchestrator.record.secrecy import read_address, shown_address, without_secrets
from orchestrator.store.paths import StoragePath, one_line, opened, shown
from trials.errors import did_you_mean

SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs", "file")
KEYS = "keys come from the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the like) or the host's role"

REMEDIES = {
    "ACCESS_DENIED": "these keys may not write there; ask for the right, or use others",
    "INVALID_ACCESS_KEY_ID": "the store does not know the key; see to AWS_ACCESS_KEY_ID",
    "SIGNATURE_DOES_NOT_MATCH": "the secret key is wrong; see to AWS_SECRET_ACCESS_KEY",
    "NO_SUCH_BUCKET": "there is no such bucket; make it first, or mend its name",
    "NETWORK_CONNECTION": "nobody answers there; see to the endpoint and the network",
    "HTTP status 301": "the bucket is in another region; add region=... to the URI",
    "errno 30": "it is mounted read-only; mount it writable, or name another folder",
    "errno 13": "the folder is another user's; make it writable, or name another",
}
"""What to do, by a sign in the errors of file systems."""


def storage_problems(uri: str | None, option: str = "--storage", *, to_read: bool = False) -> list[str]:
    """What is wrong with a storage, a sentence each, without its secrets. None is no storage, and right.

    A storage that looks right is tried: a small object is written, read and removed.

    Args:
        option: what names it, for the messages. to_read: it is looked at alone, and nothing is written.
    """
    if not uri:
        return []
    if "://" not in uri:
        return [f"{option} {shown_address(uri)}: must be a URI, e.g. s3://bucket/folder or file:///mnt/shared"]
    asked = f"{option} {shown(uri)}"
    address = read_address(uri)
    scheme = address.scheme
    if scheme not in SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        return [f"{asked}: unknown scheme {scheme!r}; known: {known}{did_you_mean(scheme, SCHEMES)}"]
    problems = []
    host = address.place.partition("/")[0]
    a_password = address.has_password or (":" in host and scheme not in ("hdfs", "viewfs"))  # a bucket has no port
    if a_password or (address.user and scheme not in ("abfs", "abfss")):  # there a user is a container
        problems.append(f"{asked}: a URI with a user or password would be seen by others; {KEYS}")
    if secret := [name for name, _ in address.secret_parameters]:
        problems.append(f"{asked}: {', '.join(secret)} in a URI would be seen by others; {KEYS}")
    if not address.place.strip("/"):
        problems.append(f"{asked}: names no bucket or folder; e.g. s3://bucket/folder or file:///mnt/shared")
    return problems or tried(uri, option, to_read=to_read)


def tried(uri: str, option: str = "--storage", *, to_read: bool = False) -> list[str]:
    """What goes wrong where an object is written, read and removed, or is looked for: at most one sentence."""
    probe = StoragePath(uri, patience=0.0) / f".writable-{secrets.token_hex(8)}"
    asked = f"{option} {shown(uri)}"
    try:
        opened(uri)
        if to_read:
            probe.exists()
            return []
        probe.write_bytes(b"adept")
        content = probe.read_bytes()
        probe.unlink()
    except StorageError as error:
        reason = without_secrets(one_line(error.__cause__ or error), uri)
        return [f"{asked}: {reason}{remedy(reason)}"]
    except (OSError, ValueError, NotImplementedError) as error:  # a file system's own words for a wrong URI
        reason = without_secrets(one_line(error), uri)
        return [f"{asked}: {reason}{remedy(reason)}"]
    return [] if content == b"adept" else [f"{asked}: an object that was written there does not come back as it was"]


def remedy(reason: str) -> str:
    """What to do about an error of a file system, with a semicolon before it; empty where that is not known."""
    return next((f"; {text}" for sign, text in REMEDIES.items() if sign.lower() in reason.lower()), "")
