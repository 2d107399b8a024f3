"""When a night begins: one schedule, in the five fields of cron and as systemd's calendar has it."""

from __future__ import annotations

import math
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from trials.errors import UserError

DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
LONGEST = 366 * 8  # days: a 29th of February comes again within eight years


class _Field(NamedTuple):
    """One field of a crontab's line: its name, its least and greatest value, and the names that values have."""

    name: str
    least: int
    most: int
    names: Sequence[str] = ()


FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, MONTHS),
    _Field("day of the week", 0, 7, DAYS),  # 7 is Sunday, too
)


@dataclass(frozen=True)
class Schedule:
    """The times of crontab(5)'s five fields.

    Attributes:
        cron: the fields, as they were written, with single spaces.
        minutes, hours, days, months, weekdays: the values that each allows; weekdays from 0, Sunday, to 6.
    """

    cron: str
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]

    @property
    def either_day(self) -> bool:
        """Whether a day of the month or one of the week is enough: so it is where both are restricted."""
        return not any(field.startswith("*") for field in (self.cron.split()[2], self.cron.split()[4]))

    def on(self, day: datetime) -> bool:
        """Whether there is any time on that day."""
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return day.month in self.months and (of_month or of_week if self.either_day else of_month and of_week)

    def next(self, after: datetime) -> datetime:
        """The first time after another, as a clock on the wall shows it.

        Raises:
            UserError: there is none in eight years, such as a 30th of February.
        """
        day = after.replace(hour=0, minute=0, second=0, microsecond=0)
        for _ in range(LONGEST):
            if self.on(day):
                for hour in self.hours:
                    for minute in self.minutes:
                        if (found := day.replace(hour=hour, minute=minute)) > after:
                            return found
            day += timedelta(days=1)
        raise UserError([f"--schedule '{self.cron}': no day has that date; name a day that its month has"])

    @property
    def calendar(self) -> list[str]:
        """The same times for ``OnCalendar=`` of systemd.time(7), one or two expressions."""
        clock = f"{_listed(self.hours, FIELDS[1])}:{_listed(self.minutes, FIELDS[0])}:00"
        months, days = _listed(self.months, FIELDS[3]), _listed(self.days, FIELDS[2])
        all_week = len(self.weekdays) == len(DAYS)
        week = "" if all_week else ",".join(DAYS[day].capitalize() for day in self.weekdays) + " "
        if self.either_day:
            return [f"{week}*-{months}-* {clock}", *([] if all_week else [f"*-{months}-{days} {clock}"])]
        return [f"{week}*-{months}-{days} {clock}"]


def read_schedule(at: str | None = None, every: str | None = None, cron: str | None = None) -> Schedule:
    """The schedule that options ask for.

    Args:
        at: ``HH:MM``; 02:00 where nothing is given. every: ``day``, ``weekday`` or days such as ``mon,thu``.
        cron: five fields instead of the two.

    Raises:
        UserError: with everything that is wrong.
    """
    if cron is not None:
        if at is not None or every is not None:
            raise UserError(["--schedule: it holds days and times itself; leave out --at and --every"])
        return parse_cron(cron)
    problems = []
    clock = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", (at or "02:00").strip())
    if clock is None:
        problems.append(f"--at {at}: a time from 00:00 to 23:59 is needed, such as 02:00")
    week = {"day": "*", "weekday": "1-5"}.get(every or "day") or ",".join(
        str(DAYS.index(name)) if name in DAYS else "?" for name in re.split(r"\s*,\s*", (every or "").strip().lower())
    )
    if "?" in week:
        problems.append(f"--every {every}: use day, weekday, or days of the week such as mon,thu")
    if clock is None or problems:
        raise UserError(problems)
    return parse_cron(f"{int(clock[2])} {int(clock[1])} * * {week}")


def parse_cron(text: str) -> Schedule:
    """Read five fields of crontab(5): ``*``, values, names, ranges, steps and lists of them.

    Raises:
        UserError: with everything that is wrong.
    """
    words = text.split()
    if len(words) != len(FIELDS):
        names = ", ".join(field.name for field in FIELDS)
        raise UserError([f"--schedule '{text}': it has {len(words)} fields; 5 are needed: {names}"])
    values: list[tuple[int, ...]] = []
    problems: list[str] = []
    for word, field in zip(words, FIELDS, strict=True):
        try:
            values.append(tuple(sorted({one for part in word.split(",") for one in _values(part, field)})))
        except ValueError as error:
            problems.append(f"--schedule '{text}': {field.name} {word}: {error}")
    if problems:
        raise UserError(problems)
    minutes, hours, days, months, weekdays = values
    found = Schedule(" ".join(words), minutes, hours, days, months, tuple(sorted({day % 7 for day in weekdays})))
    found.next(datetime(2026, 1, 1))
    return found


def _values(part: str, field: _Field) -> range:
    """The values of one part of a field's list."""
    match = re.fullmatch(r"(?:(\*)|([A-Za-z]+|\d+)(?:-([A-Za-z]+|\d+))?)(?:/(\d+))?", part)
    if match is None or (match[4] and not match[1] and not match[3]):
        raise ValueError("use *, a value, a range such as 1-5, a step such as */15 or 0-30/10, or a list of them")
    first, last = (
        (field.least, field.most) if match[1] else (_value(match[2], field), _value(match[3] or match[2], field))
    )
    step = int(match[4] or 1)
    if first > last or step < 1:
        raise ValueError("a range goes up, and its step is 1 or more")
    return range(first, last + 1, step)


def _value(word: str, field: _Field) -> int:
    if word.isdigit():
        value = int(word)
    elif word.lower() in field.names:
        value = field.names.index(word.lower()) + field.least
    else:
        raise ValueError(f"{word} is not known; use {', '.join(field.names) or f'{field.least} to {field.most}'}")
    if not field.least <= value <= field.most:
        raise ValueError(f"{word} is not between {field.least} and {field.most}")
    return value


def _listed(values: Sequence[int], field: _Field) -> str:
    if len(values) == field.most - field.least + 1:
        return "*"
    return ",".join(f"{value:02d}" for value in values)


if __name__ == "__main__":  # docker/steps/nightly.sh: the seconds from now to the next time
    print(math.ceil(parse_cron(sys.argv[1]).next(datetime.now()).timestamp() - time.time()))
