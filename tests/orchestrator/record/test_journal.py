"""The journal: whatever happens to the file, what is read is what was written, and what is lost is said."""

from __future__ import annotations

import errno
import math
import os
from pathlib import Path

import pytest

from orchestrator.record import journal as journals
from orchestrator.record.errors import JournalError
from orchestrator.record.journal import Journal

ENTRIES = [{"event": "report", "number": n, "score": 10.5 * n, "text": 'ä "quoted"\n'} for n in range(6)]


def written(path: Path) -> bytes:
    with Journal(path) as opened:
        for start in range(0, len(ENTRIES), 2):
            opened.append(ENTRIES[start : start + 2])
    return path.read_bytes()


def test_entries_come_back_with_numbers_that_json_has_no_word_for(tmp_path: Path) -> None:
    with Journal(tmp_path / "folder" / "j.jsonl") as opened:
        opened.append([{"score": math.inf}, {"score": -0.1}])
    with Journal(tmp_path / "folder" / "j.jsonl") as opened:
        assert opened.found == [{"score": math.inf}, {"score": -0.1}]
        assert opened.damage == ""


def test_a_cut_at_any_byte_is_seen_said_and_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals.os, "fsync", lambda file: None)  # of hundreds of small files
    path = tmp_path / "j.jsonl"
    whole = written(path)
    length = path.with_name("j.jsonl.length").read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        path.with_name("j.jsonl.length").write_bytes(length)
        with Journal(path) as opened:
            lines = whole[:cut].count(b"\n")
            assert opened.found == ENTRIES[:lines], cut
            assert f"its first {lines} entries are whole" in opened.damage, cut
            opened.append([{"after": cut}])
        with Journal(path) as opened:
            assert opened.found == [*ENTRIES[:lines], {"after": cut}], cut
            assert opened.damage == "", cut


def test_a_changed_byte_ends_what_is_believed_and_nothing_is_thrown_away(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    whole = written(path)
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        path.with_name("j.jsonl.damaged").unlink(missing_ok=True)
        with Journal(path) as opened:
            line = whole[:place].count(b"\n")
            assert opened.found == ENTRIES[:line], place
            assert f"is damaged in line {line + 1}" in opened.damage or "cut off" in opened.damage, place
        kept = path.with_name("j.jsonl.damaged").read_bytes()
        assert len(path.read_bytes()) + len(kept) == len(whole), place


def test_a_lost_or_moved_line_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    lines = written(path).splitlines(keepends=True)
    for other in ([*lines[:2], *lines[3:]], [lines[1], lines[0], *lines[2:]]):
        path.write_bytes(b"".join(other))
        with Journal(path) as opened:
            assert len(opened.found) < len(other)
            assert "is damaged in line" in opened.damage


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "j.jsonl"
    whole = written(path)
    with Journal(path) as opened:

        def half(file: int, data: bytes, at: int) -> None:
            os.pwrite(file, data[: len(data) // 2], at)
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(journals, "_write", half)
            with pytest.raises(JournalError, match=r"cannot be written \(No space left on device\).*free some space"):
                opened.append([{"never": "there"}])
        assert path.read_bytes() == whole
        opened.append([{"space": "again"}])
    with Journal(path) as opened:
        assert opened.found == [*ENTRIES, {"space": "again"}]


def test_two_drivers_of_one_search_are_one_too_many(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.jsonl"), pytest.raises(JournalError, match="running in another process"):
        Journal(tmp_path / "j.jsonl")
    Journal(tmp_path / "j.jsonl").close()


def test_what_has_no_json_form_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.jsonl") as opened:
        with pytest.raises(ValueError, match="where is"):
            opened.append([{"fine": 1}, {"where": Path("x")}])
        assert (tmp_path / "j.jsonl").read_bytes() == b""
