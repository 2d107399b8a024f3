"""Trained offsets looked at: shifted (Table 1), measured (Table 2), left out (Table 11)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from orchestrator.analyses.lines import Work, section_of, title_of
from orchestrator.analyses.pools import Pool, Trained, fullest
from orchestrator.summarizer.results.groups import method_title
from orchestrator.summarizer.results.published import method_key, task_key
from orchestrator.summarizer.tables.cells import EMPTY
from orchestrator.summarizer.tables.model import Cell
from orchestrator.summarizer.tables.paper_layouts import PaperAxis

METHODS = ("dept", "adept")
FURTHEST = 200
"""The largest shift of Table 1, in places."""


def offset_shift(work: Work) -> None:
    """Table 1: a row a task; DePT with its offsets shifted by each column's places, and ADePT as it is."""
    for backbone, pools in work.pools.places(METHODS).items():
        for beside in pools:
            metric = beside.metric
            found = _winners(work, beside)
            cells = []
            for column in work.layout.columns:
                method = method_key(column.match["method"])
                places = int(column.match["setting"].removeprefix("offset_shift="))
                cells.append(work.over_seeds(found[method], partial(_shifted, work, places, metric), metric))
            lengths = [work.tried(partial(_places, work), one) for one in found["dept"].values()]
            if (longest := min((int(n) for n in lengths if n), default=0)) and longest <= FURTHEST:
                work.note(
                    f"{title_of(beside)}: there are offsets of {longest} places, around which shifts are counted: by "
                    f"{FURTHEST} is by {FURTHEST % longest}."
                )
            work.add(title_of(beside), backbone, f"measured on {backbone}", cells)
            _note_metric(work, beside)
            _missing(work, beside, found, title_of(beside))


def embedding_statistics(work: Work) -> None:
    """Table 2: of the absolute values of embeddings, DePT's offsets and ADePT's, over all training tokens of a task."""
    places = work.pools.places(METHODS)
    work.extend(
        (pool for pools in places.values() for pool in pools),
        lambda pool: [
            PaperAxis(label, title_of(pool), {"task": pool.task, "metric": metric})
            for label, metric in (("Mean", "abs_mean"), ("Variance", "abs_variance"))
        ],
    )
    for backbone, pools in places.items():
        cells: dict[str, list[Cell]] = {row.label: [EMPTY] * len(work.layout.columns) for row in work.layout.rows}
        for beside in pools:
            found = _winners(work, beside)
            for number, column in enumerate(work.layout.columns):
                if task_key(column.match["task"]) != task_key(beside.task):
                    continue
                metric = column.match["metric"]
                for label, (method, which) in _VALUES.items():
                    of = found[method] or found["adept"] if which == 0 else found[method]
                    cells[label][number] = work.over_seeds(of, partial(_moment, work, which, metric), metric)
            _missing(work, beside, found, title_of(beside))
        for label, line in cells.items():
            work.add(label, backbone, f"measured on {backbone}", [_plain(cell) for cell in line])
    work.note(
        "Measured over all elements of the embeddings of all training tokens, without padding; the variance is that of "
        "the absolute values. What the paper calls variance may be a standard deviation: its text does not say."
    )


_VALUES = {"input embeddings": ("dept", 0), "DePT offset": ("dept", 1), "ADePT offset": ("adept", 1)}


def without_offsets(work: Work) -> None:
    """Table 11: test scores of trained DePT and ADePT as they are and with the prompt alone."""
    for backbone, pools in work.pools.places(METHODS).items():
        for beside in pools:
            found, metric = _winners(work, beside), beside.metric
            for method in METHODS:
                cells = [
                    work.over_seeds(found[method], partial(work.test_score, metric), metric),
                    work.over_seeds(found[method], partial(_bare, work, metric), metric),
                ]
                work.add(method_title(method), backbone, section_of(beside), cells)
            _note_metric(work, beside)
            _missing(work, beside, found, "with and without offsets")


def _winners(work: Work, beside: Pool) -> dict[str, Mapping[int, Trained]]:
    """By method, the best training of each seed on a task and backbone."""
    found: dict[str, Mapping[int, Trained]] = {}
    for method in METHODS:
        pool = fullest(work.pools.of(beside.task, beside.newest.record.backbone, method))
        found[method] = pool.best() if pool is not None else {}
    return found


def _places(work: Work, one: Trained) -> float:
    """How many places DePT has offsets for: as many as its rows have tokens at most."""
    return float(work.bench.adapter(one).description["max_source_length"])


def _shifted(work: Work, places: int, metric: str, one: Trained) -> float | None:
    if not places:
        return work.test_score(metric, one)
    return work.bench.scores(one, [work.bench.adapter(one).with_offsets_moved(places)])[0].get(metric)


def _bare(work: Work, metric: str, one: Trained) -> float | None:
    return work.bench.scores(one, [work.bench.adapter(one).without_offsets()])[0].get(metric)


def _moment(work: Work, which: int, metric: str, one: Trained) -> float:
    moments = work.bench.moments(one)[which]
    return moments.mean if metric == "abs_mean" else moments.variance


def _plain(cell: Cell) -> Cell:
    """Without what an example is worth, which is nothing here."""
    return replace(cell, one_example=None)


def _missing(work: Work, beside: Pool, found: Mapping[str, Mapping[int, Trained]], column: str) -> None:
    for method in METHODS:
        if not found[method]:
            work.lacks(method_title(method), column, method, beside)


def _note_metric(work: Work, pool: Pool) -> None:
    if pool.metric != "accuracy":
        work.note(f"{title_of(pool)}: {pool.metric.replace('_', ' ')}, and not accuracy.")
