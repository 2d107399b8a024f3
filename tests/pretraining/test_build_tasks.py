"""Nothing of a held-out source may be seen in training, and the tasks must be what they say."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from pretraining.build_tasks import (
    CLASSES,
    Split,
    deranged,
    pair_rows,
    pretraining_text,
    section_rows,
    split_groups,
)
from pretraining.debian import Package, grouped, packages_from, parse_stanzas, primaries, without_names

SECTIONS = [sections[0] for sections in CLASSES.values()] + ["perl", "libs"]
SHARED = "This paragraph is the same in many packages and so belongs to held out ones too."


@pytest.fixture(scope="module")
def packages() -> list[Package]:
    """400 sources, each in two versions and with a companion; every tenth also says the shared paragraph."""
    rng = random.Random(0)
    words = [f"word{i}" + "abcdefgh"[i % 8] * 2 for i in range(300)]
    found = []
    for i in range(400):
        section = SECTIONS[i % len(SECTIONS)]
        for version in (1, 2):
            body = f"it{chr(97 + i % 26)} handles " + " ".join(rng.choices(words, k=24)) + f" unique{i}v{version}"
            paragraphs = (body, SHARED) if i % 10 == 0 else (body,)
            name = f"source{chr(97 + i % 26)}x{i}y-{version}"
            short = f"handles {body.split()[2]} things {i} {version}"
            found.append(Package(name, name, section, short, paragraphs))
    return sorted(found, key=lambda p: p.name)


@pytest.fixture(scope="module")
def split(packages: list[Package]) -> Split:
    groups = grouped(packages)
    return split_groups(groups, primaries(groups), random.Random(0), per_class=4)


def test_all_versions_of_a_source_are_in_one_split(packages: list[Package], split: Split) -> None:
    assert len(grouped(packages)) == 400
    assert Counter(split.held.values()) == {"validation": 20, "test": 20}


def test_pretraining_sees_nothing_that_a_held_out_source_says(packages: list[Package], split: Split) -> None:
    text = pretraining_text(packages, split, random.Random(0))
    assert not {group for group, _ in text["train"]} & set(split.held)
    assert {group for group, _ in text["heldout"]} <= set(split.held)
    held = [p for p in packages if p.group in split.held]
    assert any(SHARED in p.paragraphs for p in held)
    seen = " ".join(document.long + document.short for _, document in text["train"])
    assert not any(said in seen for p in held for said in (*p.paragraphs, p.short))


def test_tasks_share_the_split(packages: list[Package], split: Split) -> None:
    groups = grouped(packages)
    primary = primaries(groups)
    owner = {p.paragraphs[0].rsplit(" ", 1)[1]: p.group for p in packages}
    for name, rows in section_rows(groups, primary, split, random.Random(0)).items():
        assert {split.of(owner[w]) for r in rows for w in r["text"].split() if w in owner} == {name}
    for name, rows in pair_rows(primary, split, random.Random(0)).items():
        assert {split.of(owner[w]) for r in rows for w in r["sentence1"].split() if w in owner} <= {name}


def test_section_labels_are_the_classes(packages: list[Package], split: Split) -> None:
    groups = grouped(packages)
    rows = section_rows(groups, primaries(groups), split, random.Random(0))
    assert {(r["label"], r["label_name"]) for r in rows["test"]} == set(enumerate(CLASSES))


def test_pairs_are_balanced_and_use_each_description_once(packages: list[Package], split: Split) -> None:
    rows = pair_rows(primaries(grouped(packages)), split, random.Random(0))["train"]
    assert abs(sum(r["label"] for r in rows) - len(rows) / 2) <= 1
    for key in ("sentence1", "sentence2"):
        assert len({r[key] for r in rows}) == len(rows)


def test_wrong_partners_are_of_another_topic() -> None:
    items = [(topic, f"{topic}{i}", f"{topic}{i}") for topic, n in (("a", 5), ("b", 3), ("c", 4)) for i in range(n)]
    pairs = list(deranged(items, random.Random(0)))
    assert len(pairs) == len(items)
    assert all(first[0] != second[0] for first, second in pairs)
    assert len({second for _, second in pairs}) == len(pairs)


def test_stanzas_join_by_name_and_checksum() -> None:
    translation = (
        "Package: tool\nDescription-md5: 1\nDescription-en: does things\n"
        " It does. See <http://x.org/a>\n .\n Much more text."
    )
    binary = "Package: tool\nSource: toolset-2 (1.0)\nSection: main/net\nDescription-md5: 1\nTag: use::a,\n role::b"
    (package,) = packages_from(parse_stanzas(translation), parse_stanzas(binary))
    assert (package.group, package.section, package.short) == ("toolset", "net", "does things")
    assert package.paragraphs == ("It does. See", "Much more text.")
    assert package.tags == {"use::a", "role::b"}


def test_names_are_taken_out_as_whole_words_only() -> None:
    package = Package("gcc-12", "gcc-12", "devel", "", ())
    assert without_names("GCC-12 and gcc , but not agcc or gcc-base", package) == "it and it, but not agcc or gcc-base"
