"""Tables of what was measured: methods by tasks, scores with their intervals, comparisons, the interquartile mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.record import formats
from orchestrator.record.binomial import interval
from orchestrator.summarizer.results.found_search import FoundSearch
from orchestrator.summarizer.results.groups import SearchGroup, described, method_title, other_rows, pick
from orchestrator.summarizer.results.interquartile_means import InterquartileMean
from orchestrator.summarizer.results.method_comparisons import Comparison, notes_on
from orchestrator.summarizer.results.published import metric_key
from orchestrator.summarizer.results.seed_statistics import estimate
from orchestrator.summarizer.tables import missing_cells
from orchestrator.summarizer.tables.highlights import LEGEND, highlighted
from orchestrator.summarizer.tables.missing_cells import Gap
from orchestrator.summarizer.tables.model import Cell, Column, ReportTable, Row
from orchestrator.summarizer.tables.paper_tables import measured_cell

_INTERVALS = {
    "bootstrap": "expanded percentile intervals of a bootstrap that resamples seeds within each task",
    "t": "Student's t on paired differences (Welch and Satterthwaite's degrees of freedom over tasks)",
}


def methods_by_tasks(groups: Sequence[SearchGroup], unfinished: Sequence[FoundSearch] = ()) -> ReportTable:
    """Every measured task, the paper's and own ones: a row for each method and backbone."""
    tasks = list(dict.fromkeys(group.task for group in groups))
    lines = list(dict.fromkeys((group.backbone, group.method) for group in groups))
    lines.sort(key=lambda line: list(dict.fromkeys(group.backbone for group in groups)).index(line[0]))
    gaps: list[Gap] = []
    notes: list[str] = []
    rows: list[Row] = []
    for backbone in dict.fromkeys(backbone for backbone, _ in lines):
        methods = [method for on, method in lines if on == backbone]
        table = []
        for method in methods:
            of_row = [group for group in groups if (group.backbone, group.method) == (backbone, method)]
            seeds = sorted({seed for group in of_row for seed in group.by_seed})
            table.append([_cell(groups, task, method, backbone, notes) for task in tasks])
            gaps += _gaps(groups, of_row, tasks, seeds)
        columns = []
        for place, task in enumerate(tasks):
            cells = [row[place] for row in table]
            found = [group for method in methods if (group := pick(groups, task, method, backbone)[0]) is not None]
            if why := other_rows(found):
                notes.append(f"{task} on {backbone}: its rows differ between methods ({why}), so no mark is set.")
            columns.append(cells if why else highlighted(cells))
        for place, method in enumerate(methods):
            cells = [Cell(method_title(method)), *(column[place] for column in columns)]
            rows.append(Row(tuple(cells), f"measured on {backbone}"))
    worth = [_worth([group for group in groups if group.task == task]) for task in tasks]
    rows.append(Row((Cell("One test example"), *worth), "in points"))
    titles = {group.task: group.title for group in groups}
    metrics = {task: ", ".join(dict.fromkeys(metric_key(g.metric) for g in groups if g.task == task)) for task in tasks}
    return ReportTable(
        "measured",
        "Test scores, methods by tasks",
        (Column("Method", numeric=False), *(Column(titles[task], metrics[task]) for task in tasks)),
        tuple(rows),
        (
            "Mean ± standard deviation over seeds, with their number in parentheses where there are several.",
            LEGEND,
            *notes,
        ),
        missing_cells.commands(gaps, unfinished),
    )


def score_table(groups: Sequence[SearchGroup]) -> ReportTable:
    """One row for each group: its seeds, mean, deviation, interval, and what a score on its test split is worth."""
    names = ["task", "method", "backbone", "metric", "seeds", "mean", "sd", "95 % interval", "n", "one example"]
    names += ["interval of one seed", "constant answer", "parameters", "trained with"]
    texts = {"task", "method", "backbone", "metric", "trained with", "seeds"}
    rows = []
    for group in groups:
        by_seed = group.scores()
        result = estimate(list(by_seed.values()))
        record = group.newest.record
        n = record.test.n if record.test is not None else None
        wilson = interval(result.mean, n, group.metric)
        beside = [other for other in groups if (other.task, other.method, other.backbone) == _key(group)]
        cells = [
            Cell(group.title),
            Cell(method_title(group.method)),
            Cell(group.backbone),
            Cell(metric_key(group.metric)),
            Cell(", ".join(map(str, by_seed))),
            measured_cell(result, group.metric, group.one_example),
            Cell(formats.score(result.sd)),
            Cell(_between(result.low, result.high)),
            Cell(formats.whole(n)),
            Cell(f"{group.one_example:.2f}" if group.one_example else formats.MISSING),
            Cell(_between(*wilson) if wilson else formats.MISSING),
            Cell(formats.score(record.majority.get("test"))),
            Cell(", ".join(formats.whole(count) for count in group.parameters) or formats.MISSING),
            Cell(described(group, beside) if len(beside) > 1 else formats.pairs(_budget(group))),
        ]
        cells[5] = Cell(cells[5].text, "measured", result.mean, n=result.n, one_example=group.one_example)
        rows.append(Row(tuple(cells)))
    notes = (
        "mean, sd and 95 % interval: over seeds (Student's t; none for one seed). Interval of one seed: Wilson's 95 % "
        "interval for the mean as if one model had scored it on n examples. Constant answer: the best score without "
        "looking at the input. One example: points that one of n test examples is worth.",
    )
    columns = tuple(Column(name, numeric=name not in texts) for name in names)
    return ReportTable("scores", "Test scores with their intervals", columns, tuple(rows), notes)


