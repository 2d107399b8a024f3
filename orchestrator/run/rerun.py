"""``--rerun``: which trials of a search are trained from the start again, whatever has become of them."""

from __future__ import annotations

from orchestrator.record.record import SearchRecord
from orchestrator.record.status import TrialStatus
from trials.errors import UserError, did_you_mean

KINDS = (TrialStatus.FAILED, TrialStatus.DIVERGED)


def trials_to_rerun(which: str | None, record: SearchRecord | None) -> list[int]:
    """The trials' numbers.

    Args:
        which: ``failed``, ``diverged``, or numbers with commas; None: no trial.
        record: of the search; None where there is none yet.

    Raises:
        UserError: no such trial, or no such search.
    """
    if which is None:
        return []
    if record is None:
        raise UserError([f"--rerun {which}: there is no search of that name and those settings yet"])
    if which in KINDS:
        found = [trial.number for trial in record.trials if trial.status == which]
        if not found:
            raise UserError([f"--rerun {which}: no trial of search {record.name} has {which}"])
        return found
    there = {trial.number for trial in record.trials}
    names = [name.strip() for name in which.split(",")]
    wrong = [name for name in names if not name.isdecimal() or int(name) not in there]
    if wrong:
        known = ", ".join(map(str, sorted(there)))
        raise UserError(
            [
                f"--rerun {name}: must be failed, diverged, or numbers of trials ({known}){did_you_mean(name, KINDS)}"
                for name in wrong
            ]
        )
    return sorted({int(name) for name in names})
