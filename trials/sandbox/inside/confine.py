"""The last steps into a sandbox, made by the process itself: limits, another user, Landlock, seccomp. In this order.

Sources: Linux' `Documentation/userspace-api/landlock.rst` and `include/uapi/linux/landlock.h` (numbers of rights and
system calls), prctl(2), capset(2), seccomp(2).
"""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar

NO_NEW_PRIVILEGES, BOUNDING_DROP, DUMPABLE, SECCOMP, BY_FILTER = 38, 24, 4, 22, 2
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
READ_FILE, READ_FOLDER = 1 << 2, 1 << 3
RIGHTS_BY_VERSION = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # how many rights on files each version of Landlock knows


class Ruleset(ctypes.Structure):
    """struct landlock_ruleset_attr"""

    _fields_: ClassVar[list[Any]] = [
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    ]


class Beneath(ctypes.Structure):
    """struct landlock_path_beneath_attr"""

    _pack_ = 1
    _fields_: ClassVar[list[Any]] = [("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32)]


class Filter(ctypes.Structure):
    """struct sock_fprog"""

    _fields_: ClassVar[list[Any]] = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]


libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int, what: str) -> int:
    """The result of a system call. Raises OSError where it has failed."""
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def control(option: int, value: int = 0, more: int = 0) -> None:
    """prctl(2). Raises OSError."""
    arguments = [ctypes.c_ulong(value), ctypes.c_ulong(more), ctypes.c_ulong(0), ctypes.c_ulong(0)]
    checked(libc.prctl(option, *arguments), f"prctl {option}")


def limit(limits: Mapping[str, int]) -> None:
    """Limits that hold for the rest of the process's life."""
    for name, most in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most + 1 if name == "CPU" else most))


def be_nobody(user: int | None) -> None:
    """Another user if one is named; in any case nobody with a capability."""
    if os.geteuid() == 0:
        for capability in range(64):
            libc.prctl(BOUNDING_DROP, ctypes.c_ulong(capability), *[ctypes.c_ulong(0)] * 3)  # fails behind the last
        if user is not None:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
    header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    checked(libc.capset(header, none), "capset")
    control(NO_NEW_PRIVILEGES, 1)
    control(DUMPABLE, 0)


def see_only(readable: Sequence[str]) -> int:
    """Landlock: these folders and files may be read; nothing may be written, made, removed or run; no TCP, no signals.

    Returns:
        Landlock's version.
    """
    version = checked(libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), 1), "Landlock")
    rights = (1 << RIGHTS_BY_VERSION.get(version, 16)) - 1
    handled = Ruleset(rights, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = ctypes.c_size_t(8 if version < 4 else 16 if version < 6 else 24)
    ruleset = checked(libc.syscall(CREATE_RULESET, ctypes.byref(handled), size, 0), "landlock_create_ruleset")
    for path in readable:
        try:
            at = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        folder = os.path.isdir(path)  # noqa: PTH112 (pathlib is a third of an interpreter's start)
        rule = Beneath(READ_FILE | READ_FOLDER if folder else READ_FILE, at)
        checked(libc.syscall(ADD_RULE, ruleset, 1, ctypes.byref(rule), 0), f"landlock_add_rule {path}")
        os.close(at)
    checked(libc.syscall(RESTRICT_SELF, ruleset, 0), "landlock_restrict_self")
    os.close(ruleset)
    return version


def filter_calls(code: bytes) -> None:
    """Seccomp: the system calls that a program in BPF allows."""
    kept = ctypes.create_string_buffer(code, len(code))
    program = Filter(len(code) // 8, ctypes.cast(kept, ctypes.c_void_p))
    control(SECCOMP, BY_FILTER, ctypes.addressof(program))


def confine(how: Mapping[str, Any]) -> None:
    """All of it, as `trials.sandbox.base.Sandbox` describes it. Raises OSError where a step does not succeed."""
    for number in range(3, 256):  # whatever the caller left open
        if number not in how["keep"]:
            with suppress(OSError):
                os.close(number)
    if how["folder"]:
        os.chdir(how["folder"])
    be_nobody(how["user"])
    limit(how["limits"])
    if how["readable"] is not None:
        see_only(how["readable"])
    filter_calls(bytes.fromhex(how["calls"]))
