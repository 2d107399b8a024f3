"""Names that are longer than a file system takes, and how a message shows a value that is."""

from __future__ import annotations

import os
import re
from pathlib import Path

LONGEST_NAME = 255
"""Bytes that common file systems let a name have; of a longer word a message shows the ends."""

_LONG = re.compile(rf"[^\s/'\"]{{{LONGEST_NAME},}}[^\s/'\":;,.)]")


def longest_name(path: str | Path) -> str:
    """The name in a path that has most bytes."""
    return max(Path(path).parts, key=lambda name: len(os.fsencode(name)), default="")


def too_long(name: str, limit: int = LONGEST_NAME) -> str:
    """What is wrong with a name that a file system does not take.

    Args:
        limit: bytes of a name that it takes.
    """
    return (
        f"{shortened(name)}: the name of a file or folder may have {limit} bytes, a whole path some 4,000; give a "
        "shorter one"
    )


def shortened(text: str) -> str:
    """A value for a message: its ends and its length, where it is longer than any name can be."""
    return text if len(text) <= LONGEST_NAME else f"{text[:40]}...{text[-20:]} ({len(text):,} characters)"


def with_short_words(message: str) -> str:
    """A message with the ends of those words that are longer than any name can be."""
    return _LONG.sub(lambda word: shortened(word[0]), message)
