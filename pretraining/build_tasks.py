"""The two labelled tasks and the pretraining text, split by source group: nothing of a held-out source is ever seen."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pretraining.answers import Document
from pretraining.debian import Package, without_names

SPLITS = ("train", "validation", "test")
# debsec's classes: sections of the archive, in the order of the labels.
CLASSES: Mapping[str, tuple[str, ...]] = {
    "games": ("games",),
    "multimedia": ("sound", "video", "graphics"),
    "network": ("net", "web", "mail", "httpd", "comm", "news"),
    "science": ("science", "math"),
    "system": ("admin", "kernel"),
    "text": ("text", "editors", "tex"),
    "devel": ("devel", "vcs", "debug"),
    "desktop": ("x11", "gnome", "kde", "xfce"),
}
CLASS_OF = {section: name for name, sections in CLASSES.items() for section in sections}
LABELS = list(CLASSES)
HELD_PER_CLASS, HELD_SHARE = 150, 10  # 75 + 75 groups of each class; one group in ten altogether
TRAIN_PER_CLASS, TEXT_WORDS = 750, 60
NEAR_COPY = 0.4  # word overlap from which a second package of a source is too like the first
# Sections whose descriptions mostly follow one template, useless for sentence pairs.
TEMPLATED = frozenset(
    [
        "oldlibs",
        "metapackages",
        "tasks",
        "debug",
        "doc",
        "localization",
        "introspection",
        "libdevel",
        "rust",
        "golang",
        "haskell",
        "ocaml",
        "fonts",
        "translations",
    ]
)
COMMON_WORDS = frozenset(
    [
        "with",
        "that",
        "this",
        "from",
        "for",
        "and",
        "the",
        "your",
        "which",
        "have",
        "will",
        "used",
        "using",
        "provides",
        "package",
        "library",
        "contains",
    ]
)
PAIR_ROWS = {"train": 6000, "validation": 600, "test": 600}
FIRST_WORDS = 32
MAX_REPEATS = 30  # of paragraphs that start alike ("This package contains the ...")

Row = dict[str, Any]


@dataclass(frozen=True)
class Split:
    """Held-out groups, and the groups of every class in the order in which rows are made of them."""

    held: Mapping[str, str]
    by_class: Mapping[str, Sequence[str]]

    def of(self, group: str) -> str:
        """``train``, ``validation`` or ``test``."""
        return self.held.get(group, "train")


def split_groups(
    groups: Mapping[str, Sequence[Package]],
    primary: Mapping[str, Package],
    rng: random.Random,
    per_class: int = HELD_PER_CLASS,
) -> Split:
    """Hold out ``per_class`` groups of every class, then others up to a tenth of all groups."""
    by_class: dict[str, list[str]] = {name: [] for name in LABELS}
    for group, package in sorted(primary.items()):
        if package.section in CLASS_OF:
            by_class[CLASS_OF[package.section]].append(group)
    held: dict[str, str] = {}
    for found in by_class.values():
        rng.shuffle(found)
        held |= {group: SPLITS[1 + i % 2] for i, group in enumerate(found[:per_class])}
    classed = {group for found in by_class.values() for group in found}
    others = sorted(set(groups) - classed)
    rng.shuffle(others)
    more = max(len(groups) // HELD_SHARE - len(held), 0)
    held |= {group: SPLITS[1 + i % 2] for i, group in enumerate(others[:more])}
    return Split(held, by_class)


def section_row(package: Package) -> Row:
    """A row of ``debsec``: the start of the description, without the package's names."""
    text = without_names(package.short, package, "") + ". " + without_names(" ".join(package.paragraphs), package)
    name = CLASS_OF[package.section]
    return {"text": " ".join(text.split()[:TEXT_WORDS]), "label": LABELS.index(name), "label_name": name}


def overlap(first: str, second: str) -> float:
    """Shared words over all words of two texts, 0 to 1."""
    a, b = set(first.split()), set(second.split())
    return len(a & b) / len(a | b)


def section_rows(
    groups: Mapping[str, Sequence[Package]], primary: Mapping[str, Package], split: Split, rng: random.Random
) -> dict[str, list[Row]]:
    """``debsec``: one package of each source; where a class is small, train also has clearly different further ones."""
    rows: dict[str, list[Row]] = {name: [] for name in SPLITS}
    seen: set[str] = set()
    for name in LABELS:
        room = TRAIN_PER_CLASS
        for group in split.by_class[name]:
            row, where = section_row(primary[group]), split.of(group)
            if row["text"] in seen or (where == "train" and not room):
                continue
            seen.add(row["text"])
            rows[where].append(row)
            room -= where == "train"
        further = [
            package
            for group in split.by_class[name]
            if split.of(group) == "train"
            for package in groups[group]
            if package is not primary[group] and package.is_primary and CLASS_OF.get(package.section) == name
        ]
        rng.shuffle(further)
        for package in further:
            row, first = section_row(package), section_row(primary[package.group])
            if room and row["text"] not in seen and overlap(row["text"], first["text"]) < NEAR_COPY:
                seen.add(row["text"])
                rows["train"].append(row)
                room -= 1
    for found in rows.values():
        rng.shuffle(found)
    return rows


