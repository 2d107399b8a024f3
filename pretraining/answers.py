"""Short-answer pretraining tasks: a text and a question in words, answered by one digit.

They teach the backbone to answer with a label and, in the option tasks, to *read* which digit means what from the words
in front of the text. A soft prompt stands in the same place, so it can express the same mapping. Examples are drawn
afresh, so no fixed list can be learnt by heart. The mixture follows T5's practice of adding supervised tasks to the
unsupervised objective (Raffel et al. 2020, section 3.5); the tasks themselves are our own.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

TAGS_FILE = Path(__file__).with_name("tags.yaml")
DIGITS = "0123456789"
MAX_DRAWS = 10_000
NEAR_PARTNERS = 0.15  # of the wrong partners: another package with a tag in common
# How the two answers of a pair question may be called (agreeing, disagreeing).
POLARITIES = (("match", "other"), ("yes", "no"), ("same", "different"), ("true", "false"))
# How the two texts of a pair question may be introduced.
PAIR_TEMPLATES = ("sentence1: {0} sentence2: {1}", "long: {0} short: {1}", "first: {0} second: {1}", "{0} - {1}")


@dataclass(frozen=True)
class Document:
    """One package: its one-line description, its long description and its debtags."""

    short: str
    long: str
    tags: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Example:
    """A question (``source``) and its answer (``target``, one digit); ``task`` names the generator."""

    task: str
    source: str
    target: str


@dataclass(frozen=True)
class TagTable:
    """The tags that serve as labels: their names in plain words, and the tags of every facet, commonest first."""

    words: Mapping[str, str]
    facets: Mapping[str, tuple[str, ...]]

    @classmethod
    def count(cls, documents: Iterable[Document], minimum: int = 30, file: Path = TAGS_FILE) -> TagTable:
        """Keep the tags of ``file``'s facets that at least ``minimum`` documents carry."""
        spec: dict[str, dict[str, Any]] = yaml.safe_load(file.read_text(encoding="utf-8"))["facets"]
        counts = Counter(tag for document in documents for tag in document.tags)
        words: dict[str, str] = {}
        facets: dict[str, list[str]] = defaultdict(list)
        for tag, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            facet, _, value = tag.partition("::")
            if n < minimum or facet not in spec or value == "TODO":
                continue
            plain = spec[facet].get("names", {}).get(value) or re.sub(r"[-:]", " ", value.removeprefix("lang:"))
            words[tag] = spec[facet]["words"].format(plain)
            facets[facet].append(tag)
        return cls(words, {f: tuple(tags) for f, tags in facets.items()})


def option_list(options: Sequence[str], rng: random.Random) -> tuple[str, list[str]]:
    """Give each option a digit and say so in words: ``"2: sound 0: game"``.

    Returns the list in random order, and the digits in the order of ``options``. Half of the lists use the digits
    0 to k - 1, the others any k digits.
    """
    digits = list(DIGITS[: len(options)]) if rng.random() < 0.5 else list(DIGITS)
    digits = rng.sample(digits, len(options))
    shown = list(zip(digits, options, strict=True))
    rng.shuffle(shown)
    return " ".join(f"{digit}: {option}" for digit, option in shown), digits


def cut(text: str, words: int) -> str:
    """The first ``words`` words of ``text``."""
    return " ".join(text.split()[:words])


