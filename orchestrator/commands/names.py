"""``adept-search list``: what `search` knows by name."""

from __future__ import annotations

from search_spaces import methods, space_names


def list_names() -> None:
    """List the tasks, methods, backbones and search spaces that `search` knows by name."""
    from trials.backbones.describe import backbone_names
    from trials.tasks import task_names

    known = {"tasks": task_names(), "methods": methods(), "backbones": backbone_names(), "spaces": space_names()}
    for title, names in known.items():
        print(f"{title:10} {', '.join(names)}")
