"""What is in the rows of a task once they are tokens: counts a split, and warnings where one of them is bad."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from trials.data.tokens import Encoded
from trials.tasks.base import Task
from trials.tasks.targets import label_key

if TYPE_CHECKING:
    from trials.data.rows import Rows


@dataclass(frozen=True, kw_only=True)
class SplitReport:
    """Counts of one split.

    Attributes:
        classes: target text -> rows; empty where targets are no labels.
        tokens: of all sources, as they are trained on.
        unknown_tokens: of these, those that the tokenizer has no token for.
        cut_rows: longer than the longest source.
        control_rows: texts that spell control tokens, such as `</s>`; they are read as the text that they are.
        merged_rows: rows with the tokens of a row of another text: what told them apart was lost.
        conflicting_rows: rows with the tokens of a row of another class or target: no model can be right on all of
            them. One row of each group is looked at, since its rows may be several right answers to one source.
        repeated_rows: rows whose tokens and target an earlier row has.
        in_train_rows: rows of validation or test whose tokens train has.
        in_validation_rows: rows of test whose tokens validation has.
        cut_targets: rows whose target is longer than an answer may be.
        lost_targets: rows whose target cannot be written with the tokenizer as it stands.
    """

    rows: int
    classes: dict[str, int]
    tokens: int = 0
    unknown_tokens: int = 0
    cut_rows: int = 0
    control_rows: int = 0
    merged_rows: int = 0
    conflicting_rows: int = 0
    repeated_rows: int = 0
    in_train_rows: int = 0
    in_validation_rows: int = 0
    cut_targets: int = 0
    lost_targets: int = 0


@dataclass(frozen=True)
class Rule:
    """When a count is worth a warning: where its share of another count is above a limit."""

    count: str
    of: str
    above: float
    warning: str


RULES = (
    Rule("unknown_tokens", "tokens", 0.01, "tokens that the tokenizer does not know: their text is lost"),
    Rule("cut_rows", "rows", 0.05, "rows longer than {length} tokens, which are cut (see --max-source-length)"),
    Rule("control_rows", "rows", 0.0, "rows that spell control tokens ({control}), which are read as plain text"),
    Rule("merged_rows", "rows", 0.01, "rows with the tokens of a row of another text: what told them apart is lost"),
    Rule("conflicting_rows", "rows", 0.01, "rows with the tokens of a row of another class: look at their labels"),
    Rule("cut_targets", "rows", 0.0, "targets longer than {answer} tokens, which no answer can equal (see max_length)"),
    Rule("lost_targets", "rows", 0.01, "targets that the tokenizer cannot write as they stand: no answer equals them"),
    Rule("in_train_rows", "rows", 0.01, "rows with the tokens of a row of train: scores say less about new rows"),
    Rule("in_validation_rows", "rows", 0.01, "rows with the tokens of a row of validation, which chooses the winner"),
)


@dataclass(frozen=True)
class DataReport:
    """The report of a task's rows for one tokenizer and length.

    Attributes:
        splits: by name, in the order train, validation, test.
        labels: target text -> the labels that stand for it in the files.
        control: control tokens that texts spell.
        max_source_length: tokens of the longest source.
        max_answer_length: tokens of the longest answer, where that is not known from the labels; else 0.
    """

    splits: dict[str, SplitReport]
    labels: dict[str, list[str]] = field(default_factory=dict)
    control: list[str] = field(default_factory=list)
    max_source_length: int = 0
    max_answer_length: int = 0

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> DataReport:
        """What `as_dict` gave."""
        known = {one.name for one in fields(SplitReport)}  # a later version may count more
        splits = {
            name: SplitReport(**{key: n for key, n in counts.items() if key in known})
            for name, counts in facts["splits"].items()
        }
        answer = facts.get("max_answer_length", 0)
        return cls(splits, facts["labels"], facts["control"], facts["max_source_length"], answer)

    def label(self, target: str) -> str:
        """A target with the label that it stands for, where that is another text."""
        names = ", ".join(self.labels.get(target, []))
        return f"{names} ({target})" if names and names != target else target

    @property
    def bad(self) -> dict[Rule, list[str]]:
        """The rules that some splits break -> those splits with their counts and shares."""
        found: dict[Rule, list[str]] = {}
        for rule in RULES:
            for name, split in self.splits.items():
                count, of = getattr(split, rule.count), getattr(split, rule.of)
                if of and count / of > rule.above:
                    shown = f"{name} {count:,} of {of:,} ({100 * count / of:.1f} %)"
                    found.setdefault(rule, []).append(shown)
        return found

    @property
    def warnings(self) -> list[str]:
        """One sentence for each count that is worth it, with the splits in which it is."""
        found = []
        for rule, splits in self.bad.items():
            what = rule.warning.format(
                length=self.max_source_length, answer=self.max_answer_length, control=", ".join(self.control)
            )
            found.append(f"{what}: {', '.join(splits)}")
        for name, split in self.splits.items():
            if none := [self.label(text) for text, n in split.classes.items() if not n]:
                found.append(f"{name} has no row of class {', '.join(none)}")
        return found


class SplitCounts:
    """Counts a split's rows as they are tokenised, some at a time."""

    def __init__(self, unknown: int | None) -> None:
        self.unknown = unknown
        self.tokens = self.unknown_tokens = self.cut = self.control = self.cut_targets = self.lost_targets = 0
        self.names: set[str] = set()
        self._ids, self._texts = array("Q"), array("Q")

    def add(self, texts: Sequence[str], encoded: Encoded) -> None:
        """Takes some rows in."""
        ids = encoded.ids
        self.tokens += sum(map(len, ids))
        self.unknown_tokens += sum(row.count(self.unknown) for row in ids) if self.unknown is not None else 0
        self.cut += sum(encoded.cut)
        self.control += sum(bool(names) for names in encoded.control)
        self.names.update(name for names in encoded.control for name in names)
        self._ids.extend(_digest(array("i", row).tobytes()) for row in ids)
        self._texts.extend(_digest(text.encode("utf-8", "surrogatepass")) for text in texts)

    @property
    def ids(self) -> np.ndarray:
        """uint64 array (rows,): a hash of each row's tokens."""
        return np.frombuffer(self._ids, dtype=np.uint64)

    @property
    def texts(self) -> np.ndarray:
        """uint64 array (rows,): a hash of each row's text."""
        return np.frombuffer(self._texts, dtype=np.uint64)


