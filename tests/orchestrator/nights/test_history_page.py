"""The page of a sweep's nights, and its tables."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from orchestrator.nights.changes import changes
from orchestrator.nights.history_tables import alarms, champions, history_tables, last_night, nights_table
from orchestrator.nights.night import CellStatus
from orchestrator.nights.night_files import KeptNight
from orchestrator.nights.page import write_history_page
from orchestrator.nights.verdict import Outcome, Quantity
from orchestrator.summarizer.tables.model import ReportTable
from orchestrator.sweep.cells import CellKey
from tests.orchestrator.nights.made_nights import DEBMATCH, DEBSEC, cell, finding, night, verdict

EVIL = CellKey('<script>alert("x")</script>', "a&b", "'quoted'")


def texts(table: ReportTable) -> list[list[str]]:
    return [[one.text for one in row.cells] for row in table.rows]


def three_nights(folder: str = "") -> list[KeptNight]:
    """A quiet night, one that lost points after a change of code and torch, one that took debmatch over."""
    moved = {"git_commit": "b" * 40, "version/torch": "2.14.0"}
    code = {"code": "c2", "data": "d1", "version/torch": "2.14.0"}
    champion = cell(DEBSEC, 52.0, measured_on="2026-03-01")
    return [
        KeptNight(
            night(1, cell(DEBSEC, 52.0, folder=folder), cell(DEBMATCH, 60.0)), verdict(), (champion,), ("first",)
        ),
        KeptNight(
            night(2, cell(DEBSEC, 47.0, updates_per_second=30.0, parts=code), provenance=moved),
            verdict(finding(), finding(Outcome.BETTER, quantity=Quantity.SPEED, sentence="faster")),
            (champion,),
        ),
        KeptNight(
            night(
                3,
                cell(DEBSEC, 48.0, parts=code),
                cell(DEBMATCH, 60.0, status=CellStatus.TAKEN_OVER, updates_per_second=None, parts=code),
                cell(EVIL, status=CellStatus.FAILED, scores=(), why="<b>broken</b>", updates_per_second=None),
                provenance=moved,
                calibration=500.0,
            )
        ),
    ]


def test_tables_have_scores_differences_verdicts_and_alarms() -> None:
    kept = three_nights()
    last = last_night(kept)
    assert last.title == "Night of 2026-03-03: not judged"
    assert texts(last)[0][3:8] == ["48.0", "600", "47.0", "+1.0", "+166.7 %"]
    assert texts(last)[1][3:8] == ["60.0", "600", "60.0", "+0.0", "—"]
    assert texts(last)[2][9] == "failed: <b>broken</b>"
    assert [row[:4] for row in texts(nights_table(kept))] == [
        ["2026-03-03", "not judged", "48.0", "60.0="],
        ["2026-03-02", "1 worse", "47.0!", ""],
        ["2026-03-01", "fine", "52.0", "60.0"],
    ]
    assert texts(alarms(kept)) == [
        ["2026-03-02", "debsec, adept on t5-nano", "score", "2026-03-02", finding().sentence]
    ]
    assert texts(last_night(kept[:2]))[0][9] == "score worse"
    ((task, *_, score, since, _configuration),) = texts(champions(kept))
    assert (task, score, since, champions(kept).notes) == ("debsec", "52.0", "2026-03-01", ("2026-03-01: first",))
    assert [table.name for table in history_tables(kept)] == ["last-night", "nights", "alarms", "champions", "changes"]


def test_what_changed_is_named_once() -> None:
    found = changes([kept.night for kept in three_nights()])
    second, third = (
        [(one.kind, one.what, one.before, one.now) for one in found if one.date == date]
        for date in ("2026-03-02", "2026-03-03")
    )
    assert second == [
        ("code", "git_commit", "a" * 12, "b" * 12),
        ("versions", "torch", "2.13.0", "2.14.0"),
        ("sweep", "debmatch, pt on t5-nano", "measured", ""),
        ("code", "all cells", "c1", "c2"),
        ("versions", "torch: all cells", "", "2.14.0"),
    ]
    assert {one[:2] for one in third} == {("sweep", str(DEBMATCH)), ("sweep", str(EVIL))}


def test_another_precision_is_a_change_and_one_that_is_not_known_is_none() -> None:
    nights = [
        night(day + 1, cell(parts={"precision": one} if one else {})) for day, one in enumerate(["x", "", "y", "z"])
    ]
    assert [(one.kind, one.before, one.now) for one in changes(nights)] == [("precision", "y", "z")]


class Read(HTMLParser):
    """Collects what a page refers to, and checks that every element ends where it should."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attributes if name in ("href", "src", "xlink:href")]
        self.ids += [value or "" for name, value in attributes if name == "id"]
        if tag not in ("meta", "link", "input", "br", "wbr"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Nothing is open after it."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def page(tmp_path: Path) -> tuple[str, Read]:
    search = tmp_path / "runs" / "demo" / "a #1"
    search.mkdir(parents=True)
    (search / "report.html").write_text("")
    written = write_history_page(three_nights(str(search)), tmp_path / "runs" / "history.html").read_text()
    read = Read()
    read.feed(written)
    return written, read


def test_page_needs_no_network_and_links_the_reports_that_are_there(page: tuple[str, Read]) -> None:
    written, read = page
    inside = [address for address in read.addresses if address.startswith("#")]
    assert {address[1:] for address in inside} <= set(read.ids) and len(read.ids) == len(set(read.ids))
    assert [a for a in read.addresses if a not in (*inside, "data:,")] == ["demo/a%20%231/report.html"]
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org)", written)
    assert not read.open


def test_page_shows_alarms_champions_and_changes_and_escapes_all(page: tuple[str, Read]) -> None:
    written, _ = page
    assert html.unescape(written).count(finding().sentence) >= 2  # on the mark of its night, and among the alarms
    assert written.count('class="worse"><path') == 1 and written.count('class="better"><path') == 1
    assert 'role="img" aria-label="score over 3 nights, 47.0 to 52.0, last 48.0; alarms: 2026-03-02' in written
    for text in ("Champions", "What changed from night to night", "2.14.0", "3 nights", "No night has measured it"):
        assert text in written
    assert "<script>alert" not in written and "&lt;script&gt;alert" in written and "<b>broken" not in written


def test_page_of_the_first_night_alone(tmp_path: Path) -> None:
    written = write_history_page(three_nights()[1:2], tmp_path / "page.html").read_text()
    assert "demo, 1 night<" in written and '<strong class="worse">Worse.</strong>' in written
    assert "<polyline" not in written and "What changed" not in written