class AnswerTasks:
    """Draws examples of every short-answer task from a list of documents.

    Args:
        documents: what to ask about.
        table: the tags that may be labels (count it on the training documents, also for held-out ones).
        weights: share of each task, by name; the default is every task alike. Tasks: ``facet`` (fixed prefix, fixed
            digits), ``tags`` (option list of tags), ``groups`` (option list of merged tags), ``binary`` (is it TAG?),
            ``occurs`` (which option word stands in the text), ``cloze`` (which option word was taken out of it),
            ``choose`` (which short description is this package's); ``belongs``, ``follows``, ``contains`` (do two
            texts agree?).

    Raises:
        ValueError: a weight names no task.
    """

    def __init__(
        self,
        documents: Sequence[Document],
        table: TagTable,
        weights: Mapping[str, float] | None = None,
        text_words: tuple[int, int] = (12, 60),
        named_pairs: float = 1.0,
    ) -> None:
        self.documents, self.table, self.text_words = documents, table, text_words
        self.named_pairs = named_pairs
        self.generators: dict[str, Callable[[random.Random], Example | None]] = {
            "facet": self._facet, "tags": self._tags, "groups": self._groups, "binary": self._binary,
            "occurs": self._occurs, "cloze": self._cloze, "choose": self._choose,
            "belongs": self._belongs, "follows": self._follows, "contains": self._contains,
        }  # fmt: skip
        weights = weights or dict.fromkeys(self.generators, 1.0)
        if unknown := set(weights) - set(self.generators):
            raise ValueError(f"unknown short-answer tasks {sorted(unknown)}; there are {sorted(self.generators)}")
        self._names, self._shares = list(weights), list(weights.values())
        self._by_tag: dict[str, list[Document]] = {tag: [] for tag in table.words}
        for document in documents:
            for tag in document.tags & table.words.keys():
                self._by_tag[tag].append(document)
        self._tags_here = [tag for tag, found in self._by_tag.items() if found]
        # Between uniform over tags (small ones repeated endlessly) and natural (shared libraries only).
        self._tag_shares = [len(self._by_tag[tag]) ** 0.5 for tag in self._tags_here]
        # Facets as closed tasks: the ten commonest tags at most, two at least, in a fixed order.
        self._facets = {f: tags[:10] for f, tags in table.facets.items() if len(tags) > 1}
        self._facet_labels = {f: [t for t in tags if self._by_tag[t]] for f, tags in self._facets.items()}
        self._facet_names = [f for f, tags in self._facet_labels.items() if tags]
        self._long = [d for d in documents if len(d.long.split()) >= 16]
        self._counts = Counter(w for d in documents for w in self._all_words(d))

    def draw(self, rng: random.Random) -> Example:
        """One example of a task drawn by the weights."""
        return self.draw_task(rng.choices(self._names, self._shares)[0], rng)

    def draw_task(self, task: str, rng: random.Random) -> Example:
        """One example of ``task``.

        Raises:
            RuntimeError: the documents offer none (too few of them, say, or none with a tag).
        """
        for _ in range(MAX_DRAWS):
            example = self.generators[task](rng)
            if example is not None:
                return example
        raise RuntimeError(f"no {task!r} question found in {MAX_DRAWS} draws from {len(self.documents)} documents")

    @staticmethod
    def _all_words(document: Document) -> set[str]:
        return set(re.findall(r"[a-z]{4,}", (document.short + " " + document.long).lower()))

    def _content_words(self, text: str) -> list[str]:
        """Words of ``text`` that are neither rare nor in every second description."""
        top = max(20, len(self.documents) // 40)
        return [w for w in re.findall(r"[a-z]{4,}", text.lower()) if 8 <= self._counts[w] <= top]

    def _text(self, document: Document, rng: random.Random) -> str:
        text = f"{document.short}. {document.long}" if rng.random() < 0.7 else document.long
        return cut(text, rng.randint(*self.text_words))

    def _facet(self, rng: random.Random) -> Example | None:
        facet = rng.choice(self._facet_names)
        tag = rng.choice(self._facet_labels[facet])
        document = rng.choice(self._by_tag[tag])
        if len(document.tags & set(self._facets[facet])) > 1:
            return None
        source = f"{facet.replace('-', ' ')}: {self._text(document, rng)}"
        return Example("facet", source, DIGITS[self._facets[facet].index(tag)])

    def _labelled(self, rng: random.Random) -> tuple[str, Document]:
        tag = rng.choices(self._tags_here, self._tag_shares)[0]
        return tag, rng.choice(self._by_tag[tag])

    def _wrong_tags(self, document: Document, n: int, rng: random.Random) -> list[str]:
        """At most ``n`` different tags that ``document`` lacks, none a wider or narrower form of one that it has."""
        roots = {t.split(":")[-1] for t in document.tags}
        allowed = {
            tag: share
            for tag, share in zip(self._tags_here, self._tag_shares, strict=True)
            if tag.split(":")[-1] not in roots
            and not any(t.startswith(tag) or tag.startswith(t) for t in document.tags)
        }
        found: list[str] = []
        while allowed and len(found) < n:
            tag = rng.choices(list(allowed), list(allowed.values()))[0]
            del allowed[tag]
            found.append(tag)
        return found

    def _options(self, task: str, options: Sequence[str], text: str, rng: random.Random) -> Example:
        """The question which of ``options`` fits ``text``; the first is right."""
        listed, digits = option_list(options, rng)
        return Example(task, f"{listed} text: {text}", digits[0])

    def _tags(self, rng: random.Random) -> Example | None:
        tag, document = self._labelled(rng)
        wrong = self._wrong_tags(document, rng.randint(1, 7), rng)
        return self._options("tags", [self.table.words[t] for t in [tag, *wrong]], self._text(document, rng), rng)

    def _groups(self, rng: random.Random) -> Example | None:
        tag, document = self._labelled(rng)
        width = rng.randint(2, 3)
        wrong = self._wrong_tags(document, (rng.randint(1, 5) + 1) * width - 1, rng)
        right = [tag, *wrong[: width - 1]]
        rng.shuffle(right)
        rest = wrong[width - 1 :]
        groups = [right] + [rest[i : i + width] for i in range(0, len(rest), width)]
        options = [" ".join(self.table.words[t] for t in group) for group in groups]
        return self._options("groups", options, self._text(document, rng), rng)

    def _binary(self, rng: random.Random) -> Example | None:
        tag, document = self._labelled(rng)
        yes = rng.random() < 0.5
        asked = tag if yes else self._wrong_tags(document, 1, rng)[0]
        return Example("binary", f"is it {self.table.words[asked]}? text: {self._text(document, rng)}", DIGITS[yes])

    def _word_options(self, task: str, remove: bool, rng: random.Random) -> Example | None:
        document = rng.choice(self.documents)
        text = self._text(document, rng)
        inside = self._content_words(text)
        if not inside:
            return None
        word = rng.choice(inside)
        stems = {w[:5] for w in re.findall(r"[a-z]{4,}", text.lower())}
        options = [word]
        wanted = rng.randint(2, 8)
        while len(options) < wanted:
            others = self._content_words(rng.choice(self.documents).short)
            if others and (other := rng.choice(others))[:5] not in stems and other not in options:
                options.append(other)
        if remove:
            text = re.sub(rf"\b{word[:5]}\w*", "", text, flags=re.I)
        return self._options(task, options, text, rng)

    def _occurs(self, rng: random.Random) -> Example | None:
        return self._word_options("occurs", False, rng)

    def _cloze(self, rng: random.Random) -> Example | None:
        return self._word_options("cloze", True, rng)

    def _choose(self, rng: random.Random) -> Example | None:
        document = rng.choice(self._long)
        options = [document.short] + [rng.choice(self.documents).short for _ in range(rng.randint(1, 4))]
        return self._options(
            "choose", [cut(o, 9) for o in options], cut(document.long, rng.randint(*self.text_words)), rng
        )

    def _pair(self, task: str, first: str, second: str, agree: bool, rng: random.Random) -> Example:
        if rng.random() < self.named_pairs:
            return Example(task, f"{task}: {rng.choice(PAIR_TEMPLATES[:2]).format(first, second)}", DIGITS[agree])
        body = rng.choice(PAIR_TEMPLATES).format(first, second)
        listed, digits = option_list(rng.choice(POLARITIES), rng)
        return Example(task, f"{listed} {body}", digits[0] if agree else digits[1])

    def _belongs(self, rng: random.Random) -> Example | None:
        document, agree = rng.choice(self._long), rng.random() < 0.5
        short = document.short
        if not agree:
            other = rng.choice(self.documents)
            shared = sorted(document.tags & self._by_tag.keys())
            if shared and rng.random() < NEAR_PARTNERS:
                other = rng.choice(self._by_tag[rng.choice(shared)] or [other])
            if other.short == document.short:
                return None
            short = other.short
        return self._pair(
            "belongs", cut(document.long, min(rng.randint(*self.text_words), 34)), cut(short, 12), agree, rng
        )

    def _follows(self, rng: random.Random) -> Example | None:
        document, agree = rng.choice(self._long), rng.random() < 0.5
        words = document.long.split()[:60]
        half = len(words) // 2
        second = words[half:] if agree else rng.choice(self._long).long.split()[half : 2 * half]
        if len(second) < 5:
            return None
        return self._pair("follows", " ".join(words[:half]), " ".join(second), agree, rng)

    def _contains(self, rng: random.Random) -> Example | None:
        document, agree = rng.choice(self._long), rng.random() < 0.5
        text = self._text(document, rng)
        words = self._content_words(text if agree else rng.choice(self._long).long)
        if not words:
            return None
        word = rng.choice(words)
        if not agree and word[:5] in text.lower():
            return None
        return self._pair("contains", text, word, agree, rng)
