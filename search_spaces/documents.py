"""Spaces as YAML documents: `yaml_reader` with this package's error."""

from pathlib import Path

import yaml_reader
from search_spaces.problems import SpaceError
from yaml_reader import Document, DocumentError, Key

__all__ = ["Document", "Key", "read_document"]

_JOINT_AXIS = 'a joint axis is written "prompt_length, bottleneck": [[20, 39]]'


def read_document(file: Path) -> Document:
    """Reads one YAML file (`yaml_reader.read_document`).

    Raises:
        SpaceError: the file cannot be read, is not UTF-8, or is not one YAML document.
    """
    try:
        return yaml_reader.read_document(file, key_hint=_JOINT_AXIS)
    except DocumentError as error:
        raise SpaceError(error.problems) from error
