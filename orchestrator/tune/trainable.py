"""The Ray Tune trial: a light actor that has its trial trained in an engine elsewhere. It never imports torch."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

from orchestrator.engines.directory import Rooms, trial_key
from orchestrator.engines.lost_actors import LOST_ACTOR
from orchestrator.engines.training_loop import Room, TrialLostError
from orchestrator.record.errors import StorageError
from orchestrator.record.record import Report
from orchestrator.record.status import TrialStatus
from orchestrator.store.checkpoints import PAUSED, Files, keep, latest_kept, read_kept
from orchestrator.uncollected import uncollected

with uncollected():  # each trial's actor is a process that imports it
    from ray import tune

LOSSES = 2  # of an engine, one after another without a report between them, that a trial puts up with by itself
RAMP = 30.0  # seconds in which a search's actors should have started
PAUSE, LONGEST_PAUSE = 0.2, 1.0  # seconds between two rounds of asking for room: the first, and later ones

LOST = (*LOST_ACTOR, TrialLostError)


class NoEngineError(Exception):
    """No engine is left, and none will come: the search's driver has ended them."""


class TrialActor(tune.Trainable):
    """One trial at a time, wherever there is room for it.

    An engine that is lost is no failure of the trial: it goes on in another, or in the same one when that is back, from
    its last report; where the engine knows that its host is about to go, from the update that it has reached. Between
    two reports a trial also moves where an engine holds fewer trials than its own, so that no device idles while others
    are crowded. Where there is no engine, it waits: the driver decides for how long.

    Such an actor lives beside the driver while there is room (`EnginePool.at_once`): no other host's end is its own.

    Its config: ``directory`` (name of the actor that knows the engines), ``at_once`` (trials that are held in all when
    the search begins), ``trial`` (`TrialConfig` as a dict), ``number``, and ``checkpoint``, where a trial of an
    interrupted search goes on, ``recorded`` (the step of its last report that the search knows of) and ``folder``; the
    last and ``checkpoint`` are paths, on a disk or in a storage.

    A report leaves here when its checkpoint is in the ``folder``, and all reports so far with it: so a report that has
    left is never trained again, and where this actor dies before, the next one hands it on from there.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Take up a trial; it enters an engine with its first step, when Tune has chosen where it goes on."""
        self.handles: dict[str, Any] = {}
        self.alone = True
        self.unreadable: Exception | None = None  # of an error in a setup Ray keeps the text alone: the step raises it
        try:
            self._take_up(config)
        except (OSError, StorageError) as error:
            self.unreadable = error

    def _take_up(self, config: dict[str, Any]) -> None:
        self.files: Files | None = None
        self.reports: list[Report] = []  # all of the trial's
        self.kept: Report | None = None
        self.home: str | None = None
        self.left: str | None = None  # the engine that still counts this actor's last trial
        self.owed: set[str] = set()  # engines that may still hold the trial, since they could not be reached
        own = latest_kept(config["folder"])
        start = own or config.get("checkpoint")
        if start is not None:
            self.files, self.reports = read_kept(start)
            # Tune may have it since the search began: what comes twice is known by its step.
            if self.reports and self.reports[-1]["step"] > config["recorded"]:
                self.kept = self.reports[-1]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take over for the next trial."""
        left = self.home
        self._leave()
        self.config = new_config
        self._take_up(new_config)
        self.left = left
        return True

    def step(self) -> dict[str, Any]:
        """Wait for the next report."""
        if self.unreadable is not None:
            raise self.unreadable
        if self.kept is not None:
            report, self.kept = self.kept, None
            return {**report, "note": "", tune.result.DONE: report["status"] != TrialStatus.RUNNING}
        others = self._others() if self.alone else None
        report, note = self._next_report()
        if others is not None:
            with suppress(RayActorError, GetTimeoutError):
                ray.get(others, timeout=RAMP)
        report["time"] = round(time.time(), 3)
        self.reports.append(report)
        keep(self.config["folder"], self.files or {}, self.reports)
        over = report["status"] != TrialStatus.RUNNING
        if over:
            self.home = None  # the engine has freed the slot
        return {**report, "note": note, tune.result.DONE: over}

    def _next_report(self) -> tuple[dict[str, Any], str]:
        """The next report, and what a person should hear of how it came about."""
        note, losses = "", 0
        while True:
            try:
                self.home = self._better_home() if self.home else self._enter()
                report, self.files = self._call(self.home, "next_report", self._key)
                if report is not None:
                    return report, note
                note = f"trial {self.config['number']} goes on elsewhere, at the same update: {self.home} leaves"
            except LOST as error:
                losses += 1
                if losses > LOSSES:
                    raise
                if self.home is not None:
                    self.owed.add(self.home)
                    why = str(error) if isinstance(error, TrialLostError) else type(error).__name__
                    note = f"trial {self.config['number']} goes on from its last report: {self.home} was lost ({why})"
            self.home = None

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Tune wants one when a trial pauses; the trial's own is there already."""
        own = latest_kept(self.config["folder"])
        (Path(checkpoint_dir) / PAUSED).write_text(own.name if own else "")

    def load_checkpoint(self, checkpoint_dir: Any) -> None:
        """Tune brings the trial back after a pause or a failure: where it goes on is known since it was taken up."""
        own = latest_kept(self.config["folder"])
        reported = (Path(checkpoint_dir) / PAUSED).read_text()
        if own is not None and own.name == reported:
            self.kept = None

    def cleanup(self) -> None:
        """Tune needs this actor no longer."""
        self._leave()

    def _others(self) -> ray.ObjectRef | None:
        """What to wait for before the first report: until Tune knows that the search's other actors are there, too.

        Tune gives the actor of a trial that is over to a trial whose own actor is still being started, and ends that
        one half-way. Where trials are short, it would go on starting processes for nothing, each for a second or two.
        """
        self.alone = False
        return self._directory().meet.remote(self.config["at_once"])

    def _directory(self) -> Any:
        try:
            return self._handle(self.config["directory"])
        except ValueError:
            raise NoEngineError("no engine is left: the search's driver has ended them") from None

    def _handle(self, name: str) -> Any:
        """An actor.

        Raises:
            ValueError: it has ended for good, and Ray has forgotten it.
        """
        if name not in self.handles:
            self.handles[name] = ray.get_actor(name)
        return self.handles[name]

    @property
    def _key(self) -> str:
        return trial_key(self.config["directory"], self.config["number"])

    def _leave(self) -> None:
        if self.home is not None:
            self.handles[self.home].stop.remote(self._key)
            self.home = None

    def _enter(self) -> str:
        """Take a slot in the engine that holds the fewest trials; wait for one where all are full, or none is there.

        Raises:
            NoEngineError: the search's driver has ended.
        """
        more, pause = 0, PAUSE
        while True:
            rooms, share = self._rooms()
            limit = share + more
            for name in sorted(rooms, key=lambda name: rooms[name].held):
                if rooms[name].held < min(limit, rooms[name].slots) and self._start(name, limit):
                    return name
            time.sleep(pause)
            pause = min(LONGEST_PAUSE, 1.2 * pause)
            more += 1  # full, though there is a slot for each trial: an engine is gone, and the others close ranks

    def _better_home(self) -> str:
        """The engine that this trial is in, or the one that it has just moved to."""
        assert self.home is not None
        rooms, _ = self._rooms()
        roomy = [name for name, room in rooms.items() if room.held < room.slots]  # slots differ where memory does
        name = min(roomy, key=lambda name: rooms[name].held, default=self.home)
        # One that is not in the list any more is asked all the same: it may have the trial's last state to hand back.
        if self.home not in rooms or not rooms[name].slots or rooms[name].held + 1 >= rooms[self.home].held:
            return self.home
        # Others see the same gap at the same time: the limit lets only so many through that it closes.
        if not self._start(name, rooms[self.home].held - 1):
            return self.home
        self._leave()
        return name

    def _rooms(self) -> Rooms:
        """What each engine holds; where all are alike, trials begin with different ones."""
        try:
            rooms, share = ray.get(self._directory().rooms.remote())
        except RayActorError:
            raise NoEngineError("no engine is left: the search's driver has ended them") from None
        first = int(self.config["number"]) % max(1, len(rooms))
        for name in [name for name in self.owed if name in rooms and rooms[name].slots]:
            self._handle(name).stop.remote(self._key)
            self.owed.remove(name)
        names = list(rooms)
        rooms = {name: rooms[name] for name in names[first:] + names[:first]}
        if self.left in rooms:
            rooms[self.left] = Room(rooms[self.left].held - 1, rooms[self.left].slots)
            self.left = None
        return Rooms(rooms, share)

    def _start(self, name: str, limit: int) -> bool:
        try:
            return self._call(name, "start", self._key, self.config["trial"], self.files, limit)
        except LOST:
            return False

    def _call(self, name: str, method: str, *arguments: Any) -> Any:
        try:
            engine = self._handle(name)
        except ValueError:
            raise TrialLostError("it has ended for good") from None
        try:
            return ray.get(getattr(engine, method).remote(*arguments))
        except RayTaskError as error:
            raise error.cause from None  # what went wrong there, without Ray's layers around it
