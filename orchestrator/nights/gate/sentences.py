"""Findings in words: task, method, from what to what, on how much, the test, and what has changed in between."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.nights.night import PRECISION, Cell, Night

_SHOWN = 10  # digits of a commit


def commit_of(night: Night) -> str:
    """The commit that a night ran, shortened; empty outside a checkout."""
    commit, _, dirty = night.provenance.get("git_commit", "").partition("-")
    return commit[:_SHOWN] + (f"-{dirty}" if dirty else "")


def commits_between(last: Night, first: Night) -> str:
    """Range of the commits between the last good night and the first bad one; one commit where it is the same."""
    before, after = commit_of(last), commit_of(first)
    if not before or not after:
        return before or after
    return before if before == after else f"{before}..{after}"


def changed_between(last: tuple[Night, Cell], first: tuple[Night, Cell]) -> list[str]:
    """Names of what differs between two nights of a cell: parts of its fingerprint, versions, hardware."""
    parts = _differing(last[1].parts, first[1].parts)
    facts = _differing(last[0].provenance, first[0].provenance)
    known = (name for name in (*parts, *facts) if name not in ("command", "git_commit", PRECISION))
    return list(dict.fromkeys(name.removeprefix("version/") for name in known))


def causes(last: tuple[Night, Cell], first: tuple[Night, Cell]) -> str:
    """What may have caused a change, as the end of a sentence."""
    commits = commits_between(last[0], first[0])
    code = f"commits {commits}" if ".." in commits else f"the same commit {commits}" if commits else "commits not known"
    changed = ", ".join(changed_between(last, first))
    also = f"changed: {changed}" if changed else "no version, machine or data has changed"
    return f"between {last[0].date} and {first[0].date}: {code}; {also}"


def probability(p: float) -> str:
    """A p-value in words."""
    return f"p = {p:.2g}" if p >= 1e-6 else "p < 0.000001"


def _differing(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))
