"""Which analyses there are: by name, or by the number of the paper's table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.summarizer.tables.paper_layouts import PaperLayout, paper_layouts
from trials.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Analysis:
    """One of the paper's tables.

    Attributes:
        needs: what searches must have left, in words.
        space: a shipped space with the configurations that its columns ask for; empty where any grid has them.
    """

    name: str
    table: int
    about: str
    needs: str
    space: str = ""

    @property
    def layout(self) -> PaperLayout:
        """The paper's table."""
        return next(layout for layout in paper_layouts() if layout.table == self.table)


ANALYSES = (
    Analysis(
        "offset-shift",
        1,
        "test scores of DePT whose offsets are shifted cyclically by places, beside ADePT",
        "a search of dept, one of adept",
    ),
    Analysis(
        "embedding-statistics",
        2,
        "mean and variance of the absolute values of embeddings and offsets over the training rows",
        "a search of dept, one of adept",
    ),
    Analysis(
        "long-prompts",
        8,
        "test scores and samples per second with twice the parameters",
        "searches of pt, dept and adept on --space long-prompts",
        "long-prompts",
    ),
    Analysis("training-time", 9, "how long the winner of each method trained", "searches of lora, pt, dept and adept"),
    Analysis(
        "embedding-matrix",
        10,
        "a prompt with the whole embedding matrix, beside ADePT",
        "a search of embedding_matrix, one of adept",
    ),
    Analysis(
        "without-offsets",
        11,
        "test scores of trained DePT and ADePT with their offsets left out",
        "a search of dept, one of adept",
    ),
    Analysis("bottleneck", 12, "ADePT with other bottlenecks", "a search of adept on --space ablations", "ablations"),
    Analysis("prompt-length", 13, "ADePT with other prompts", "a search of adept on --space ablations", "ablations"),
    Analysis(
        "network-alone",
        14,
        "ADePT without a prompt, beside ADePT",
        "a search of adept on --space ablations",
        "ablations",
    ),
)


def chosen(names: Iterable[str]) -> list[Analysis]:
    """The analyses of these names or numbers of tables, in the paper's order; ``all`` stands for every one.

    Raises:
        UserError: there is no such analysis; every wrong name is listed.
    """
    wanted = [name.strip().lower() for name in names]
    if "all" in wanted:
        return list(ANALYSES)
    known = {key: one for one in ANALYSES for key in (one.name, str(one.table), one.layout.name)}
    wrong = [name for name in wanted if name not in known]
    if wrong:
        listed = ", ".join(f"{one.name} ({one.table})" for one in ANALYSES)
        raise UserError(
            [
                f"analysis {name}: it is one of {listed}, or all{did_you_mean(name, [one.name for one in ANALYSES])}"
                for name in wrong
            ]
        )
    return [one for one in ANALYSES if any(known[name] is one for name in wanted)]
