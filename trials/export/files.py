"""The names of an adapter's two files, and what is done with them without torch, which takes seconds to be imported."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def as_text(description: Mapping[str, Any]) -> str:
    """An adapter's config as its file has it."""
    return json.dumps(description, indent=1, sort_keys=True) + "\n"


def name_backbone(folder: Path, location: str) -> None:
    """Write into an adapter where its backbone is now."""
    description = json.loads((folder / CONFIG).read_text())
    if description["base_model_name_or_path"] != location:
        description["base_model_name_or_path"] = location
        (folder / CONFIG).write_text(as_text(description))
