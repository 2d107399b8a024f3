"""Every drawn question must have the answer that it says."""

from __future__ import annotations

import random
import re

import pytest

from pretraining.answers import AnswerTasks, Document, Example, TagTable, option_list

THEMES = {
    "use::gameplaying": "game player arcade level score joystick enemy castle dragon puzzle",
    "works-with::audio": "sound music mixer track volume speaker melody record tempo synthesizer",
    "works-with::db": "table query index row transaction schema column backup replication storage",
    "field::biology": "protein genome sequence alignment enzyme bacteria cell species mutation ribosome",
    "works-with::mail": "letter inbox folder filter address attachment sender mailbox delivery spool",
}


@pytest.fixture(scope="module")
def documents() -> list[Document]:
    rng = random.Random(0)
    found = []
    for i in range(200):
        tag, words = list(THEMES.items())[i % len(THEMES)]
        own = rng.sample(words.split(), 4)
        found.append(Document(f"{own[0]} number {i}", " ".join(rng.choices(own, k=30)), frozenset({tag})))
    return found


@pytest.fixture(scope="module")
def table(documents: list[Document]) -> TagTable:
    return TagTable.count(documents)


@pytest.fixture(scope="module")
def tasks(documents: list[Document], table: TagTable) -> AnswerTasks:
    return AnswerTasks(documents, table)


def chosen(example: Example) -> tuple[str, list[str], str]:
    """The option that the answer names, the other options, and the text."""
    listed, text = example.source.split(" text: ", 1)
    options = dict(re.findall(r"(\d): (.*?)(?= \d: |$)", listed))
    right = options.pop(example.target)
    return right, list(options.values()), text


def theme_of(text: str, table: TagTable) -> str:
    """The tag whose words ``text`` is made of, in plain words."""
    counts = {tag: sum(word in words.split() for word in text.split()) for tag, words in THEMES.items()}
    return table.words[max(counts, key=lambda tag: counts[tag])]


def test_an_option_list_names_each_option_once_with_its_digit() -> None:
    for seed in range(50):
        listed, digits = option_list(["sound", "game", "mail"], random.Random(seed))
        assert dict(re.findall(r"(\d): (\w+)", listed)) == dict(zip(digits, ["sound", "game", "mail"], strict=True))


def test_option_lists_do_not_favour_a_digit_for_the_right_answer() -> None:
    firsts = {option_list(["a", "b", "c", "d"], random.Random(seed))[1][0] for seed in range(200)}
    assert firsts == set("0123456789")


def test_the_right_tag_is_the_texts_and_the_only_one(tasks: AnswerTasks, table: TagTable) -> None:
    rng = random.Random(1)
    for _ in range(100):
        right, others, text = chosen(tasks.draw_task("tags", rng))
        assert right == theme_of(text, table)
        assert right not in others


def test_the_right_group_holds_the_texts_tag(tasks: AnswerTasks, table: TagTable) -> None:
    rng = random.Random(2)
    for _ in range(100):
        right, others, text = chosen(tasks.draw_task("groups", rng))
        assert theme_of(text, table) in right
        assert all(theme_of(text, table) not in other for other in others)


@pytest.mark.parametrize(("task", "stands_there"), [("occurs", True), ("cloze", False)])
def test_the_right_word_stands_in_the_text_or_was_taken_out(tasks: AnswerTasks, task: str, stands_there: bool) -> None:
    rng = random.Random(3)
    for _ in range(100):
        right, others, text = chosen(tasks.draw_task(task, rng))
        assert (right in text.split()) is stands_there
        assert not set(others) & set(text.split())


def test_a_yes_or_no_question_is_answered_by_the_tags(tasks: AnswerTasks, table: TagTable) -> None:
    rng = random.Random(4)
    for _ in range(100):
        example = tasks.draw_task("binary", rng)
        asked, text = re.fullmatch(r"is it (.*?)\? text: (.*)", example.source).groups()  # type: ignore[union-attr]
        assert example.target == str(int(asked == theme_of(text, table)))


def test_pairs_answer_one_exactly_if_they_belong_together(tasks: AnswerTasks, documents: list[Document]) -> None:
    rng = random.Random(5)
    answers = []
    for _ in range(300):
        example = tasks.draw_task("belongs", rng)
        if (asked := re.fullmatch(r"belongs: long: (.*) short: (.*)", example.source)) is None:
            continue
        first, second = asked.groups()
        belong = any(d.short == second and d.long.startswith(first) for d in documents)
        assert example.target == str(int(belong))
        answers.append(belong)
    assert 0.3 < sum(answers) / len(answers) < 0.7


def test_a_facets_digits_stay_the_same_on_other_documents(documents: list[Document], table: TagTable) -> None:
    """Held-out documents may lack a tag; the others must keep their digits."""
    held = AnswerTasks([d for d in documents if "works-with::mail" in d.tags], table)
    digits = {held.draw_task("facet", random.Random(seed)).target for seed in range(30)}
    assert digits == {str(table.facets["works-with"].index("works-with::mail"))}


def test_rare_tags_are_no_labels(documents: list[Document]) -> None:
    rare = Document("x", "y", frozenset({"use::scanning"}))
    assert "use::scanning" not in TagTable.count([*documents, rare]).words


def test_an_unknown_task_is_named() -> None:
    with pytest.raises(ValueError, match="riddle"):
        AnswerTasks([], TagTable({}, {}), {"riddle": 1.0})
