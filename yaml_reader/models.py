"""A document against a pydantic model: every problem with its line, in a user's words, and what is sound."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from yaml_reader.documents import Document, Key
from yaml_reader.hints import did_you_mean


class Keys(BaseModel):
    """Base of what a file's mapping may hold: a field a key, each with a default."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)
    REQUIRED: ClassVar[tuple[str, ...]] = ()
    """Keys that must be there; their defaults stand for those that are not, or are wrong."""


M = TypeVar("M", bound=Keys)


def validated(document: Document, model: type[M]) -> M:
    """What a document's mapping holds, key by key; a key that is wrong is reported in the document and has its default.

    Args:
        document: its data are a mapping.
    """
    made = model()
    for key, value in document.data.items():
        if key not in model.model_fields:
            _report_unknown(document, (key,), model)
            continue
        try:
            setattr(made, key, value)
        except ValidationError as error:
            for found in error.errors():
                _report(document, model, found)
    for key in model.REQUIRED:
        if key not in document.data:
            document.report((), f"the key '{key}' is missing")
    return made


def _report_unknown(document: Document, path: tuple[Key, ...], model: type[BaseModel]) -> None:
    known = list(model.model_fields)
    document.report(path, f"unknown key{did_you_mean(str(path[-1]), known)}; keys are {', '.join(known)}")


def _report(document: Document, model: type[BaseModel], found: ErrorDetails) -> None:
    """Enters a problem that pydantic has found, at the line of its value."""
    path, inner = _place(document.data, model, found["loc"])
    kind, context = found["type"], found.get("ctx", {})
    if kind == "extra_forbidden":
        _report_unknown(document, path, inner)
    elif kind == "missing":
        document.report(path[:-1], f"the key '{path[-1]}' is missing")
    elif kind == "union_tag_not_found":
        document.report(path, f"the key {context['discriminator']} is missing")
    elif kind == "union_tag_invalid":
        tags = str(context["expected_tags"])
        hint = did_you_mean(context["tag"], _quoted(tags))
        document.report((*path, context["discriminator"].strip("'")), f"should be one of {tags}{hint}")
    else:
        hint = did_you_mean(str(found["input"]), _quoted(context["expected"])) if kind == "literal_error" else ""
        document.report(path, f"{_plain(found)}{hint}, found {found['input']!r}")


_PLAIN = {
    "too_short": "should not be empty",
    "string_too_short": "should not be empty",
    "list_type": "should be a text or a list of texts",
    "string_type": "should be text",
    "dict_type": "should be a mapping",
    "model_attributes_type": "should be a mapping",
}


def _plain(found: ErrorDetails) -> str:
    """What is asked for, in the words of a user."""
    words = _PLAIN.get(found["type"], found["msg"])
    return words.replace("Input should be", "should be").removeprefix("Value error, ")


def _quoted(words: str) -> list[str]:
    return re.findall(r"'([^']*)'", words)


def _place(data: Any, model: type[BaseModel], loc: tuple[Key, ...]) -> tuple[tuple[Key, ...], type[BaseModel]]:
    """(the way to a value in the file, the model of the mapping that holds it), of the place that pydantic gives.

    Pydantic's place also names the kind of a mapping that may be of several, which no key of the file does.
    """
    path: list[Key] = []
    for place, part in enumerate(loc):
        within = part in data if isinstance(data, Mapping) else isinstance(part, int)
        if not within and place + 1 < len(loc):
            model = next((one for one in _models(model.model_fields[str(path[-1])]) if part in _kinds(one)), model)
            continue
        path.append(part)
        data = _below(data, part)
        if place + 1 < len(loc) and part in model.model_fields:
            inner = list(_models(model.model_fields[str(part)]))
            model = inner[0] if len(inner) == 1 else model  # of several kinds, the next part says which
    return tuple(path), model


def _below(data: Any, part: Key) -> Any:
    """The value of a mapping's key or at a list's place; None where there is none."""
    if isinstance(data, Mapping):
        return data.get(part)
    return data[part] if isinstance(data, list) and isinstance(part, int) and part < len(data) else None


def _models(field: Any) -> Iterator[type[BaseModel]]:
    """The models that an annotation allows."""
    parts = [field.annotation] if hasattr(field, "annotation") else [field]
    while parts:
        part = parts.pop()
        if isinstance(part, type) and issubclass(part, BaseModel):
            yield part
        parts += get_args(part)


def _kinds(model: type[BaseModel]) -> tuple[Any, ...]:
    return tuple(kind for field in model.model_fields.values() for kind in get_args(field.annotation))
