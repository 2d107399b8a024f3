"""Two small tasks on the English package descriptions of Debian 12 (main), whose rows ship with the project.

debsec: which part of the archive is a package in? Eight classes; the maintainers' choice of section is the label.
debmatch: is the short description (sentence2) that of the package whose long description starts with sentence1?
Every source package lies in one split only, the same one in both tasks.
"""

from __future__ import annotations

from trials.tasks.base import Task
from trials.tasks.targets import Labels

DEBSEC_CLASSES: tuple[str, ...] = (
    "games",
    "multimedia",
    "network",
    "science",
    "system",
    "text",
    "devel",
    "desktop",
)

TASKS: tuple[Task, ...] = (
    Task(
        name="debsec",
        title="Debian sections",
        template="{text}",
        target=Labels({label: str(label) for label in range(len(DEBSEC_CLASSES))}),
        sizes=(5_873, 600, 600),
        max_source_length=64,
        embedded=True,
    ),
    Task(
        name="debmatch",
        title="Debian descriptions",
        template="sentence1: {sentence1} sentence2: {sentence2}",
        target=Labels({0: "0", 1: "1"}),
        sizes=(6_000, 600, 600),
        max_source_length=80,
        embedded=True,
    ),
)
