"""The champions of a registry as one table."""

from __future__ import annotations

from orchestrator.record import formats
from orchestrator.summarizer.tables.model import Cell, ReportTable, table_of
from orchestrator.tracking.registry import CHAMPION, Registry

_TEXTS = ("champion", "method", "metric", "night", "why")


def champion_table(registry: Registry) -> ReportTable:
    """A row for each alias that stands at a version, by model; those of a method below the model's own.

    Raises:
        RegistryError: the registry does not answer.
    """
    rows, sections = [], []
    for model in registry.models():
        for alias in sorted(model.aliases):
            if alias != CHAMPION and not alias.startswith(f"{CHAMPION}-"):
                continue
            version = registry.version(model, alias)
            tags = {} if version is None else version.tags
            by_hand = "set by hand" if model.is_set_by_hand(alias) else ""
            score = tags.get("score", "")
            rows.append({
                "champion": Cell(alias),
                "version": Cell(str(model.aliases[alias]), value=model.aliases[alias]),
                "method": Cell(tags.get("method", formats.MISSING)),
                "metric": Cell(tags.get("metric", formats.MISSING)),
                "score": Cell(score or formats.MISSING, "measured" if score else "missing"),
                "n": Cell(tags.get("n", formats.MISSING)),
                "night": Cell(tags.get("night", formats.MISSING)),
                "why": Cell(by_hand or tags.get(alias, formats.MISSING)),
            })  # fmt: skip
            sections.append(model.name)
    notes = [f"models:/MODEL@{CHAMPION} names a champion's adapter in MLflow at {registry.shown}."] if rows else []
    names = ("champion", "version", "method", "metric", "score", "n", "night", "why")
    return table_of("champions", "Champions", rows, texts=_TEXTS, names=names, sections=sections, notes=notes)
