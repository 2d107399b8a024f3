"""Where a trial goes between two reports, without Ray."""

from __future__ import annotations

from orchestrator.engines.directory import Rooms
from orchestrator.engines.training_loop import Room
from orchestrator.tune.trainable import TrialActor


class Crowd:
    """Engines as the directory knows them."""

    def __init__(self, **rooms: tuple[int, int]) -> None:
        self.rooms = {name: Room(*room) for name, room in rooms.items()}

    def move(self, leaves: str, enters: str) -> None:
        for name, more in ((leaves, -1), (enters, 1)):
            self.rooms[name] = Room(self.rooms[name].held + more, self.rooms[name].slots)


class Mover(TrialActor):
    """A trial in an engine of a `Crowd`."""

    def __init__(self, crowd: Crowd, home: str) -> None:
        self.crowd, self.home = crowd, home

    def _rooms(self) -> Rooms:
        return Rooms(self.crowd.rooms, 1)

    def _start(self, name: str, limit: int) -> bool:
        room = self.crowd.rooms[name]
        if room.held >= min(limit, room.slots):
            return False
        assert self.home is not None
        self.crowd.move(self.home, name)
        return True

    def _leave(self) -> None:
        self.home = None


def settled(crowd: Crowd, home: str) -> dict[str, int]:
    """What each engine holds when the trials of one have reported several times each."""
    for _ in range(50):
        Mover(crowd, home)._better_home()
    return {name: room.held for name, room in crowd.rooms.items()}


def test_a_small_engine_that_is_full_does_not_keep_trials_from_a_larger_one() -> None:
    assert settled(Crowd(large=(16, 16), small=(2, 2), joined=(0, 16)), "large") == {
        "large": 8,
        "small": 2,
        "joined": 8,
    }


def test_a_trial_stays_where_there_is_no_better_place() -> None:
    assert settled(Crowd(large=(9, 16), small=(2, 2)), "large") == {"large": 9, "small": 2}
    assert settled(Crowd(large=(3, 16), other=(2, 16)), "large") == {"large": 3, "other": 2}
    assert settled(Crowd(large=(9, 16), loading=(0, 0)), "large") == {"large": 9, "loading": 0}
