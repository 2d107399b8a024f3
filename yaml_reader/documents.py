"""Reads a YAML file into plain values, and remembers the line of each, so that a message can say where.

PyYAML's own loader is not enough for files that people write: it reads `1e-4` as text, keeps the last of two equal
keys without a word, and forgets line numbers. Its parser is used here; the values are built from the parsed nodes.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from yaml_reader.errors import UserError

Key = str | int
"""A step on the way to a value: a mapping's key, or a place in a list, from 0."""

_MOST_VALUES = 200_000  # anchors let a short file stand for a huge one


class _Parser(yaml.SafeLoader):
    """YAML 1.2's plain numbers: `1e-4` is one, `010` is ten, and dates, `1:30` and `yes` are text."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - the attribute that PyYAML's resolver looks up


_TAG = "tag:yaml.org,2002:"
for _kind, _pattern, _first_characters in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?\d[\d_]*", list("-+0123456789")),
    ("float", r"[-+]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][-+]?\d+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", list("-+.")),
):
    _Parser.add_implicit_resolver(_TAG + _kind, re.compile(rf"^(?:{_pattern})$"), _first_characters)


class DocumentError(UserError):
    """A file that is no YAML document; its problems name the file and, where it is known, the line."""


@dataclass
class Document:
    """A file's values, the line of each, and what is wrong with them so far."""

    name: str
    """The file as messages name it."""
    data: Any = None
    lines: dict[tuple[Key, ...], int] = field(default_factory=dict)
    written: dict[tuple[Key, ...], str] = field(default_factory=dict)
    """Each number, truth value or text as it stands in the file, for a reader that wants `010` to stay `010`."""
    found: list[tuple[int, str]] = field(default_factory=list)
    """Problems with their lines, as they were found."""
    key_hint: str = ""
    """What a key that is a list or a mapping was probably meant to be."""

    @property
    def problems(self) -> list[str]:
        """The messages in the order of their lines."""
        return [problem for _, problem in sorted(self.found, key=lambda entry: entry[0])]

    def report(self, path: tuple[Key, ...], problem: str) -> None:
        """Adds a problem with the value at `path`, in the form `file:line: key: problem`."""
        known = path
        while known and known not in self.lines:
            known = known[:-1]
        where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
        line = self.lines.get(known, 1)
        self.found.append((line, f"{self.name}:{line}: " + (f"{where}: " if where else "") + problem))


def read_document(file: Path, *, name: str = "", key_hint: str = "") -> Document:
    """Reads one YAML file.

    Keys that stand twice are reported in the document's `problems` and the first is kept.

    Args:
        file: where it is.
        name: how messages name it; without one, by the last part of its path.
        key_hint: see `Document.key_hint`.

    Raises:
        DocumentError: the file cannot be read, is not UTF-8, or is not one YAML document.
    """
    name = name or file.name
    document = Document(name=name, key_hint=key_hint)
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise DocumentError([f"{file}: cannot be read: {error.strerror or error}"]) from error
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        found = f"byte {raw[error.start]:#04x} at offset {error.start}"
        raise DocumentError([f"{name}:{line}: not UTF-8: {found}; save the file as UTF-8"]) from error
    try:
        node = yaml.compose(text, Loader=_Parser)
        if node is not None:
            document.data = _value(node, (), document)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        raise DocumentError([f"{name}{place}: not YAML: {reason}"]) from error
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        found = f"the character {chr(error.character)!a} is not allowed"
        raise DocumentError([f"{name}:{line}: not YAML: {found}"]) from error
    except RecursionError:
        raise DocumentError([f"{name}: nested too deep, or an anchor that holds itself"]) from None
    return document


def _value(node: yaml.Node, path: tuple[Key, ...], document: Document) -> Any:
    document.lines[path] = node.start_mark.line + 1
    if len(document.lines) > _MOST_VALUES:
        raise DocumentError([f"{document.name}: more than {_MOST_VALUES:,} values"])
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, place), document) for place, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, document)
    assert isinstance(node, yaml.ScalarNode)  # the third and last kind of node
    return _scalar(node, path, document)


def _mapping(node: yaml.MappingNode, path: tuple[Key, ...], document: Document) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            document.lines[path] = key_node.start_mark.line + 1
            document.report(path, "a key must be text" + (f"; {document.key_hint}" if document.key_hint else ""))
            continue
        key = key_node.value
        line = key_node.start_mark.line + 1
        if key in values:
            first = document.lines[(*path, key)]
            where = f"on lines {first} and {line}" if first != line else f"on line {line}"
            document.report((*path, key), f"stands twice, {where}: remove one")
            continue
        values[key] = _value(value_node, (*path, key), document)
        document.lines[(*path, key)] = line
    return values


def _scalar(node: yaml.ScalarNode, path: tuple[Key, ...], document: Document) -> bool | int | float | str | None:
    text, kind = node.value, node.tag.removeprefix(_TAG)
    document.written[path] = text
    try:
        match kind:
            case "str":
                return text
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                return int(text.replace("_", ""))
            case "float":
                return float(text.lower().replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:  # `!!int x`, or thousands of digits: text, which no rule for a number lets through
        return text
    document.report(path, f"the tag {node.tag!r} has no meaning here: write the plain value")
    return text
