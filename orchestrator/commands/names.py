"""``adept-search list``: what `search` and `sweep` know by name."""

from __future__ import annotations

from search_spaces import methods, space_names


def list_names() -> None:
    """List the tasks, methods, backbones and search spaces that `search` knows by name, and the sweeps."""
    from sweeps import sweep_names
    from trials.backbones.describe import backbone_names
    from trials.tasks import registered

    known = {
        "tasks": [" or ".join((task.name, *task.aliases)) for task in registered().values()],
        "methods": methods(),
        "backbones": backbone_names(),
        "spaces": space_names(),
        "sweeps": sweep_names(),
    }
    for title, names in known.items():
        print(f"{title:10} {', '.join(names)}")
