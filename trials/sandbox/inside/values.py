"""Values between a program and its checker: JSON that can spell Python's plain values, and no others.

Nothing of a value's behaviour crosses: an object that claims to equal everything arrives as a mark without abilities.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

SEVERAL: dict[str, Callable[..., Any]] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}

TYPES: dict[str, type] = {
    kind.__name__: kind for kind in (int, float, complex, str, bytes, bool, list, tuple, set, frozenset, dict)
}


class Values:
    """Writes and reads values; objects of other types stay where they are, and a number stands for each.

    Args:
        made: what a number that comes in stands for.
    """

    def __init__(self, made: Callable[[int], Any]) -> None:
        self.made = made
        self.kept: list[Any] = []

    def text(self, value: Any) -> str:
        """One line. Raises ValueError or RecursionError where it cannot be written."""
        return json.dumps(self.written(value))

    def value(self, text: str | bytes) -> Any:
        """The value of a line. Raises ValueError, TypeError, KeyError or RecursionError where it spells none."""
        return self.read(json.loads(text))

    def written(self, value: Any) -> Any:
        """What JSON can hold."""
        if value is None or value is True or value is False:
            return value
        kind = type(value)
        if issubclass(kind, int):
            return ["int", hex(int(value))]  # decimal digits have a limit, and JSON's numbers one of their own
        if issubclass(kind, float):
            return ["float", float(value).hex()]
        if issubclass(kind, str):
            return ["str", str.__str__(value)]
        if issubclass(kind, complex):
            return ["complex", value.real.hex(), value.imag.hex()]
        if issubclass(kind, bytes | bytearray):
            return ["bytes" if issubclass(kind, bytes) else "bytearray", bytes(value).hex()]
        for name, known in SEVERAL.items():
            if issubclass(kind, known):  # type: ignore[arg-type]
                return [name, [self.written(one) for one in value]]
        if issubclass(kind, dict):
            return ["dict", [[self.written(key), self.written(one)] for key, one in value.items()]]
        if kind in (type({}.keys()), type({}.items())):  # these equal sets
            return ["set", [self.written(one) for one in value]]
        if kind.__module__ in ("decimal", "fractions") and kind.__name__ in ("Decimal", "Fraction"):
            return [kind.__name__, str(value)]
        if kind is type and value in TYPES.values():
            return ["type", value.__name__]
        self.kept.append(value)
        return ["kept", len(self.kept) - 1]

    def read(self, spelled: Any) -> Any:
        """The value of what JSON holds."""
        if spelled is None or spelled is True or spelled is False:
            return spelled
        name, *parts = spelled
        if name == "int":
            return int(parts[0], 16)
        if name == "float":
            return float.fromhex(parts[0])
        if name == "str":
            return str(parts[0])
        if name == "complex":
            return complex(*map(float.fromhex, parts))
        if name in ("bytes", "bytearray"):
            return bytes.fromhex(parts[0]) if name == "bytes" else bytearray.fromhex(parts[0])
        if name == "type":
            return TYPES[parts[0]]
        if name == "dict":
            return {self.read(key): self.read(one) for key, one in parts[0]}
        if name in SEVERAL:
            return SEVERAL[name](self.read(one) for one in parts[0])
        if name == "Decimal":
            from decimal import Decimal

            return Decimal(parts[0])
        if name == "Fraction":
            from fractions import Fraction

            return Fraction(parts[0])
        if name == "kept":
            return self.made(int(parts[0]))
        raise ValueError(f"no kind of value is called {name!r}")
