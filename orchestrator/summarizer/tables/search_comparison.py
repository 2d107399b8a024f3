"""Two sets of searches side by side: what differs in their scores, in their trials, and in how they were run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from orchestrator.record import formats
from orchestrator.record.binomial import one_example
from orchestrator.record.kept_data import FILES, identity, rows_differ
from orchestrator.record.record import SearchRecord
from orchestrator.summarizer.report_results import ReportResults
from orchestrator.summarizer.results.found_search import FoundSearch, canonical
from orchestrator.summarizer.results.groups import SearchGroup, make_groups, method_title, other_rows
from orchestrator.summarizer.results.method_comparisons import Comparison
from orchestrator.summarizer.results.paired_groups import GroupPair, common, compared_pairs
from orchestrator.summarizer.results.seed_statistics import ALPHA, difference_interval, estimate, sign_flip
from orchestrator.summarizer.tables.cells import EMPTY, measured_cell
from orchestrator.summarizer.tables.model import Cell, Column, ReportTable, Row, table_of
from orchestrator.summarizer.tables.search_tables import spent

_NOT_SETTINGS = ("command", "started", "memory")  # of the provenance: they differ between any two searches


def compare_searches(
    first: Sequence[FoundSearch], second: Sequence[FoundSearch], names: tuple[str, str]
) -> ReportResults:
    """Tables of A and B: differences with tests, trials of the same configuration, changed settings, compute.

    Args:
        names: what A and B are called.
    """
    (of_a, left_of_a), (of_b, left_of_b) = make_groups(first), make_groups(second)
    pairs = list(common(of_a, of_b))
    records = _matched(first, second)
    compared, reasons = compared_pairs(pairs)
    title = f"A: {formats.line(names[0])}. B: {formats.line(names[1])}."
    tables = [_differences(pairs, compared, reasons, title)]
    alike = [(one, other) for one, other in records if not rows_differ(one, other)]
    tables += [_trials(alike)] if alike else []
    tables += [_settings(records), _compute(records)] if records else []
    notes = (title, *reasons.values(), *_only(of_a, of_b, "A"), *_only(of_b, of_a, "B"))
    searches = (*first, *second)
    return ReportResults(
        searches, (*of_a, *of_b), tuple(compared), (), tuple(tables), (), notes, (*left_of_a, *left_of_b)
    )


def verdict_of(results: ReportResults) -> tuple[int, list[str]]:
    """The outcome of a comparison as an exit code, and the reasons, a sentence each.

    0: nothing that was compared is worse in B beyond noise. 1: something is. 3: nothing could be compared.
    """
    worse = [one for one in results.comparisons if one.verdict == "lower"]
    if worse:
        return 1, [
            f"Worse beyond noise: {one.task or 'over all tasks'}, {one.first.removeprefix('B: ')}: "
            f"{formats.score(one.difference, signed=True)} points ({one.why})."
            for one in worse
        ]
    if any(_is_decided(one) for one in results.comparisons):
        return 0, []
    why = [f"{one.task or 'over all tasks'}, {one.first.removeprefix('B: ')}: {one.why}" for one in results.comparisons]
    return 3, [
        f"nothing could be compared: {'; '.join(why) or 'A and B have no test score in common.'}",
        *results.notes[1:],
    ]


def _is_decided(one: Comparison) -> bool:
    """Whether there was a test that could have found a difference, or none was needed for one this small."""
    return one.smallest_p <= ALPHA or (one.one_example is not None and abs(one.difference) < one.one_example)


def _differences(
    pairs: Sequence[GroupPair], compared: Sequence[Comparison], reasons: Mapping[tuple[str, str, str], str], title: str
) -> ReportTable:
    rows: list[dict[str, Cell | str]] = []
    for pair in pairs:
        group, metric = pair.first, pair.first.metric
        label = f"B: {group.method} on {group.backbone}"
        test = next((one for one in compared if (one.task, one.first) == (group.task, label)), None)
        a, b = (list(side.scores(metric).values()) for side in (pair.first, pair.second))
        reason = reasons.get((group.task, group.method, group.backbone), "")
        if test is not None:
            difference: float | None = test.difference  # over the seeds of both, as its interval and its p
        else:
            apart = not b or other_rows([pair.first, pair.second])
            difference = None if apart else fmean(b) - fmean(a)
        rows.append({
            "task": group.title,
            "method": method_title(group.method),
            "backbone": group.backbone,
            "A": measured_cell(estimate(a), metric, pair.first.one_example),
            "B": measured_cell(estimate(b), metric, pair.second.one_example_of(metric)) if b else EMPTY,
            **_verdict(test, difference, reason.rpartition("not compared, ")[2].rstrip(".")),
        })  # fmt: skip
    means_over_tasks = [one for one in compared if not one.task]
    for one in means_over_tasks:
        identity = {"task": "all tasks of both", "method": one.first.removeprefix("B: "), "backbone": one.backbone}
        rows.append({**identity, "A": formats.MISSING, "B": formats.MISSING, **_verdict(one, one.difference)})
    notes = (
        title,
        "Test scores, mean ± standard deviation over the seeds of a side. B - A and its interval: over those that A "
        "and B share. p: two-sided sign-flip permutation test on these, or where they are too few the test over test "
        "rows that is named, which holds for these trainings alone; after Holm's correction over all rows. A "
        "difference below one example is never a verdict.",
    )
    names = ("task", "method", "backbone", "A", "B", "B - A", "95 % interval", "seeds", "p (Holm)", "one example",
             "verdict", "because")  # fmt: skip
    return table_of(
        "differences",
        "B against A",
        rows,
        texts=("task", "method", "backbone", "verdict", "because"),
        names=names,
        sections=[*[""] * len(pairs), *["Over tasks"] * len(means_over_tasks)],
        notes=notes,
    )


def _verdict(test: Comparison | None, difference: float | None, reason: str = "") -> dict[str, Cell | str]:
    """The columns from the difference on."""
    verdicts = {"higher": "B is higher", "lower": "B is lower"}
    return {
        "B - A": Cell(formats.score(difference, signed=True), value=difference),
        "95 % interval": formats.between(test.low, test.high, signed=True) if test else formats.MISSING,
        "seeds": str(test.pairs) if test else "0",
        "p (Holm)": formats.probability(test.p_holm) if test else formats.MISSING,
        "one example": formats.points(test.one_example) if test else formats.MISSING,
        "verdict": verdicts.get(test.verdict, test.verdict) if test else "not compared",
        "because": test.why if test else reason,
    }


def _matched(first: Sequence[FoundSearch], second: Sequence[FoundSearch]) -> list[tuple[SearchRecord, SearchRecord]]:
    """Searches of the same task, method, backbone and seed on both sides; the newest of each, tested or not."""
    of_a, of_b = ({_identity(search): search.record for search in side} for side in (first, second))
    matched = [(of_a[key], of_b[key]) for key in of_a if key in of_b]
    if not matched and len(of_a) == len(of_b) == 1:  # two single searches are meant to be compared whatever they are
        matched = [(next(iter(of_a.values())), next(iter(of_b.values())))]
    return matched


def _trials(records: Sequence[tuple[SearchRecord, SearchRecord]]) -> ReportTable:
    rows = []
    for one, other in records:
        of_a, of_b = _by_configuration(one), _by_configuration(other)
        scores = [(of_a[key], of_b[key]) for key in of_a if key in of_b]
        differences = [b - a for a, b in scores if a is not None and b is not None]
        least = max((one_example(one.sizes.get("validation")) or 0.0) - 1e-9, 1e-9)
        better, worse = (sum(sign * value >= least for value in differences) for sign in (1, -1))
        low, high, _ = (difference_interval([differences]) if differences else None) or (None, None, "")
        rows.append({
            "searches": _both_names(one, other),
            "in both": formats.whole(len(scores)),
            "only in A": formats.whole(len(of_a) - len(scores)),
            "only in B": formats.whole(len(of_b) - len(scores)),
            "B better": formats.whole(better),
            "B worse": formats.whole(worse),
            "level": formats.whole(len(differences) - better - worse),
            "mean B - A": formats.score(fmean(differences) if differences else None, signed=True),
            "95 % interval": formats.between(low, high, signed=True),
            "p": formats.probability(sign_flip([differences])) if differences else formats.MISSING,
        })  # fmt: skip
    note = (
        "Best validation scores of trials with the same configuration and seed. Level: less than one validation "
        "example apart. p: two-sided sign-flip permutation test over configurations, uncorrected."
    )
    return table_of("trials", "The same configurations in A and B", rows, texts=("searches",), notes=[note])


def _settings(records: Sequence[tuple[SearchRecord, SearchRecord]]) -> ReportTable:
    changed: dict[tuple[str, str, str], list[str]] = {}
    for one, other in records:
        for change in _changes(one, other):
            changed.setdefault(change, []).append(_both_names(one, other))
    rows = [
        {"setting": name, "A": a, "B": b, "in": "all" if len(where) == len(records) else ", ".join(where)}
        for (name, a, b), where in changed.items()
    ]
    names = ("setting", "A", "B", "in")
    notes = () if rows else ("A and B were run alike.",)
    return table_of("settings", "What changed in the settings", rows, texts=names, names=names, notes=notes)


def _changes(one: SearchRecord, other: SearchRecord) -> Iterator[tuple[str, str, str]]:
    for name in ("task", "method", "backbone", "recipe", "metric"):
        yield from _change(name, getattr(one, name), getattr(other, name))
    for name in dict.fromkeys([*one.settings, *other.settings]):
        yield from _change(name, one.settings.get(name), other.settings.get(name))
    for name in dict.fromkeys([*one.sizes, *other.sizes]):
        yield from _change(f"{name} examples", one.sizes.get(name), other.sizes.get(name))
    spaces = [{canonical(trial.configuration) for trial in record.trials} for record in (one, other)]
    if spaces[0] != spaces[1]:
        counts = [f"{len(space)}, {len(space - spaces[1 - i])} of them only here" for i, space in enumerate(spaces)]
        yield "configurations", counts[0], counts[1]
    for name in dict.fromkeys([*one.provenance, *other.provenance]):
        if name not in (*_NOT_SETTINGS, FILES):
            yield from _change(name, one.provenance.get(name), other.provenance.get(name))
    for split, file, a, b in identity(one).differing(identity(other)):
        yield from _change(f"{split}: {file}", a, b)


def _change(name: str, a: Any, b: Any) -> Iterator[tuple[str, str, str]]:
    if a != b:
        yield name, formats.value(a), formats.value(b)


def _compute(records: Sequence[tuple[SearchRecord, SearchRecord]]) -> ReportTable:
    rows = []
    for one, other in records:
        took = spent(one), spent(other)
        cells = [Cell(_both_names(one, other))]
        for a, b in ((took[0].steps, took[1].steps), (took[0].early, took[1].early)):
            cells += [Cell(formats.whole(a)), Cell(formats.whole(b))]
        cells += [Cell(formats.duration(part.device_seconds)) for part in took]
        cells += [Cell(formats.duration(record.wall_seconds)) for record in (one, other)]
        rows.append(Row(tuple(cells)))
    kinds = ("steps", "steps saved by early stopping", "device time", "wall time")
    columns = [Column("searches", numeric=False), *(Column(side, kind) for kind in kinds for side in ("A", "B"))]
    return ReportTable("compute", "Compute of A and B", tuple(columns), tuple(rows))


def _only(first: Sequence[SearchGroup], second: Sequence[SearchGroup], side: str) -> list[str]:
    there = {(group.task, group.method, group.backbone) for group in second}
    missing = [group for group in first if (group.task, group.method, group.backbone) not in there]
    return [f"Only in {side}: {g.task}, {method_title(g.method)} on {g.backbone}." for g in missing]


def _identity(search: FoundSearch) -> tuple[str, str, str, int | None]:
    return search.record.task, search.record.method, search.record.backbone, search.seed


def _by_configuration(record: SearchRecord) -> dict[tuple[str, int], float | None]:
    return {(canonical(trial.configuration), trial.seed): trial.best_score for trial in record.trials}


def _both_names(one: SearchRecord, other: SearchRecord) -> str:
    return one.name if one.name == other.name else f"{one.name} and {other.name}"
