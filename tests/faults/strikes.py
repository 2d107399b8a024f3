"""One round: a search, kills at moments that a seed decides, and the same command again until the search is over.

A power cut takes more than the processes: after half of the kills of a driver the latest checkpoint of a trial that
was in training loses the end of one of its files.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.faults.checks import JOURNAL
from tests.faults.small_search import Search, Server
from tests.faults.victims import ACTOR, DRIVER, ENGINE, SERVER, choose, left_behind
from trials.checkpoint import step_of

KINDS = {DRIVER: 4, ENGINE: 2, ACTOR: 2, SERVER: 2}  # how often each is struck, relative to the others
MOST_STARTS = 15
POLL = 0.05
ROUND_SECONDS = 900
OUTLIVES = 120.0  # seconds: Ray's agents try for 60 to reach a GCS that was killed with the driver, then end
UNTIL_THE_END = float("inf")
CUT = (
    "training.json",
    "training.safetensors",
    "adapter/adapter_model.safetensors",
    "adapter/adapter_config.json",
    "reports.json",
)
"""The files of a checkpoint, each cut in turn."""


@dataclass(frozen=True)
class Strike:
    """A kill to come.

    Attributes:
        after: reports that the search's journal holds by then. delay: seconds after that.
        outage: for how many seconds the tracking server stays away; for the others nothing.
    """

    kind: str
    after: int
    delay: float
    outage: float = 0.0


def draw_strikes(draw: random.Random, reports: int, kinds: Mapping[str, int] = KINDS) -> list[Strike]:
    """One to four strikes, over the whole of a search that makes so many reports."""
    strikes = []
    for kind in draw.choices(list(kinds), list(kinds.values()), k=draw.randint(1, 4)):
        outage = UNTIL_THE_END if draw.random() < 0.3 else draw.uniform(1.0, 10.0)
        # As often while it starts or goes on as while it trains: half of what can go wrong is there.
        after = 0 if draw.random() < 0.2 else draw.randint(0, reports)
        delay = draw.uniform(0.0, 12.0) if after == 0 else draw.expovariate(2.0)
        strikes.append(Strike(kind, after, delay, outage if kind == SERVER else 0.0))
    return sorted(strikes, key=lambda strike: strike.after)


@dataclass
class Outcome:
    """What a round did and what it found."""

    strikes: Counter[str] = field(default_factory=Counter)
    missed: int = 0
    refused: int = 0
    starts: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    cuts: list[str] = field(default_factory=list)


class Round:
    """Runs one search to its end through its strikes."""

    def __init__(self, search: Search, server: Server, strikes: list[Strike], draw: random.Random) -> None:
        self.search = search
        self.server = server
        self.strikes = list(strikes)
        self.draw = draw
        self.outcome = Outcome()
        self._due: float | None = None
        self._server_back: float | None = None
        self._was_down = False
        self._next_cut = draw.randrange(len(CUT))

    def run(self, say: Callable[[str], None]) -> Outcome:
        """Start the search, strike, start it again, and so on."""
        begun = time.monotonic()
        outcome = self.outcome
        while not outcome.problems:
            if self.search.starts >= MOST_STARTS or time.monotonic() - begun > ROUND_SECONDS:
                outcome.problems.append(f"not over after {self.search.starts} starts")
                break
            self._was_down = not self.server.answers()
            code = self._watch(say)
            if code == -9:
                self._see_to_what_is_left(say)
            elif code == 2 and self._was_down and "tracking" in self.search.last_output:
                outcome.refused += 1
                say("refused without its server")
                self._bring_server_back()
            elif code == 0:
                break
            else:
                outcome.problems.append(f"exit code {code}: {self.search.last_output[-1500:]}")
        outcome.missed = len(self.strikes)
        self._bring_server_back()
        if not outcome.problems:
            self._ask_again()
        outcome.starts = self.search.starts
        outcome.seconds = time.monotonic() - begun
        return outcome

    def _watch(self, say: Callable[[str], None]) -> int:
        """One start of the driver, to its end."""
        process = self.search.start()
        killed = False
        self._due = None
        while process.poll() is None:
            time.sleep(POLL)
            if self._server_back is not None and time.monotonic() >= self._server_back:
                self._server_back = None
                self.server.begin()
            if self.strikes and not killed and self._is_time():
                strike = self.strikes[0]
                if self._carry_out(strike, process.pid):
                    self.strikes.pop(0)
                    self._due = None
                    self.outcome.strikes[strike.kind] += 1
                    say(f"{strike.kind} killed after {self._reports()} reports")
                    killed = strike.kind == DRIVER
        return process.returncode

    def _is_time(self) -> bool:
        if self._due is None and self._reports() >= self.strikes[0].after:
            self._due = time.monotonic() + self.strikes[0].delay
        return self._due is not None and time.monotonic() >= self._due

    def _carry_out(self, strike: Strike, driver: int) -> bool:
        """Kill; whether there was anything to kill."""
        if strike.kind == SERVER:
            if not self.server.up:
                return False
            self.server.kill()
            self._was_down = True
            self._server_back = None if strike.outage == UNTIL_THE_END else time.monotonic() + strike.outage
            return True
        victim = choose(driver, strike.kind, self.draw)
        if victim is None:
            return False
        with suppress(psutil.NoSuchProcess):
            victim.kill()
            return True
        return False

    def _reports(self) -> int:
        try:
            return (self.search.folder / "tune" / JOURNAL).read_bytes().count(b'"event":"report"')
        except OSError:
            return 0

    def _see_to_what_is_left(self, say: Callable[[str], None]) -> None:
        """A killed driver's Ray must end by itself; half of the time nobody waits for that, and no file is cut."""
        if self.draw.random() < 0.5:
            return
        end = time.monotonic() + OUTLIVES
        while (left := left_behind(self.search.mark)) and time.monotonic() < end:
            time.sleep(0.5)
        if left:
            self.outcome.problems.append(f"processes outlive their driver: {[p.name() for p in left]}")
        else:
            self._cut(say)

    def _cut(self, say: Callable[[str], None]) -> None:
        """Let the latest checkpoint of a trial in training lose the end of a file."""
        found = latest_in_training(self.search.folder / "tune")
        if not found:
            return
        name = CUT[self._next_cut % len(CUT)]
        file = self.draw.choice(found) / name
        size = file.stat().st_size
        length = self.draw.randrange(size)
        with file.open("r+b") as stream:
            stream.truncate(length)
        self._next_cut += 1
        self.outcome.cuts.append(file.relative_to(self.search.folder).as_posix())
        say(f"{self.outcome.cuts[-1]} cut to {length} of {size} bytes")

    def _bring_server_back(self) -> None:
        self._server_back = None
        self.server.start()

    def _ask_again(self) -> None:
        """A finished search prints its table, and delivers what MLflow has missed."""
        process = self.search.start()
        code = process.wait(timeout=ROUND_SECONDS)
        if code != 0 or "is finished" not in self.search.last_output:
            self.outcome.problems.append(f"asked again: exit code {code}: {self.search.last_output[-1500:]}")
        time.sleep(1.0)
        end = time.monotonic() + OUTLIVES
        while (left := left_behind(self.search.mark)) and time.monotonic() < end:
            time.sleep(0.5)
        self.outcome.problems += [f"process {p.pid} outlives the search" for p in left]


def latest_in_training(tune: Path) -> list[Path]:
    """The latest whole checkpoint of each trial that had not reached its end, as its report says."""
    latest: dict[str, tuple[int, Path]] = {}
    for place in tune.glob("attempt-*/trial-*/checkpoint_step_*"):
        step = step_of(place)
        if step is not None:
            latest[place.parent.name] = max(latest.get(place.parent.name, (0, place)), (step, place))
    found = []
    for _, (_, place) in sorted(latest.items()):
        with suppress(OSError, ValueError):
            if json.loads((place / "reports.json").read_text())[-1]["status"] == "running":
                found.append(place)
    return found
