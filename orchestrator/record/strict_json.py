"""JSON files that hold every float, and are replaced whole.

Numbers that JSON has no word for (NaN and the infinities, which a diverged trial reports) are written as
``{"$float": "nan"}`` and come back as the floats they were. A file is replaced in one step, so that a reader, or a
crash at any moment, sees the old one or the new one and nothing between.
"""

from __future__ import annotations

import math
import os
import secrets
from pathlib import Path
from typing import Any

_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def write_atomically(path: str | os.PathLike[str], text: str | bytes) -> Path:
    """Write beside ``path``, force it to the disk and put it in place in one step; make missing folders.

    Args:
        text: written as UTF-8 where it is not bytes.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own for each writer: two of them must not write into one temporary file.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(text.encode() if isinstance(text, str) else text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def encode(value: Any, where: str, problems: list[str]) -> Any:
    """The value in strict JSON's types; places that have no such form are added to ``problems``."""
    if isinstance(value, dict):
        odd = [key for key in value if not isinstance(key, str)]
        problems += [f"{where or 'record'} has the key {key!r}, which is not text" for key in odd]
        return {key: encode(item, f"{where}.{key}".lstrip("."), problems) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item, f"{where}[{index}]", problems) for index, item in enumerate(value)]
    if hasattr(value, "dtype") and hasattr(value, "item"):  # a NumPy scalar
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(float(value))}
    if value is None or isinstance(value, str | bool | int | float):
        return value
    problems.append(f"{where} is {value!r}, a {type(value).__name__}")
    return None


def decode(value: Any) -> Any:
    """What `encode` was given, but for tuples, which come back as lists."""
    if isinstance(value, dict):
        if value.keys() == {"$float"} and value["$float"] in _NON_FINITE:
            return _NON_FINITE[value["$float"]]
        return {key: decode(item) for key, item in value.items()}
    return [decode(item) for item in value] if isinstance(value, list) else value
