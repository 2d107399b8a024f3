"""The nights of `benchmarks.three_weeks`, and what is planted in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Edit:
    """A change of the code: one text of a file in the place of another."""

    file: str
    old: str
    new: str

    def apply(self, code: Path) -> None:
        """Make it.

        Raises:
            LookupError: the file does not have the text once.
        """
        path = code / self.file
        text = path.read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise LookupError(f"{self.file} has {self.old!r} {text.count(self.old)} times, not once")
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


LESS_LEARNT = Edit(
    "trials/stack/step.py",
    "by_name = {name: by_group[first.group_of(name)] for name in self.parameters}",
    "by_name = {name: by_group[first.group_of(name)] / 30 for name in self.parameters}",
)
SLOWER = Edit(
    "trials/stack/step.py",
    "        seconds = time.perf_counter() - started\n",
    "        time.sleep(0.2 * (time.perf_counter() - started))\n        seconds = time.perf_counter() - started\n",
)
LEAK = Edit(
    "trials/stack/step.py",
    "        self.backbone, self.train, self.cost = backbone",
    "        self.leak = b'x' * (400 << 20)\n        self.backbone, self.train, self.cost = backbone",
)


def other_numbers(night: int) -> Edit:
    """Another stream of random numbers: the same quality, other noise."""
    return Edit(
        "trials/batching/randomness.py", 'f"{seed}/{purpose}/{step}"', f'f"{{seed}}/{{purpose}}/{{step}}/{night}"'
    )


@dataclass(frozen=True, kw_only=True)
class Night:
    """One night of the three weeks.

    Attributes:
        planted: what happens, for people.
        edits: changes of the code that are in force. new_numbers: whether the code draws other random numbers than the
            night before.
        broken: tasks whose data are damaged in this night.
        slow: whether the machine is half as fast. kills: how often the night is killed in its middle.
        expected: exit code that a good gate ends with; ``(0, 1)`` where either is right.
    """

    planted: str
    edits: tuple[Edit, ...] = ()
    new_numbers: bool = True
    broken: tuple[str, ...] = ()
    slow: bool = False
    kills: int = 0
    expected: tuple[int, ...] = (0,)


QUIET = Night(planted="a harmless change")
EARLY = Night(planted="a harmless change", expected=(0, 3))  # how much nights differ is not known yet
NIGHTS: tuple[Night, ...] = (
    Night(planted="the first night", expected=(3,)),
    *[EARLY] * 4,
    QUIET,
    Night(planted="nothing has changed", new_numbers=False, expected=(3,)),
    Night(planted="killed twice in its middle", kills=2),
    Night(planted="learning rates 30 times too low", edits=(LESS_LEARNT,), expected=(0, 1)),
    Night(planted="still 30 times too low", edits=(LESS_LEARNT,), expected=(0, 1)),
    Night(planted="mended", expected=(0, 1)),
    Night(planted="the machine is half as fast", slow=True),
    Night(planted="each update 20 % slower", edits=(SLOWER,), expected=(0, 1)),
    Night(planted="still 20 % slower", edits=(SLOWER,), expected=(0, 1)),
    Night(planted="mended", expected=(0, 1)),
    Night(planted="a data file is broken", broken=("matches",), expected=(3,)),
    Night(planted="mended"),
    Night(planted="engines keep 400 MB more", edits=(LEAK,), expected=(0, 1)),
    Night(planted="still 400 MB more", edits=(LEAK,), expected=(0, 1)),
    Night(planted="all data files are broken", broken=("sections", "matches"), expected=(3,)),
    Night(planted="mended", expected=(0, 1)),
)
