"""Quotation marks in the files of own tasks: text in one kind of file, signs of the form in another."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trials.tasks.made_own_tasks import problems_of, rows_of, task_of, three

PLAIN = 'text\tlabel\none\tx\n"open quote\ty\nlost a\tx\nlost b\ty\n"closing\tx\nlast\ty\n'


def test_quotation_marks_are_text_in_a_tab_separated_file(tmp_path: Path) -> None:
    task = task_of(tmp_path, three(tmp_path, "tsv", PLAIN))
    assert rows_of(task) == ["one", '"open quote', "lost a", "lost b", '"closing', "last"]


def test_quotation_marks_enclose_texts_where_the_task_or_the_header_says_so(tmp_path: Path) -> None:
    quoted = 'text\tlabel\n"say ""hi"""\tx\n"two\nlines"\ty\n'
    files = three(tmp_path, "tsv", quoted)
    assert rows_of(task_of(tmp_path, files, "tsv_quoting: csv\n")) == ['say "hi"', "two\nlines"]
    files = three(tmp_path, "tsv", quoted.replace("text\tlabel", '"text"\t"label"'))
    assert rows_of(task_of(tmp_path, files)) == ['say "hi"', "two\nlines"]


def test_text_that_looks_quoted_is_refused_until_somebody_says_what_it_is(tmp_path: Path) -> None:
    files = three(tmp_path, "tsv", 'text\tlabel\none\tx\n"say ""hi"""\ty\n')
    problem = problems_of(tmp_path, files)[0]
    assert "train.tsv (line 3)" in problem
    assert "`tsv_quoting: csv`" in problem
    assert rows_of(task_of(tmp_path, files, "tsv_quoting: none\n"))[1] == '"say ""hi"""'


@pytest.mark.parametrize(
    ("content", "piece"),
    [
        ('text,label\none,x\n"open,y\na,x\n"closing,y\nlast,x\n', "line 3: a quotation mark in the row that begins"),
        ('text,label\none,x\n"open,y\na,x\n"closing,y\nlast,x\n', "is closed on line 5 with more text after it"),
        ('text,label\none,x\n\n"two\nlines",y\n"open,x\nlast,y\n', "line 6: "),
        ('text,label\none,x\n"open,y\nlast,x\n', "is never closed"),
    ],
)
def test_a_broken_quotation_mark_is_named_with_its_line(tmp_path: Path, content: str, piece: str) -> None:
    for problem in problems_of(tmp_path, three(tmp_path, "csv", content)):
        assert ".csv: line" in problem
        assert piece in problem
