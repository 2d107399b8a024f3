"""Notifications of a night: who is notified when, checked beforehand; what was not taken goes with the next night's.

A notification that fails is logged and kept; it never ends a night nor changes its exit code. Addresses with secrets
come from a variable or a file, and stand in no message, no log and no file of ours.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from orchestrator.nights.kept_lists import read_list, write_list
from orchestrator.nights.night import Night
from orchestrator.nights.notify_channels import (
    PORTS,
    WHOLE_SECONDS,
    Channel,
    DeliveryError,
    Lines,
    Mail,
    Webhook,
    within,
)
from orchestrator.nights.notify_message import Message, is_address
from orchestrator.nights.verdict import Verdict
from orchestrator.sweep.rules import NotifyRules
from yaml_reader.home import from_home

log = logging.getLogger(__name__)

KEPT = "notifications.json"  # in the folder of a sweep: what was not taken yet
_LOST = "notifications that were waiting in it are lost"
MOST_KEPT = 30  # notifications of a kind
PAUSES = (1.0, 4.0)
"""Seconds between the attempts of one delivery."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class _Waiting:
    """A notification that one channel (a key of the rules) has not taken."""

    channel: str
    message: Message
    page: str


def notify_problems(rules: NotifyRules, base: Path = Path()) -> list[str]:
    """What is wrong with the rules here and now, a sentence each: a variable that is not set, a file that is not there.

    Args:
        base: folder that relative paths start from.
    """
    return _channels(rules, base)[1]


def notify(
    rules: NotifyRules,
    night: Night,
    verdict: Verdict,
    *,
    folder: Path,
    page: Path | None = None,
    champions: Sequence[str] = (),
    problems: Sequence[str] = (),
    base: Path = Path(),
) -> list[str]:
    """Notify whom the rules name, of this night and of earlier ones that were not delivered.

    Args:
        folder: of the sweep, where undelivered notifications are kept.
        page: the night's page, which goes with a mail. champions: of aliases that moved, a sentence each.
        problems: what else went wrong in the night. base: folder that relative paths start from.

    Returns:
        What was not delivered and why, a sentence each, without secrets; each is logged, too.
    """
    channels, wrong = _channels(rules, base)
    waiting = read_list(folder / KEPT, list[_Waiting], _LOST)
    if rules.when == "always" or (rules.when == "worse" and verdict.exit_code != 0):
        place = str(page.absolute()) if page is not None else ""
        message = Message.of(night, verdict, champions=champions, page=place, problems=problems)
        waiting = [one for one in waiting if (one.message.sweep, one.message.night) != (night.sweep, night.date)]
        waiting += [_Waiting(name, message, place) for name in _named(rules)]
        write_list(folder / KEPT, list[_Waiting], waiting)  # a kill in the middle of the deliveries loses none
    left: list[_Waiting] = []
    failures = []
    for name in dict.fromkeys(one.channel for one in waiting):
        queue = [one for one in waiting if one.channel == name]
        channel = channels.get(name)
        if channel is None and name not in _named(rules):
            log.info("%d notifications by %s are dropped: the sweep names none any more", len(queue), name)
            continue
        why = "" if channel is not None else next(one for one in wrong if one.startswith(f"notify: {name}"))
        while queue and not why:
            assert channel is not None
            why = _tried(channel, queue[0])
            queue = queue if why else queue[1:]
        if why:
            failures.append(why if channel is None else f"{channel.shown} did not take the notification: {why}")
            left += queue[-MOST_KEPT:]
    write_list(folder / KEPT, list[_Waiting], left)
    for failure in failures:
        log.warning("%s; it is kept, and sent with the next night's", failure)
    return failures


def _tried(channel: Channel, one: _Waiting) -> str:
    """Deliver, in a few attempts; why that was not possible, or nothing."""
    for pause in (*PAUSES, None):
        try:
            within(WHOLE_SECONDS, lambda: channel.deliver(one.message, Path(one.page) if one.page else None))
            return ""
        except DeliveryError as error:
            if pause is None or not error.again:
                return str(error)
        time.sleep(pause)
    raise AssertionError("the last attempt returns")


def _named(rules: NotifyRules) -> list[str]:
    """The channels that the rules name."""
    named = {"webhook": rules.webhook, "mail": rules.mail_to or rules.smtp, "file": rules.file}
    return [name for name, value in named.items() if value] if rules.when != "never" else []


