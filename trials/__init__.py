"""What one trial is: methods on a frozen backbone, tasks, the stacked trainer. Runs without Ray and without MLflow.

The names below import torch when they are first used, so that code which only needs facts stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "Adapter": "export.adapters",
    "load_adapter": "export.adapters",
    "load_backbone": "backbones.loading",
    "describe": "backbones.describe",
    "Recipe": "config",
    "Report": "config",
    "TrialConfig": "config",
    "prepare": "data",
    "Engine": "engine",
    "UserError": "errors",
    "get_task": "tasks",
    "task_names": "tasks",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'trials' has no attribute {name!r}")
    return getattr(import_module(f"trials.{_HOME[name]}"), name)
