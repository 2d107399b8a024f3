"""Notifications reach whom the rules name, or are kept and sent later; secrets are nowhere to be read."""

from __future__ import annotations

import json
import logging
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.nights import notify as notifying
from orchestrator.nights import notify_channels
from orchestrator.nights.notify import KEPT, notify, notify_problems
from orchestrator.nights.notify_message import Message
from orchestrator.nights.verdict import Outcome
from orchestrator.sweep.rules import NotifyRules
from tests.orchestrator.nights.made_nights import finding, night, verdict
from tests.orchestrator.nights.receivers import Hook, MailServer, running
from tests.planted import ProcessWatch, found_in, texts_below

LOSS = "rte, adept on t5-nano: accuracy fell from 80.0 to 74.0 (n 200, McNemar's exact test, p 0.002), a1..b2 <urgent>"
WORSE = verdict(finding(sentence=LOSS))
PATH = "services/T0SECRET/B0SECRET/planted0secret"


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifying, "PAUSES", (0.01, 0.01))
    monkeypatch.setattr(notify_channels, "ANSWER_SECONDS", 0.3)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # which nobody answers at, and loopback must not ask


def webhook(monkeypatch: pytest.MonkeyPatch, hook: Hook) -> NotifyRules:
    monkeypatch.setenv("HOOK", f"{hook.url}/{PATH}")
    return NotifyRules(webhook="HOOK")


