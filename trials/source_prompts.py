"""Source prompts: soft prompts that were trained on other tasks, as numbers that travel. Needs no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_ABOUT = "sources"  # the key of the file's metadata


@dataclass(frozen=True)
class SourcePrompt:
    """A trained soft prompt.

    Attributes:
        name: what a search calls it.
        rows: its length m. width: of the backbone that it was trained on.
        numbers: float32, row by row, little-endian.
        origin: where it came from, in words.
    """

    name: str
    rows: int
    width: int
    numbers: bytes = field(repr=False)
    origin: str = ""

    @property
    def fingerprint(self) -> str:
        """Of its numbers and their shape."""
        return hashlib.sha256(f"{self.rows}x{self.width}\n".encode() + self.numbers).hexdigest()[:16]

    def tensor(self) -> Tensor:
        """Shape (rows, width), float32."""
        import numpy as np
        import torch

        return torch.from_numpy(np.frombuffer(self.numbers, dtype="<f4").reshape(self.rows, self.width).copy())


def to_file(sources: Sequence[SourcePrompt]) -> bytes:
    """A safetensors file that holds them all, in their order, with their origins and fingerprints."""
    import numpy as np
    from safetensors.numpy import save

    arrays = {s.name: np.frombuffer(s.numbers, dtype="<f4").reshape(s.rows, s.width).copy() for s in sources}
    about = [{"name": s.name, "origin": s.origin, "fingerprint": s.fingerprint} for s in sources]
    return save(arrays, metadata={_ABOUT: json.dumps(about)})


def from_file(content: bytes) -> tuple[SourcePrompt, ...]:
    """The sources of a file that `to_file` made.

    Raises:
        ValueError: the file is damaged.
    """
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        about = json.loads(header["__metadata__"][_ABOUT])
        found = [
            SourcePrompt(
                name=one["name"],
                rows=arrays[one["name"]].shape[0],
                width=arrays[one["name"]].shape[1],
                numbers=np.ascontiguousarray(arrays[one["name"]], dtype="<f4").tobytes(),
                origin=one["origin"],
            )
            for one in about
        ]
    except (SafetensorError, KeyError, TypeError, IndexError, ValueError) as error:
        raise ValueError(f"it holds no source prompts ({' '.join(str(error).split())[:100]})") from error
    for one, source in zip(about, found, strict=True):
        if one["fingerprint"] != source.fingerprint:
            raise ValueError(f"the numbers of {source.name} are not those that were written")
    return tuple(found)
