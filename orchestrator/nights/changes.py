"""What changed from one night to the next: code, versions, machine, data, and what the sweep measures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from orchestrator.nights.night import PRECISION, Night
from orchestrator.sweep.cells import CellKey

MACHINE = ("cpu", "memory", "gpu", "platform")
KINDS = {"version": "versions", "cpu": "machine", "gpu": "machine"}  # of parts, where they are not called so
_CODE = "git_commit"
_IGNORED = ("command",)  # has the date in it
_SHORT = 12  # digits of a hash


@dataclass(frozen=True)
class Change:
    """Something that a night has otherwise than the night before it.

    Attributes:
        date: the later night's.
        kind: ``code``, ``versions``, ``machine``, ``sweep``, or the name of a part of cells' fingerprints.
        what: the fact, or the cells.
        before, now: empty where there was, or is, none.
    """

    date: str
    kind: str
    what: str
    before: str
    now: str


def changes(nights: Sequence[Night]) -> list[Change]:
    """All of them, by date; nights are sorted."""
    return [change for before, now in pairwise(nights) for change in _between(before, now)]


def _between(before: Night, now: Night) -> Iterator[Change]:
    seen = set()
    for what, old, new in _differences(before.provenance, now.provenance):
        if what not in _IGNORED:
            seen.add((old, new))
            yield Change(now.date, _kind(what), what.removeprefix("version/"), _short(old), _short(new))
    was, now_there = ({cell.key: cell for cell in night.cells} for night in (before, now))
    for key in was.keys() ^ now_there.keys():
        gone = key in was
        yield Change(now.date, "sweep", str(key), "measured" if gone else "", "" if gone else "measured")
    both = [key for key in now_there if key in was]
    of: dict[tuple[str, str, str], list[CellKey]] = {}
    for key in both:
        for part, old, new in _differences(was[key].parts, now_there[key].parts):
            if part != PRECISION or (old and new):  # of a search that failed it is not known
                of.setdefault((part, old, new), []).append(key)
    for (part, old, new), keys in of.items():
        if (old, new) not in seen:  # a fact of the whole night is named once
            where = "all cells" if len(keys) == len(both) else "; ".join(map(str, keys))
            kind, _, name = part.partition("/")  # such as version/torch
            what = f"{name}: {where}" if name else where
            yield Change(now.date, KINDS.get(kind, kind), what, _short(old), _short(new))


def _differences(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for name in dict.fromkeys((*before, *now)):
        if (old := before.get(name, "")) != (new := now.get(name, "")):
            yield name, old, new


def _kind(fact: str) -> str:
    if fact in MACHINE:
        return "machine"
    return "code" if fact == _CODE else "versions"


def _short(text: str) -> str:
    """A hash by its first digits."""
    digits, _, rest = text.partition("-")
    is_hash = len(digits) >= 32 and all(sign in "0123456789abcdef" for sign in digits)
    return digits[:_SHORT] + (f"-{rest}" if rest else "") if is_hash else text
