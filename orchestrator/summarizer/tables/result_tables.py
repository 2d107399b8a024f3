"""Tables of what was measured: methods by tasks, scores with their intervals, comparisons, the interquartile mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from orchestrator.record import formats
from orchestrator.record.binomial import interval
from orchestrator.summarizer.results.found_search import FoundSearch
from orchestrator.summarizer.results.groups import SearchGroup, described, method_title, other_metrics, other_rows, pick
from orchestrator.summarizer.results.interquartile_means import InterquartileMean
from orchestrator.summarizer.results.method_comparisons import Comparison, notes_on
from orchestrator.summarizer.results.published import metric_key
from orchestrator.summarizer.results.seed_statistics import estimate
from orchestrator.summarizer.tables.cells import EMPTY, measured_cell, other_settings, worth_row
from orchestrator.summarizer.tables.highlights import LEGEND, highlighted
from orchestrator.summarizer.tables.missing_cells import Gap, commands, gaps_of
from orchestrator.summarizer.tables.model import Cell, Column, ReportTable, Row, table_of

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
            differing = [("metric differs", other_metrics(found)), ("rows differ", other_rows(found))]
            apart = [f"its {what} between methods ({why})" for what, why in differing if why]
            notes += [f"{task} on {backbone}: {why}, so no mark is set." for why in apart]
            columns.append(cells if apart else highlighted(cells))
        for place, method in enumerate(methods):
            cells = [Cell(method_title(method)), *(column[place] for column in columns)]
            rows.append(Row(tuple(cells), f"measured on {backbone}"))
    rows.append(worth_row([group.one_example for group in groups if group.task == task] for task in tasks))
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
        commands(gaps, unfinished),
    )


def score_table(groups: Sequence[SearchGroup]) -> ReportTable:
    """One row for each group: its seeds, mean, deviation, interval, and what a score on its test split is worth."""
    rows: list[dict[str, Cell | str]] = []
    for group in groups:
        by_seed = group.scores()
        result = estimate(list(by_seed.values()))
        record = group.newest.record
        n = record.test.n if record.test is not None else None
        beside = [other for other in groups if (other.task, other.method, other.backbone) == _key(group)]
        rows.append({
            "task": group.title,
            "method": method_title(group.method),
            "backbone": group.backbone,
            "metric": metric_key(group.metric),
            "seeds": ", ".join(map(str, by_seed)),
            "mean": replace(measured_cell(result, group.metric, group.one_example), spread=""),
            "sd": formats.score(result.sd),
            "95 % interval": formats.between(result.low, result.high),
            "n": formats.whole(n),
            "one example": formats.points(group.one_example),
            "interval of one seed": formats.between(*(interval(result.mean, n, group.metric) or (None, None))),
            "constant answer": formats.score(record.majority.get("test")),
            "parameters": ", ".join(formats.whole(count) for count in group.parameters) or formats.MISSING,
            "trained with": described(group, beside) if len(beside) > 1 else formats.pairs(_budget(group)),
        })  # fmt: skip
    note = (
        "mean, sd and 95 % interval: over seeds (Student's t; none for one seed). Interval of one seed: Wilson's 95 % "
        "interval for the mean as if one model had scored it on n examples. Constant answer: the best score without "
        "looking at the input. One example: points that one of n test examples is worth."
    )
    texts = ("task", "method", "backbone", "metric", "trained with", "seeds")
    return table_of("scores", "Test scores with their intervals", rows, texts=texts, notes=[note])


def comparison_table(
    found: Sequence[Comparison], notes: Sequence[str] = (), titles: Mapping[str, str] | None = None
) -> ReportTable:
    """One row for each pair of methods and task, by its title; over tasks last."""
    titles = titles or {}
    names = ("task", "methods", "backbone", "pairs", "difference", "95 % interval", "p", "p (Holm)", "one example",
             "verdict", "because")  # fmt: skip
    rows: list[dict[str, Cell | str]] = [
        {
            "task": titles.get(one.task, one.task) or "all tasks of both",
            "methods": f"{method_title(one.first)} less {method_title(one.second)}",
            "backbone": one.backbone,
            "pairs": str(one.pairs),
            "difference": Cell(formats.score(one.difference, signed=True), value=one.difference),
            "95 % interval": formats.between(one.low, one.high, signed=True),
            "p": formats.probability(one.p),
            "p (Holm)": formats.probability(one.p_holm),
            "one example": formats.points(one.one_example),
            "verdict": one.verdict,
            "because": one.why,
        }
        for one in found
    ]
    kinds = [text for kind, text in _INTERVALS.items() if any(one.interval == kind for one in found)]
    below = [
        "p: two-sided sign-flip permutation test on paired seeds. A difference below one example is never a verdict."
    ]
    below += [f"Intervals: {'; '.join(kinds)}."] if kinds else []
    return table_of(
        "comparisons",
        "Methods against each other",
        rows,
        texts=("task", "methods", "backbone", "verdict", "because"),
        names=names,
        sections=["Task by task" if one.task else "Over tasks" for one in found],
        notes=(*below, *notes_on(found), *notes),
    )


def interquartile_table(found: Sequence[InterquartileMean], titles: Mapping[str, str] | None = None) -> ReportTable:
    """The interquartile mean of each method, over tasks by their titles."""
    titles, cells = titles or {}, list[Cell]()
    found = sorted(found, key=lambda one: [other.backbone for other in found].index(one.backbone))
    for backbone in dict.fromkeys(one.backbone for one in found):
        of = [one for one in found if one.backbone == backbone]
        cells += highlighted([Cell(formats.score(one.iqm), "measured", one.iqm) for one in of])
    rows: list[dict[str, Cell | str]] = [
        {
            "method": method_title(one.method),
            "interquartile mean": cell,
            "95 % interval": formats.between(one.low, one.high),
            "scores": str(one.scores),
            "tasks": ", ".join(titles.get(task, task) for task in one.tasks),
            "note": one.note,
        }
        for one, cell in zip(found, cells, strict=True)
    ]
    note = (
        "The mean of the middle half of all (task, seed) scores, over the tasks that every method of the backbone has."
    )
    title = "Interquartile means over tasks and seeds"
    texts, sections = ("method", "tasks", "note"), [one.backbone for one in found]
    return table_of("interquartile-means", title, rows, texts=texts, sections=sections, notes=[note])


def _cell(groups: Sequence[SearchGroup], task: str, method: str, backbone: str, notes: list[str]) -> Cell:
    group, others = pick(groups, task, method, backbone)
    if group is None:
        return EMPTY
    if others:
        notes.append(other_settings(task, group, others))
    return measured_cell(estimate(list(group.scores().values())), group.metric, group.one_example)


def _gaps(
    groups: Sequence[SearchGroup], row: Sequence[SearchGroup], tasks: Sequence[str], seeds: list[int]
) -> list[Gap]:
    gaps = []
    for task in tasks:
        group, _ = pick(row, task, row[0].method, row[0].backbone)
        # The task file of the cell's own rows where it has some: another file of the task may name others.
        example = (group or next(other for other in groups if other.task == task)).newest
        gaps += gaps_of(task, method_title(row[0].method), task, group, row[0], seeds, example)
    return gaps


def _key(group: SearchGroup) -> tuple[str, str, str]:
    return group.task, group.method, group.backbone


def _budget(group: SearchGroup) -> dict[str, object]:
    budget = {"recipe": group.recipe, "steps": group.settings.get("steps")}
    return {name: value for name, value in budget.items() if value}