def content_words(text: str) -> set[str]:
    """Beginnings (six letters) of the words of four letters or more that carry meaning."""
    return {w[:6] for w in re.findall(r"[a-z]{4,}", text.lower()) if w not in COMMON_WORDS}


def first_sentences(text: str, limit: int = FIRST_WORDS) -> str:
    """As many whole sentences as fit into ``limit`` words; of a longer first one, its start."""
    words: list[str] = []
    for sentence in re.split(r"(?<=[.!?]) ", text):
        if words and len(words) + len(sentence.split()) > limit:
            break
        words += sentence.split()
    return " ".join(words[:limit])


def pair_rows(primary: Mapping[str, Package], split: Split, rng: random.Random) -> dict[str, list[Row]]:
    """``debmatch``: a long description, and a short one of a package of another topic (0) or of the same package (1).

    "Another topic" is another class of :data:`CLASSES`, or another section where a package is in no class. Every
    description serves once, so no short description gives its label away.
    """
    pools: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    used: set[str] = set()
    for group, package in sorted(primary.items()):
        long = without_names(first_sentences(" ".join(package.paragraphs)), package)
        short = without_names(package.short, package, "")
        fits = len(short.split()) >= 3 and len(long.split()) >= 8 and content_words(long) & content_words(short)
        if package.section not in TEMPLATED and fits and not used & {long, short.lower()}:
            used |= {long, short.lower()}
            pools[split.of(group)].append((CLASS_OF.get(package.section, package.section), long, short))
    rows: dict[str, list[Row]] = {}
    for name in SPLITS:
        pool = pools[name]
        rng.shuffle(pool)
        half = min(len(pool), PAIR_ROWS[name]) // 2
        found = [(long, short, 1) for _, long, short in pool[:half]]
        found += [(first[1], second[2], 0) for first, second in deranged(pool[half : 2 * half], rng)]
        rng.shuffle(found)
        rows[name] = [
            {"sentence1": a, "sentence2": b, "label": y, "label_name": ("no_match", "match")[y]} for a, b, y in found
        ]
    return rows


def deranged(
    items: Sequence[tuple[str, str, str]], rng: random.Random
) -> Iterable[tuple[tuple[str, str, str], tuple[str, str, str]]]:
    """Pair every item with one of another topic (first field); each is a second at most once.

    Sorted by topic and turned by the size of the largest topic, no item meets its own topic unless that topic holds
    more than half of the items; such pairs are left out.
    """
    order = sorted(items, key=lambda item: item[0])
    sizes = Counter(item[0] for item in order)
    turn = max(sizes.values(), default=0)
    pairs = [(item, order[(i + turn) % len(order)]) for i, item in enumerate(order)]
    rng.shuffle(pairs)
    return [(a, b) for a, b in pairs if a[0] != b[0]]


def pretraining_text(
    packages: Sequence[Package], split: Split, rng: random.Random
) -> dict[str, list[tuple[str, Document]]]:
    """Documents, each with its group, for training and (``heldout``) for the log; no section, no name field.

    Training leaves out held-out sources and every paragraph or short description that one of them also has. Each
    paragraph counts once, and templates are kept :data:`MAX_REPEATS` times.
    """
    held = [p for p in packages if split.of(p.group) != "train"]
    banned = {paragraph for p in held for paragraph in p.paragraphs} | {p.short for p in held}
    parts = {"train": [p for p in packages if split.of(p.group) == "train"], "heldout": held}
    documents: dict[str, list[tuple[str, Document]]] = {}
    for name, members in parts.items():
        forbidden = banned if name == "train" else set()
        seen: set[str] = set()
        starts: Counter[str] = Counter()
        documents[name] = []
        shuffled = list(members)
        rng.shuffle(shuffled)
        for package in shuffled:
            if package.short in forbidden:
                continue
            fresh = []
            for paragraph in package.paragraphs:
                start = " ".join(paragraph.lower().split()[:5])
                starts[start] += 1
                if paragraph not in seen and paragraph not in forbidden and starts[start] <= MAX_REPEATS:
                    fresh.append(paragraph)
                seen.add(paragraph)
            if fresh and package.short not in seen:
                seen.add(package.short)
                documents[name].append((package.group, Document(package.short, " ".join(fresh), package.tags)))
    return documents
