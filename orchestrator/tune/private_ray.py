"""What Ray leaves open to everybody on the machine, closed: its token, its logs, and keys that Tune hands on."""

from __future__ import annotations

import errno
import logging
import os
import secrets
import stat
from pathlib import Path

from orchestrator.engines.ray_internals import system_temporary_folder
from trials.errors import UserError
from yaml_reader.home import from_home

log = logging.getLogger(__name__)

TOKEN = Path("~/.ray/auth_token")
"""Where a Ray of one's own finds its token, and writes one where there is none (ray._private.authentication)."""

HANDED_ON = ("RAY_", "TUNE_", "TRAIN_")
"""How the names of Ray's own settings begin."""


def keep_token_private() -> None:
    """Make the token of this user's Ray before Ray does, which would let everybody read it; mend one that it made.

    A token that comes from elsewhere ($RAY_AUTH_TOKEN, $RAY_AUTH_TOKEN_PATH) is left as it is.

    Raises:
        UserError: it cannot be written, or its user has no home folder.
    """
    asked = os.environ.get("RAY_AUTH_MODE", "token").lower()
    if asked != "token" or {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
        return
    file = from_home(TOKEN, "RAY_AUTH_TOKEN_PATH to a file that you alone may read")
    try:
        if not file.exists():
            write_token(file)
            return
        found = file.stat()
        if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & 0o077:
            file.chmod(0o600)
            log.info(f"{file} could be read by others (mode {stat.S_IMODE(found.st_mode):o}); it has mode 600 now")
    except OSError as error:
        problem = f"{file}: Ray's token cannot be kept there ({error.strerror})"
        raise UserError([f"{problem}; make it writable, or name another file in RAY_AUTH_TOKEN_PATH"]) from error


def write_token(file: Path) -> None:
    """A token as Ray makes it (256 random bits), whole from the first moment, whoever else is about to write one."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(secrets.token_hex(32))
    try:
        os.link(made, file)
    except FileExistsError:
        pass
    finally:
        made.unlink()


def session_folder() -> Path:
    """Where a Ray of one's own keeps its sessions, with their logs and sockets, below a folder of this user alone.

    Ray gives everybody all rights on a session's folder whenever one of its processes starts, so that another folder
    around it must keep others out: the one for temporary files ($RAY_TMPDIR, $TMPDIR or /tmp) if it does so, else one
    in it.
    """
    base = Path(system_temporary_folder())
    return (base if _is_private(base) else base / f"ray-{os.geteuid()}") / "ray"


def make_session_folder() -> None:
    """Make `session_folder` with what is around it.

    Raises:
        OSError: it cannot be made, or is another user's.
    """
    around = session_folder().parent
    if _is_private(around):
        return
    around.mkdir(mode=0o700, parents=True, exist_ok=True)
    if around.is_symlink() or around.stat().st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "it is another user's", str(around))
    around.chmod(0o700)


def _is_private(folder: Path) -> bool:
    try:
        found = folder.stat()
    except OSError:
        return False
    return found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o077


def hand_no_keys_on() -> None:
    """Let Tune give trials no keys of the driver's environment, AWS's above all.

    It would put them into the runtime environment of the trials' processes, and so into their command lines and into a
    log. The processes of a host inherit the environment that Ray was started in there, which others cannot read.
    """
    from ray.tune.execution import class_cache

    names = class_cache.ENV_VARS_TO_PROPAGATE
    class_cache.ENV_VARS_TO_PROPAGATE = {name for name in names if name.startswith(HANDED_ON)}
