"""What is kept of a task's rows with a result. Importing this needs no pyarrow.

Two numbers in one table, two reports of one record, or the two sides of a comparison belong together only if they were
measured on the same rows: from what is kept this can be seen later. `trials.data.identity` finds it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

DIGITS = 16  # hexadecimal digits of a digest that are kept


@dataclass(frozen=True)
class DataIdentity:
    """What is kept of the data with a result.

    Attributes:
        rows: 16 hexadecimal digits that change with the files, the split rule and the classes: which examples there are
            and what their right answers are. The same for every backbone and template.
        files: split as read -> name of each file (as short as tells it from the others of its split) -> digest.
        fingerprint: `PreparedTask.fingerprint`, of the rows as one backbone reads them; empty where that is not known.
    """

    rows: str = ""
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    fingerprint: str = ""

    def differing(self, now: DataIdentity) -> list[tuple[str, str, str | None, str | None]]:
        """The files that are not the same now, as (split, name, digest then, digest now); None where there is none.

        A file of the same content under another name is the same; the order of a split's files counts, and where only
        that has changed, all of them differ. Empty also where one side does not know its files.
        """
        if not self.files or not now.files:
            return []
        found: list[tuple[str, str, str | None, str | None]] = []
        for split in dict.fromkeys([*self.files, *now.files]):
            then, here = self.files.get(split, {}), now.files.get(split, {})
            if list(then.values()) == list(here.values()):
                continue
            names = list(dict.fromkeys([*then, *here]))
            touched = [name for name in names if then.get(name) != here.get(name)] or names
            found += [(split, name, then.get(name), here.get(name)) for name in touched]
        return found

    def changed(self, now: DataIdentity) -> list[str]:
        """`differing` in words, a phrase for each file."""
        return [f"{split}: {name} ({_states(then, here)})" for split, name, then, here in self.differing(now)]


def _states(then: str | None, now: str | None) -> str:
    if then is None:
        return f"new, {now}"
    if then == now:
        return "in another place among the files of its split"
    return f"was {then}, gone now" if now is None else f"was {then}, is {now}"
