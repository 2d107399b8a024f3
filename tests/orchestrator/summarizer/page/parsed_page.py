"""A written page as tests look at it."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path


class Page(HTMLParser):
    """The page's elements with their attributes, its visible text, and the marks of its charts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self._inside = ""
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style") and data.strip():
            self.texts.append(data.strip())

    @property
    def text(self) -> str:
        return " ".join(self.texts)

    def all(self, tag: str, **having: str) -> list[dict[str, str]]:
        return [found for name, found in self.elements if name == tag and having.items() <= found.items()]

    def marked(self) -> set[str]:
        """Keys of the trials that have a mark in some chart."""
        marks = [found for name, found in self.elements if found.get("class") == "mark"]
        return {key for found in marks for key in found["data-trial"].split()}