def comparison_table(
    found: Sequence[Comparison], notes: Sequence[str] = (), titles: Mapping[str, str] | None = None
) -> ReportTable:
    """One row for each pair of methods and task, by its title; over tasks last."""
    titles = titles or {}
    names = ["task", "methods", "backbone", "pairs", "difference", "95 % interval", "p", "p (Holm)", "one example"]
    names += ["verdict", "because"]
    texts = {"task", "methods", "backbone", "verdict", "because"}
    rows = [
        Row(
            (
                Cell(titles.get(one.task, one.task) or "all tasks of both"),
                Cell(f"{method_title(one.first)} less {method_title(one.second)}"),
                Cell(one.backbone),
                Cell(str(one.pairs)),
                Cell(formats.score(one.difference, signed=True), value=one.difference),
                Cell(_between(one.low, one.high, signed=True)),
                Cell(formats.probability(one.p)),
                Cell(formats.probability(one.p_holm)),
                Cell(f"{one.one_example:.2f}" if one.one_example else formats.MISSING),
                Cell(one.verdict),
                Cell(one.why),
            ),
            "Over tasks" if not one.task else "Task by task",
        )
        for one in found
    ]
    kinds = [text for kind, text in _INTERVALS.items() if any(one.interval == kind for one in found)]
    texts_below = [
        "p: two-sided sign-flip permutation test on paired seeds. A difference below one example is never a verdict."
    ]
    texts_below += [f"Intervals: {'; '.join(kinds)}."] if kinds else []
    columns = tuple(Column(name, numeric=name not in texts) for name in names)
    return ReportTable(
        "comparisons", "Methods against each other", columns, tuple(rows), (*texts_below, *notes_on(found), *notes)
    )


def interquartile_table(found: Sequence[InterquartileMean], titles: Mapping[str, str] | None = None) -> ReportTable:
    """The interquartile mean of each method, over tasks by their titles."""
    titles = titles or {}
    rows = []
    for backbone in dict.fromkeys(one.backbone for one in found):
        of = [one for one in found if one.backbone == backbone]
        cells = highlighted([Cell(formats.score(one.iqm), "measured", one.iqm) for one in of])
        rows += [
            Row(
                (
                    Cell(method_title(one.method)),
                    cell,
                    Cell(_between(one.low, one.high)),
                    Cell(str(one.scores)),
                    Cell(", ".join(titles.get(task, task) for task in one.tasks)),
                    Cell(one.note),
                ),
                backbone,
            )
            for one, cell in zip(of, cells, strict=True)
        ]
    names = {
        "method": False,
        "interquartile mean": True,
        "95 % interval": True,
        "scores": True,
        "tasks": False,
        "": False,
    }
    note = (
        "The mean of the middle half of all (task, seed) scores, over the tasks that every method of the backbone has."
    )
    columns = tuple(Column(name or "note", numeric=numeric) for name, numeric in names.items())
    return ReportTable("interquartile-means", "Interquartile means over tasks and seeds", columns, tuple(rows), (note,))


def _cell(groups: Sequence[SearchGroup], task: str, method: str, backbone: str, notes: list[str]) -> Cell:
    group, others = pick(groups, task, method, backbone)
    if group is None:
        return Cell(formats.MISSING, "missing")
    if others:
        left = "; ".join(described(other, [group]) for other in others)
        shown = described(group, others)
        notes.append(f"{task}, {method_title(method)} on {backbone}: shown with {shown}; also there: {left}.")
    return measured_cell(estimate(list(group.scores().values())), group.metric, group.one_example)


def _gaps(
    groups: Sequence[SearchGroup], row: Sequence[SearchGroup], tasks: Sequence[str], seeds: list[int]
) -> list[Gap]:
    gaps = []
    for task in tasks:
        group, _ = pick(row, task, row[0].method, row[0].backbone)
        missing = tuple(seed for seed in seeds if group is None or seed not in group.by_seed)
        if missing:
            label = task + (f" (seed {', '.join(map(str, missing))})" if group is not None else "")
            name = f"{method_title(row[0].method)} on {row[0].backbone}"
            # The task file of the cell's own rows where it has some: another file of the task may name others.
            example = (group or next(other for other in groups if other.task == task)).newest
            gaps.append(Gap(label, name, task, row[0].method, row[0].backbone, missing, group or row[0], example))
    return gaps


def _worth(groups: Sequence[SearchGroup]) -> Cell:
    known = [group.one_example for group in groups if group.one_example]
    return Cell(f"{max(known):.2f}" if known else formats.MISSING)


def _key(group: SearchGroup) -> tuple[str, str, str]:
    return group.task, group.method, group.backbone


def _budget(group: SearchGroup) -> dict[str, object]:
    budget = {"recipe": group.recipe, "steps": group.settings.get("steps")}
    return {name: value for name, value in budget.items() if value}


def _between(low: float | None, high: float | None, signed: bool = False) -> str:
    if low is None or high is None:
        return formats.MISSING
    return f"{formats.score(low, signed)} to {formats.score(high, signed)}"