def test_a_webhook_gets_what_slack_reads_and_plain_fields(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(Hook()) as hook:
        rules = webhook(monkeypatch, hook)
        moved = ["champion of rte on t5-nano is version 2 now, adept: better"]
        assert notify(rules, night(1), WORSE, folder=tmp_path, page=tmp_path / "night.html", champions=moved) == []
    (got,) = hook.got
    assert got["text"] == "demo, night 2026-03-01: 1 worse"
    assert [block["type"] for block in got["blocks"]] == ["header", "section", "section", "context"]
    assert "&lt;urgent&gt;" in got["blocks"][1]["text"]["text"]
    assert (got["outcome"], got["exit_code"], got["findings"]) == ("worse", 1, [LOSS])
    assert got["champions"] == moved and got["page"].endswith("night.html")
    assert hook.paths == [f"/{PATH}"] and not (tmp_path / KEPT).exists()


@pytest.mark.parametrize(
    ("when", "outcome", "sent"),
    [
        ("worse", Outcome.WORSE, True),
        ("worse", Outcome.NOT_COMPARED, True),
        ("worse", Outcome.FINE, False),
        ("always", Outcome.FINE, True),
        ("never", Outcome.WORSE, False),
    ],
)
def test_when_somebody_is_notified(when: Any, outcome: Outcome, sent: bool, tmp_path: Path) -> None:
    rules = NotifyRules(when=when, file="lines.jsonl")
    found = verdict(finding(outcome, sentence="why"))
    assert notify(rules, night(1), found, folder=tmp_path, base=tmp_path) == []
    file = tmp_path / "lines.jsonl"
    assert file.exists() == sent
    if sent:
        assert json.loads(file.read_text())["exit_code"] == found.exit_code


@pytest.mark.parametrize(
    ("statuses", "asked", "says"),
    [
        ((500,), 3, "it answers 500"),
        ((503, 200), 2, ""),
        ((404,), 1, "it answers 404"),
        ((302,), 1, "it answers 302"),
        ((0,), 3, "has not answered within"),
    ],
)
def test_a_webhook_that_refuses_or_hangs_is_asked_again_and_what_it_missed_comes_later(
    statuses: tuple[int, ...], asked: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(Hook(*statuses)) as hook:
        rules = webhook(monkeypatch, hook)
        begun = time.monotonic()
        failures = notify(rules, night(1), WORSE, folder=tmp_path)
        assert time.monotonic() - begun < 5
        assert len(hook.got) == asked and len(failures) == bool(says)
        if not says:
            return
        assert says in failures[0] and "webhook at 127.0.0.1" in failures[0]
        assert "SECRET" not in failures[0] + (tmp_path / KEPT).read_text()
        notify(rules, night(1), WORSE, folder=tmp_path)  # the same night once more
        hook.statuses = [200]
        hook.over.set()
        fine = verdict()
        assert notify(rules, night(2), fine, folder=tmp_path) == []
        assert hook.got[-1]["night"] == "2026-03-01" and not (tmp_path / KEPT).exists()


def test_a_webhook_that_nobody_answers_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HOOK", f"http://127.0.0.1:{free.getsockname()[1]}/{PATH}")
    (failure,) = notify(NotifyRules(webhook="HOOK"), night(1), WORSE, folder=tmp_path)
    assert "Connection refused" in failure


def test_a_mail_holds_the_findings_and_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "night.html"
    page.write_text("<html>page</html>")
    with running(MailServer()) as server:
        monkeypatch.setenv("SMTP", f"smtp://me%40here:p%40ss@{server.place}")
        rules = NotifyRules(mail_to=("a@team.example", "b@team.example"), mail_from="night@team.example", smtp="SMTP")
        assert notify(rules, night(1), WORSE, folder=tmp_path, page=page) == []
    (mail,) = server.mails
    assert server.users == [("me@here", "p@ss")]
    assert mail["Subject"] == "adept-search: demo, night 2026-03-01: 1 worse"
    assert mail["To"] == "a@team.example, b@team.example"
    text, attached = mail.iter_parts()
    assert LOSS in text.get_content() and str(page) in text.get_content()
    assert (attached.get_filename(), attached.get_content()) == ("night.html", "<html>page</html>")


def test_a_mail_that_is_not_taken_and_why_without_the_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = NotifyRules(mail_to=("a@team.example",), mail_from="night@team.example", smtp="SMTP")
    with running(MailServer(refuse=("a@team.example",), password="right")) as server:
        monkeypatch.setenv("SMTP", f"smtp://me:hunter2@{server.place}")
        (failure,) = notify(rules, night(1), WORSE, folder=tmp_path)
        assert "535" in failure and "hunter2" not in failure and len(server.users) == 1, (
            "a wrong password is tried once"
        )
        monkeypatch.setenv("SMTP", f"smtp://me:right@{server.place}")
        (failure,) = notify(rules, night(1), WORSE, folder=tmp_path)
        assert "does not take mail for a@team.example" in failure
    (failure,) = notify(rules, night(1), WORSE, folder=tmp_path)
    assert "mail to a@team.example by 127.0.0.1" in failure and "refused" in failure


def test_a_password_is_not_sent_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(MailServer()) as server:
        connect = socket.create_connection

        def redirected(address: tuple[str, int], *more: Any, **others: Any) -> socket.socket:
            return connect(("127.0.0.1", address[1]), *more, **others)

        monkeypatch.setattr(socket, "create_connection", redirected)
        port = server.place.rpartition(":")[2]
        mail = notify_channels.Mail(f"smtp://me:hunter2@mail.example:{port}", "a@b.example", ("c@d.example",))
        message = Message(sweep="demo", night="2026-03-01", outcome="worse", exit_code=1)
        with pytest.raises(notify_channels.DeliveryError, match="no STARTTLS"):
            mail.deliver(message, None)
    assert server.users == [] and server.mails == []


def test_lines_of_a_file_are_whole_also_after_one_that_was_cut(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_text('{"cut": ')
    rules = NotifyRules(file=str(file))
    for day in (1, 2):
        assert notify(rules, night(day), WORSE, folder=tmp_path) == []
    cut, *lines = file.read_text().splitlines()
    assert cut == '{"cut": ' and [json.loads(line)["night"] for line in lines] == ["2026-03-01", "2026-03-02"]


def test_all_that_is_wrong_is_said_at_once_before_the_night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPTY", " ")
    monkeypatch.delenv("UNSET", raising=False)
    rules = NotifyRules(
        webhook="UNSET", mail_to=("nobody",), mail_from="a@b.example", smtp="keys/none", file="no/folder/lines.jsonl"
    )
    found = notify_problems(rules, tmp_path)
    assert [problem.split(": ")[1] for problem in found] == ["webhook", "mail", "mail", "file"]
    assert "UNSET: no variable of this name is set" in found[0] and "keys/none: there is no such file" in found[2]
    for source, value, says in [
        ("A", "ftp://h/x", "another scheme"),
        ("A", "https:///x", "names no host"),
        ("A", "https://h:99999/x", "cannot be read"),
        ("A", "https://h/x SECRET", "a blank"),
        ("EMPTY", " ", "is empty"),
        (f"https://hooks.example/{PATH}", "", "is a secret"),
    ]:
        if value:
            monkeypatch.setenv(source, value)
        (problem,) = notify_problems(NotifyRules(webhook=source))
        assert says in problem and "SECRET" not in problem
    (problem,) = notify_problems(NotifyRules(smtp="EMPTY", mail_from="a@b.example"))[:1]
    assert "mail_to missing" in problem
    assert notify_problems(NotifyRules(when="never", webhook="UNSET")) == notify_problems(NotifyRules()) == []


def test_secrets_of_files_are_used_and_are_nowhere_to_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    keys, work = tmp_path / "keys", tmp_path / "work"
    keys.mkdir()
    work.mkdir()
    secrets = {"webhook": "planted0hook", "password": "planted0password"}
    with running(Hook(500)) as hook, running(MailServer(password="other")) as server, ProcessWatch(0.05) as watch:
        (keys / "hook").write_text(f"{hook.url}/services/{secrets['webhook']}\n")
        (keys / "hook").chmod(0o644)
        (keys / "smtp").write_text(f"smtp://me:{secrets['password']}@{server.place}")
        (keys / "smtp").chmod(0o600)
        rules = NotifyRules(
            webhook="keys/hook", smtp="keys/smtp", mail_to=("a@b.example",), mail_from="c@d.example", file="lines.jsonl"
        )
        with caplog.at_level(logging.DEBUG):
            assert notify_problems(rules, tmp_path) == []
            failures = notify(rules, night(1), WORSE, folder=work, base=tmp_path)
    assert len(failures) == 2 and len(hook.got) == 3 and len(server.users) == 1
    assert "keys/hook holds a secret and can be read by others (mode 644)" in caplog.text
    assert "keys/smtp" not in caplog.text
    lines = (tmp_path / "lines.jsonl").read_text()
    places = {"the log": caplog.text, "failures": " ".join(failures), "lines": lines, **texts_below(work)}
    places["command lines"] = "\n".join(watch.seen)
    assert found_in(places, secrets) == []
