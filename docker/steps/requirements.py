"""Print what pyproject.toml wants installed, a requirement a line, so that an image's slow layer depends on it alone.

    python requirements.py PYPROJECT [PART...]

A PART is ``project`` (its dependencies) or the name of an extra; extras that name other extras are followed.
"""

import re
import sys
import tomllib
from pathlib import Path
from typing import Any


def requirements(project: dict[str, Any], parts: list[str]) -> list[str]:
    """The requirements of some parts of a ``[project]`` table, each once, in their order.

    Raises:
        SystemExit: there is no such part.
    """
    known: dict[str, list[str]] = {"project": project["dependencies"], **project.get("optional-dependencies", {})}
    itself = re.compile(rf"{re.escape(project['name'])}\[([\w,\s-]+)\]")
    found: dict[str, None] = {}
    for part in parts:
        if part not in known:
            raise SystemExit(f"error: pyproject.toml has no part {part!r}: use {', '.join(known)}")
        for requirement in known[part]:
            if extras := itself.fullmatch(requirement):
                found |= dict.fromkeys(requirements(project, [e.strip() for e in extras[1].split(",")]))
            else:
                found[requirement] = None
    return list(found)


if __name__ == "__main__":
    table = tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["project"]
    print("\n".join(requirements(table, sys.argv[2:] or ["project"])))
