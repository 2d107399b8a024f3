"""What a notification says of a night, and the forms that it takes: JSON that Slack and others read, a mail."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from email.message import EmailMessage
from email.utils import parseaddr
from pathlib import Path
from typing import Any

from orchestrator.nights.night import Night
from orchestrator.nights.verdict import Outcome, Verdict
from orchestrator.record import formats

SHOWN = 20  # sentences of a kind in a notification; the page has all of them
LARGEST_PAGE = 5_000_000  # bytes of a page that goes with a mail
_SECTION, _HEADER = 3_000, 150  # characters that Slack takes in a block
_ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_OUTCOMES = {0: "fine", 1: "worse", 3: "not known whether worse"}


@dataclass(frozen=True, kw_only=True)
class Message:
    """A notification of one night; it holds no secrets.

    Attributes:
        outcome: ``fine``, ``worse`` or ``not known whether worse``, with the exit code.
        findings: what got worse, or why nothing was compared; champions: the aliases that moved; a sentence each.
        page: the night's page, as a link or the path of a file.
    """

    sweep: str
    night: str
    outcome: str
    exit_code: int
    findings: tuple[str, ...] = ()
    champions: tuple[str, ...] = ()
    page: str = ""
    problems: tuple[str, ...] = field(default=())

    @classmethod
    def of(
        cls,
        night: Night,
        verdict: Verdict,
        *,
        champions: Sequence[str] = (),
        page: str = "",
        problems: Sequence[str] = (),
    ) -> Message:
        """Of a night and what the gate found.

        Args:
            problems: what else went wrong in the night, a sentence each.
        """
        code = verdict.exit_code
        unknown = (Outcome.UNSURE, Outcome.FAILED, Outcome.NOT_COMPARED)
        reasons = [one for one in verdict.findings if one.outcome in unknown] if code == 3 else []
        sentences = [formats.line(one.sentence) for one in (*verdict.worse, *reasons) if one.sentence]
        return cls(
            sweep=night.sweep,
            night=night.date,
            outcome=_OUTCOMES.get(code, "fine"),
            exit_code=code,
            findings=tuple(dict.fromkeys(sentences)),
            champions=tuple(formats.line(one) for one in champions),
            page=page,
            problems=tuple(formats.line(one) for one in problems),
        )

    @property
    def title(self) -> str:
        """The night and its outcome in a few words."""
        counted = f"{len(self.findings)} worse" if self.exit_code == 1 else self.outcome
        return formats.line(f"{self.sweep}, night {self.night}: {counted}")

    @property
    def _parts(self) -> Mapping[str, Sequence[str]]:
        first = "Worse" if self.exit_code == 1 else "Not known"
        return {first: self.findings, "Champions": self.champions, "Problems": self.problems}

    @property
    def text(self) -> str:
        """All of it as plain text."""
        lines = [self.title]
        for title, sentences in self._parts.items():
            if sentences:
                lines += ["", f"{title}:", *(f"- {one}" for one in _first(sentences))]
        return "\n".join([*lines, *(["", f"Page: {self.page}"] if self.page else [])])

    def as_json(self) -> dict[str, Any]:
        """``text`` and ``blocks`` as Slack's incoming webhooks take them, and each field by its name for others."""
        blocks: list[dict[str, Any]] = [
            {"type": "header", "text": {"type": "plain_text", "text": formats.shortened(self.title, _HEADER)}}
        ]
        for title, sentences in self._parts.items():
            if sentences:
                listed = "\n".join(f"• {_escaped(one)}" for one in _first(sentences))
                shown = f"*{title}*\n{listed}"
                shown = shown if len(shown) <= _SECTION else shown[: _SECTION - 1].rpartition("\n")[0] + "\n…"
                blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": shown}})
        if self.page:
            page = {"type": "mrkdwn", "text": _escaped(formats.shortened(f"Page: {self.page}", _SECTION))}
            blocks.append({"type": "context", "elements": [page]})
        return {"text": _escaped(self.title), "blocks": blocks, **asdict(self)}

    def as_mail(self, sender: str, recipients: Sequence[str], page: Path | None) -> EmailMessage:
        """A mail, with the page as an attachment where it is there and not too large."""
        mail = EmailMessage()
        mail["Subject"] = f"adept-search: {self.title}"
        mail["From"] = sender
        mail["To"] = ", ".join(recipients)
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(self.text + "\n")
        if page is not None and page.is_file() and page.stat().st_size <= LARGEST_PAGE:
            kind, _, form = (mimetypes.guess_type(page.name)[0] or "text/html").partition("/")
            mail.add_attachment(page.read_bytes(), maintype=kind, subtype=form, filename=page.name)
        return mail


def is_address(text: str) -> bool:
    """Whether a text is one mail address, as far as its form says."""
    name, _, host = parseaddr(text)[1].rpartition("@")
    return bool(name and host) and not any(letter.isspace() or letter in ",;<>" for letter in text)


def _first(sentences: Sequence[str]) -> list[str]:
    more = len(sentences) - SHOWN
    return [*sentences[:SHOWN], *([f"and {more} more"] if more > 0 else [])]


def _escaped(text: str) -> str:
    for letter, form in _ESCAPED.items():
        text = text.replace(letter, form)
    return text