def make_report(
    task: Task,
    counts: Mapping[str, SplitCounts],
    rows: Mapping[str, Rows],
    max_source_length: int,
) -> DataReport:
    """The report of all splits.

    Args:
        counts: split -> what was counted as its rows were tokenised.
        rows: split -> its rows.
        max_source_length: tokens.
    """
    classes = dict.fromkeys(task.labels.values())
    splits = {}
    for split, found in counts.items():
        ids, targets = found.ids, _codes(rows[split].targets)
        occurring = Counter(rows[split].targets)
        earlier = {before: _shared(ids, counts[before].ids) for before in ("train", "validation") if before in counts}
        splits[split] = SplitReport(
            rows=len(ids),
            classes={text: occurring[text] for text in classes},
            tokens=found.tokens,
            unknown_tokens=found.unknown_tokens,
            cut_rows=found.cut,
            control_rows=found.control,
            merged_rows=_mixed(ids, found.texts),
            conflicting_rows=_mixed(*_one_of_each(ids, targets, rows[split].groups)),
            repeated_rows=len(ids) - _distinct(ids, targets),
            in_train_rows=0 if split == "train" else earlier.get("train", 0),
            in_validation_rows=earlier.get("validation", 0) if split == "test" else 0,
            cut_targets=found.cut_targets,
            lost_targets=found.lost_targets,
        )
    labels_of: dict[str, list[str]] = {}
    for label, text in task.labels.items():
        labels_of.setdefault(text, []).append(label_key(label))
    control = sorted(set().union(*(found.names for found in counts.values())))
    return DataReport(splits, labels_of, control, max_source_length, getattr(task.target, "max_length", 0))


def _one_of_each(ids: np.ndarray, targets: np.ndarray, groups: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of tokens and targets, without further rows of the same tokens and group."""
    if not groups:
        return ids, targets
    _, first = np.unique(np.stack([ids, _codes(groups).astype(np.uint64)], axis=1), axis=0, return_index=True)
    return ids[first], targets[first]


def _codes(texts: Sequence[str]) -> np.ndarray:
    """A number for each text, the same for equal ones: NumPy's own way would make all as wide as the longest."""
    import pyarrow as pa

    return pa.array(texts, pa.string()).dictionary_encode().indices.to_numpy(zero_copy_only=False)


def _digest(content: bytes) -> int:
    # 64 bits: among ten million rows two others share one with a chance of 3 in a million.
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def _mixed(groups: np.ndarray, values: np.ndarray) -> int:
    """Rows of those groups in which not all values are the same."""
    order = np.lexsort((values, groups))
    groups, values = groups[order], values[order]
    starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]])
    mixed = np.minimum.reduceat(values, starts) != np.maximum.reduceat(values, starts)
    return int(np.diff(np.r_[starts, len(groups)])[mixed].sum())


def _distinct(groups: np.ndarray, values: np.ndarray) -> int:
    """Different pairs of both."""
    order = np.lexsort((values, groups))
    groups, values = groups[order], values[order]
    return 1 + int(((groups[1:] != groups[:-1]) | (values[1:] != values[:-1])).sum())


def _shared(rows: np.ndarray, others: np.ndarray) -> int:
    return int(np.isin(rows, others).sum())
