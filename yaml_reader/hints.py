"""What a misspelt word was probably meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known name that `word` was probably meant to be, if any is near."""
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), list(by_lower), n=1, cutoff=0.6)
    return by_lower[near[0]] if near else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint such as `" (did you mean 'rte'?)"`, or `""` where no known name is near."""
    name = closest(word, known)
    return f" (did you mean '{name}'?)" if name is not None else ""
