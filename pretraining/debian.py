"""Package descriptions, debtags and sections of a Debian release, read from apt's own lists.

The English long descriptions are in apt's translation files, which it fetches only when told so; see the README.
Format: Debian policy manual, section 5 (control files); ``Description-md5`` joins the two files.
"""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

APT_HELPER = "/usr/lib/apt/apt-helper"
# Packages that accompany another one; their descriptions say little of what the software does.
COMPANION = re.compile(
    r"-(data|doc|docs|common|dev|dbg|dbgsym|l10n|examples|headers|source|all|full|core-data|lang|langpack.*|i18n)(-|$)"
    r"|^lib.*\d$"
)
PLACEHOLDER = re.compile(
    r"transitional|dummy package|meta-?package|debug(ging)? symbols|development files", re.IGNORECASE
)
MIN_WORDS = 12


@dataclass(frozen=True)
class Package:
    """One binary package. ``group`` joins the versions of one source: gcc-11 and gcc-12 are both ``gcc``."""

    name: str
    source: str
    section: str
    short: str
    paragraphs: tuple[str, ...]
    tags: frozenset[str] = field(default_factory=frozenset)

    @property
    def group(self) -> str:
        """The source's name without a trailing version number."""
        return re.sub(r"[-.]?\d[\d.]*$", "", self.source) or self.source

    @property
    def names(self) -> list[str]:
        """Every name that gives the package away, the longest first."""
        return sorted({self.name, self.source, self.group}, key=lambda n: (-len(n), n))

    @property
    def is_primary(self) -> bool:
        """Whether the description says what the software does, in :data:`MIN_WORDS` words at least."""
        return (
            not COMPANION.search(self.name)
            and not PLACEHOLDER.search(self.short)
            and sum(len(p.split()) for p in self.paragraphs) >= MIN_WORDS
            and not PLACEHOLDER.search(self.paragraphs[0])
        )


def squeezed(text: str) -> str:
    """``text`` with every run of white space made one blank."""
    return re.sub(r"\s+", " ", text).strip()


def parse_stanzas(text: str) -> Iterator[dict[str, str]]:
    """The stanzas of a control file; continuation lines keep their line breaks and lose one leading blank."""
    for block in text.split("\n\n"):
        stanza: dict[str, str] = {}
        key = ""
        for line in block.split("\n"):
            if line[:1] in (" ", "\t"):
                if key:
                    stanza[key] += "\n" + line[1:]
            elif ":" in line:
                key, value = line.split(":", 1)
                stanza[key] = value.strip()
        if stanza:
            yield stanza


def paragraphs_of(body: Sequence[str]) -> tuple[str, ...]:
    """Paragraphs of a long description (a line with a dot parts them), without addresses, of three words or more."""
    text = re.sub(r"[<(]?(https?|ftp)://[^\s>)]+[>)]?", "", "\n".join(body))
    found = (squeezed(part) for part in re.split(r"\n\s*\.\s*(?=\n|$)", text))
    return tuple(p for p in found if len(p.split()) > 2)


def packages_from(translations: Iterator[dict[str, str]], stanzas: Iterator[dict[str, str]]) -> list[Package]:
    """Join translation and package stanzas; the first stanza of a name counts. Sorted by name."""
    descriptions = {(s["Package"], s["Description-md5"]): s["Description-en"] for s in translations}
    packages: dict[str, Package] = {}
    for stanza in stanzas:
        name = stanza["Package"]
        text = descriptions.get((name, stanza.get("Description-md5", "")))
        if not text or name in packages:
            continue
        short, *body = text.split("\n")
        packages[name] = Package(
            name=name,
            source=stanza.get("Source", name).split()[0],
            section=stanza.get("Section", "").split("/")[-1],
            short=squeezed(short),
            paragraphs=paragraphs_of(body),
            tags=frozenset(t for t in re.split(r"[,\s]+", stanza.get("Tag", "")) if t),
        )
    return [packages[name] for name in sorted(packages)]


def read_packages(lists: Path) -> list[Package]:
    """All described packages of ``main`` in apt's lists (compressed or not).

    Raises:
        FileNotFoundError: the lists hold no packages, or no English descriptions.
    """

    def stanzas(pattern: str) -> Iterator[dict[str, str]]:
        for path in sorted(lists.glob(pattern)):
            out = subprocess.run([APT_HELPER, "cat-file", str(path)], capture_output=True, check=True).stdout
            yield from parse_stanzas(out.decode("utf-8", "replace"))

    packages = packages_from(stanzas("*_main_i18n_Translation-en*"), stanzas("*_main_binary-*_Packages*"))
    if not packages:
        raise FileNotFoundError(
            f"no package with an English description in {lists}; fetch both lists with "
            "`apt-get -o Acquire::Languages=en update` (later updates without that option delete the descriptions)"
        )
    return packages


def grouped(packages: Sequence[Package]) -> dict[str, list[Package]]:
    """Packages by source group, in the order of the list."""
    groups: dict[str, list[Package]] = defaultdict(list)
    for package in packages:
        groups[package.group].append(package)
    return groups


def primaries(groups: Mapping[str, Sequence[Package]]) -> dict[str, Package]:
    """The package that stands for its group: named like the source if possible, then the shortest name."""
    chosen = {}
    for group, members in groups.items():
        if usable := [p for p in members if p.is_primary]:
            chosen[group] = min(usable, key=lambda p: (p.name != p.source, len(p.name), p.name))
    return chosen


def without_names(text: str, package: Package, instead: str = "it") -> str:
    """``text`` with the package's own names replaced, spaces and edges tidied."""
    for name in package.names:
        text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", instead, text, flags=re.IGNORECASE)
    return squeezed(re.sub(r"\s+([.,;:)])", r"\1", text)).strip(" -,:;.")
