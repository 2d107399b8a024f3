"""Source prompts and adapters that were trained on other tasks, as numbers that travel. Needs no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trials.config import Value

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from trials.methods.base.module import SourceAdapter

_ABOUT = "sources"  # the key of the file's metadata


@dataclass(frozen=True)
class Numbers:
    """A tensor of a source: its shape, and float32 row by row, little-endian."""

    shape: tuple[int, ...]
    numbers: bytes = field(repr=False)

    @property
    def array(self) -> np.ndarray:
        """A copy, float32."""
        import numpy as np

        return np.frombuffer(self.numbers, dtype="<f4").reshape(self.shape).copy()


@dataclass(frozen=True)
class SourcePrompt:
    """A trained soft prompt; of a method that starts from its own adapters, all that it learnt beside it too.

    Attributes:
        name: what a search calls it.
        rows: its length m. width: of the backbone that it was trained on.
        numbers: float32, row by row, little-endian.
        origin: where it came from, in words.
        method: whose adapter it is, if a method starts from the whole of it; empty of a prompt alone.
        values: of an adapter, the hyperparameters that decided its shapes.
        tensors: of an adapter, what was trained beside the prompt, by the names of `Method.tensors`.
    """

    name: str
    rows: int
    width: int
    numbers: bytes = field(repr=False)
    origin: str = ""
    method: str = ""
    values: Mapping[str, Value] = field(default_factory=dict)
    tensors: Mapping[str, Numbers] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Of its numbers and their shapes."""
        found = hashlib.sha256(f"{self.rows}x{self.width}\n".encode() + self.numbers)
        for name, tensor in sorted(self.tensors.items()):
            found.update(f"{name} {'x'.join(map(str, tensor.shape))}\n".encode() + tensor.numbers)
        return found.hexdigest()[:16]

    def tensor(self) -> Tensor:
        """Shape (rows, width), float32."""
        import torch

        return torch.from_numpy(self._prompt.array)

    def adapter(self, device: str) -> SourceAdapter:
        """What an adapter has beside its prompt, for the trials of an engine."""
        import torch

        from trials.methods.base.module import SourceAdapter

        tensors = {name: torch.from_numpy(tensor.array).to(device) for name, tensor in self.tensors.items()}
        return SourceAdapter(self.values, tensors)

    @property
    def _prompt(self) -> Numbers:
        return Numbers((self.rows, self.width), self.numbers)

    @property
    def _arrays(self) -> dict[str, np.ndarray]:
        beside = {f"{self.name}/{name}": tensor.array for name, tensor in self.tensors.items()}
        return {self.name: self._prompt.array, **beside}


def to_file(sources: Sequence[SourcePrompt]) -> bytes:
    """A safetensors file that holds them all, in their order, with their origins and fingerprints."""
    from safetensors.numpy import save

    arrays = {name: array for source in sources for name, array in source._arrays.items()}
    about = [
        {
            "name": s.name,
            "origin": s.origin,
            "fingerprint": s.fingerprint,
            **({"method": s.method, "values": dict(s.values), "tensors": list(s.tensors)} if s.method else {}),
        }
        for s in sources
    ]
    return save(arrays, metadata={_ABOUT: json.dumps(about)})


def from_file(content: bytes) -> tuple[SourcePrompt, ...]:
    """The sources of a file that `to_file` made.

    Raises:
        ValueError: the file is damaged.
    """
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
                numbers=numbers_of(arrays[one["name"]]).numbers,
                origin=one["origin"],
                method=one.get("method", ""),
                values=one.get("values", {}),
                tensors={name: numbers_of(arrays[f"{one['name']}/{name}"]) for name in one.get("tensors", ())},
            )
            for one in about
        ]
    except (SafetensorError, KeyError, TypeError, IndexError, ValueError) as error:
        raise ValueError(f"it holds no source prompts ({' '.join(str(error).split())[:100]})") from error
    for one, source in zip(about, found, strict=True):
        if one["fingerprint"] != source.fingerprint:
            raise ValueError(f"the numbers of {source.name} are not those that were written")
    return tuple(found)


def numbers_of(array: np.ndarray) -> Numbers:
    """An array of floating point numbers, to travel."""
    import numpy as np

    return Numbers(tuple(array.shape), np.ascontiguousarray(array, dtype="<f4").tobytes())
