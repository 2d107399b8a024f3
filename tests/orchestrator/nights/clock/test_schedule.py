"""When a night begins: cron's five fields are read as cron reads them, and systemd is given the same times."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from datetime import datetime

import pytest

from orchestrator.nights.clock.schedule import parse_cron, read_schedule
from trials.errors import UserError

SATURDAY = datetime(2026, 11, 28, 20, 30)


@pytest.mark.parametrize(
    ("cron", "then"),
    [
        ("0 2 * * *", datetime(2026, 11, 29, 2)),
        ("* * * * *", datetime(2026, 11, 28, 20, 31)),
        ("30 20 * * *", datetime(2026, 11, 29, 20, 30)),  # the minute that it is has begun
        ("*/20 21-23/2 * * *", datetime(2026, 11, 28, 21, 0)),
        ("5,50 20 * * SAT", datetime(2026, 11, 28, 20, 50)),
        ("0 2 * * 7", datetime(2026, 11, 29, 2)),
        ("0 2 * * mon-fri", datetime(2026, 11, 30, 2)),
        ("0 2 1 * *", datetime(2026, 12, 1, 2)),
        ("0 2 13 * fri", datetime(2026, 12, 4, 2)),  # the 13th, or a Friday
        ("0 2 */2 * mon", datetime(2026, 12, 7, 2)),  # a Monday with an odd date: a star asks for both
        ("0 2 29 feb *", datetime(2028, 2, 29, 2)),
    ],
)
def test_the_next_time_is_crons_and_systemds(cron: str, then: datetime) -> None:
    schedule = parse_cron(cron)
    assert schedule.next(SATURDAY) == then
    if (program := shutil.which("systemd-analyze")) is None:
        return
    command = [program, "calendar", f"--base-time={SATURDAY}", *schedule.calendar]
    said = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TZ": "UTC"}, check=True).stdout
    found = re.findall(r"Next elapse: \w+ (\S+ \S+)", said)
    assert len(found) == len(schedule.calendar), said
    assert min(map(datetime.fromisoformat, found)) == then


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 2 * *", "has 4 fields; 5 are needed"),
        ("@daily", "has 1 fields"),
        ("60 2 * * *", "minute 60: 60 is not between 0 and 59"),
        ("0 2 * * tues", "day of the week tues: tues is not known; use sun, mon"),
        ("0 2 0 13 *", "month 13: 13 is not between 1 and 12"),
        ("0 5-2 * * *", "hour 5-2: a range goes up"),
        ("0 */0 * * *", "its step is 1 or more"),
        ("0 2/3 * * *", "hour 2/3: use *"),
        ("0 2 ? * *", "day of the month ?: use *"),
        ("0 2 30 2 *", "no day has that date"),
        ("0 2 * * *; rm", "5 are needed"),
    ],
)
def test_a_wrong_schedule_is_refused_with_its_field(cron: str, words: str) -> None:
    with pytest.raises(UserError) as refused:
        parse_cron(cron)
    assert words in str(refused.value)


def test_all_wrong_fields_are_named_at_once() -> None:
    with pytest.raises(UserError) as refused:
        parse_cron("61 25 32 * *")
    assert len(refused.value.problems) == 3


def test_times_and_days_become_a_schedule() -> None:
    assert read_schedule().cron == "0 2 * * *"
    assert read_schedule("3:05", "Mon, thu").cron == "5 3 * * 1,4"
    assert read_schedule("23:59", "weekday").calendar == ["Mon,Tue,Wed,Thu,Fri *-*-* 23:59:00"]
    with pytest.raises(UserError) as refused:
        read_schedule("24:00", "tuesday")
    assert len(refused.value.problems) == 2
    with pytest.raises(UserError, match="leave out --at"):
        read_schedule("02:00", None, "0 2 * * *")