def _channels(rules: NotifyRules, base: Path) -> tuple[dict[str, Channel], list[str]]:
    """The channels that can be used, and what is wrong with the others."""
    makers: dict[str, Callable[[list[str]], Channel | None]] = {
        "webhook": lambda problems: _webhook(rules, base, problems),
        "mail": lambda problems: _mail(rules, base, problems),
        "file": lambda problems: _file(rules, base, problems),
    }
    channels: dict[str, Channel] = {}
    found: list[str] = []
    for name in _named(rules):
        problems: list[str] = []
        channel = makers[name](problems)
        if channel is not None and not problems:
            channels[name] = channel
        found += [f"notify: {name}: {problem}" for problem in problems]
    return channels, found


def _webhook(rules: NotifyRules, base: Path, problems: list[str]) -> Channel | None:
    url = _secret(rules.webhook, "webhook", base, ("https", "http"), problems)
    return Webhook(url) if url else None


def _mail(rules: NotifyRules, base: Path, problems: list[str]) -> Channel | None:
    missing = {"mail_to": rules.mail_to, "mail_from": rules.mail_from, "smtp": rules.smtp}
    lacking = [name for name, value in missing.items() if not value]
    if lacking:
        problems.append(f"{' and '.join(lacking)} missing: a mail needs mail_to, mail_from and smtp")
    addresses = [*rules.mail_to, *([rules.mail_from] if rules.mail_from else [])]
    problems += [f"{text!r} is no mail address: write NAME@HOST" for text in addresses if not is_address(text)]
    url = _secret(rules.smtp, "smtp", base, tuple(PORTS), problems) if rules.smtp else ""
    return Mail(url, rules.mail_from, rules.mail_to) if url else None


def _file(rules: NotifyRules, base: Path, problems: list[str]) -> Channel | None:
    path = (base / from_home(rules.file)).absolute()
    there = path if path.exists() else path.parent
    if path.is_dir():
        problems.append(f"{path} is a folder: name a file")
    elif not there.exists():
        problems.append(f"{path}: there is no folder {path.parent}; make it, or name a file elsewhere")
    elif not os.access(there, os.W_OK):
        problems.append(f"{path} cannot be written: give yourself the right to, or name a file elsewhere")
    return Lines(path)


def _secret(source: str, key: str, base: Path, schemes: tuple[str, ...], problems: list[str]) -> str:
    """The address that a variable or a file holds; empty where something is wrong with it. No message shows it."""
    forms = " or ".join(f"{scheme}://..." for scheme in schemes)
    if "://" in source or "@" in source:
        problems.append(
            f"{key} holds an address, which is a secret: put it into an environment variable or a file of mode 600, "
            f"and name that here, such as `{key}: ADEPT_{key.upper()}`"
        )
        return ""
    file = base / from_home(source)
    if source in os.environ:
        named, value = f"${source}", os.environ[source]
    elif file.is_file():
        named = str(file)
        try:
            value = file.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            problems.append(f"{file} cannot be read ({type(error).__name__}): give yourself the right to, or mend it")
            return ""
        if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            mode = stat.S_IMODE(file.stat().st_mode)
            log.warning("%s holds a secret and can be read by others (mode %o): chmod 600 %s", file, mode, file)
    else:
        known = "no variable of this name is set" if _VARIABLE.fullmatch(source) else "there is no such file"
        problems.append(f"{source}: {known}; {key} names an environment variable or a file that holds {forms}")
        return ""
    return _checked(value.strip(), f"{named} ({key})", forms, schemes, problems)


def _checked(value: str, named: str, forms: str, schemes: tuple[str, ...], problems: list[str]) -> str:
    why = ""
    try:
        parts = urlsplit(value)
        if not value:
            why = "is empty"
        elif any(letter.isspace() or not letter.isprintable() for letter in value):
            why = "holds more than one address, or one with a blank or a line break in it"
        elif parts.scheme not in schemes:
            why = "begins with another scheme, or none"
        elif not parts.hostname:
            why = "names no host"
        elif parts.port == 0:
            why = "names port 0"
    except ValueError:
        why = "has a host or a port that cannot be read"
    if why:
        problems.append(f"{named} {why}: it must hold {forms}")
    return "" if why else value
