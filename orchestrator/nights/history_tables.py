"""The nights of a sweep as tables: the last one, scores by night, alarms, champions, and what changed."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.nights.changes import changes
from orchestrator.nights.night import Cell, CellStatus, Night
from orchestrator.nights.night_files import KeptNight
from orchestrator.nights.verdict import Finding, Outcome, Quantity
from orchestrator.record import formats
from orchestrator.summarizer.tables import model
from orchestrator.summarizer.tables.model import ReportTable, Row, columns, table_of
from orchestrator.sweep.cells import CellKey

ORDER = tuple(Outcome)
MARKS = {Outcome.WORSE: "!", Outcome.UNSURE: "?", Outcome.STANDING: "-", Outcome.BETTER: "+"}
_MARKED = (
    "! an alarm of that night; ? may be worse; - still worse; + better; = taken over: nothing that decides it has "
    "changed, so it did not train."
)


def history_tables(kept: Sequence[KeptNight]) -> tuple[ReportTable, ...]:
    """All tables of these nights, sorted; there is at least one night. Tables without a row are left out."""
    tables = (last_night(kept), nights_table(kept), alarms(kept), champions(kept), changes_table(kept))
    return tuple(table for table in tables if table.rows)


def verdict_of(kept: KeptNight) -> str:
    """A night's verdict in a few words."""
    if kept.verdict is None:
        return "not judged"
    if kept.verdict.worse:
        return f"{len(kept.verdict.worse)} worse"
    if failed := {one.key for one in kept.verdict.findings if one.outcome is Outcome.FAILED}:
        return f"{len(failed)} failed"
    if unsure := [one for one in kept.verdict.findings if one.outcome is Outcome.UNSURE]:
        return f"{len(unsure)} may be worse"
    return "fine" if kept.verdict.exit_code == 0 else "nothing compared"


def findings(kept: KeptNight, key: CellKey, quantity: Quantity | None = None) -> list[Finding]:
    """What was found of a cell in a night, the gravest first."""
    all_of = kept.verdict.findings if kept.verdict else ()
    its = [one for one in all_of if one.key == key and quantity in (None, one.quantity)]
    return sorted(its, key=lambda one: ORDER.index(one.outcome))


def cell_keys(kept: Sequence[KeptNight]) -> list[CellKey]:
    """All cells of these nights, in the order of the last night that has them."""
    return list(dict.fromkeys(cell.key for one in reversed(kept) for cell in one.night.cells))


def relative_speed(night: Night, cell: Cell) -> float | None:
    """Updates for each of the calibration kernel, as nights are compared; None where either was not measured."""
    return cell.updates_per_second / night.calibration if cell.updates_per_second and night.calibration else None


def last_night(kept: Sequence[KeptNight]) -> ReportTable:
    """A row for each cell of the last night, beside what it was before."""
    last = kept[-1]
    rows = [_last_row(kept, cell) for cell in last.night.cells]
    title = f"Night of {last.night.date}: {verdict_of(last)}"
    notes = ["Before: the night before in which the cell was measured. Speed: relative to the calibration kernel."]
    if all(relative_speed(last.night, cell) is None for cell in last.night.cells):
        notes[0] = notes[0].partition(" Speed")[0]
    texts = ("task", "method", "backbone", "verdict")
    return table_of("last-night", title, rows, texts=texts, names=texts, notes=notes)


def _last_row(kept: Sequence[KeptNight], cell: Cell) -> dict[str, model.Cell | str]:
    night = kept[-1].night
    earlier = [(one.night, found) for one in kept[:-1] if (found := one.night.cell(cell.key))]
    before = next((found for _, found in reversed(earlier) if found.score is not None), None)
    speeds = [speed for past, found in earlier if (speed := relative_speed(past, found))]
    speed, score = relative_speed(night, cell), cell.score
    was = before.score if before else None
    delta = score - was if score is not None and was is not None else None
    quicker = 100 * (speed / speeds[-1] - 1) if speed and speeds else None
    judged = findings(kept[-1], cell.key)
    outcomes = sorted({one.outcome for one in judged}, key=ORDER.index)
    words = ", ".join(f"{one.quantity} worse" for one in judged if one.outcome is Outcome.WORSE)
    return {
        "task": cell.key.task,
        "method": cell.key.method,
        "backbone": cell.key.backbone,
        "score": model.Cell(formats.score(score), "measured" if score is not None else "missing", score),
        "n": formats.whole(sum(one.n for one in cell.scores)) if cell.scores else formats.MISSING,
        "before": model.Cell(formats.score(was), value=was),
        "difference": model.Cell(formats.score(delta, signed=True), value=delta),
        "speed": model.Cell(formats.MISSING if quicker is None else f"{quicker:+.1f} %", value=quicker),
        "memory": _memory(cell.peak_memory),
        "verdict": words or (outcomes[0].value if outcomes else _unfinished(cell)),
    }


def _unfinished(cell: Cell) -> str:
    return cell.status.value + (f": {formats.line(cell.why)}" if cell.why else "")


def _memory(size: float | None) -> model.Cell:
    return model.Cell(formats.MISSING if size is None else f"{size / 2**20:,.0f} MiB", value=size)


def nights_table(kept: Sequence[KeptNight]) -> ReportTable:
    """A row for each night, the last one first, with a column for each cell."""
    keys = cell_keys(kept)
    several = len({key.backbone for key in keys}) > 1
    headings = [model.Column(key.method + (f" on {key.backbone}" if several else ""), group=key.task) for key in keys]
    rows = [
        Row((model.Cell(one.night.date), model.Cell(verdict_of(one)), *(_score_in(one, key) for key in keys)))
        for one in reversed(kept)
    ]
    columns_ = (*columns(("night", "verdict"), texts=("night", "verdict")), *headings)
    return ReportTable("nights", "Test scores by night", columns_, tuple(rows), (_MARKED,))


def _score_in(kept: KeptNight, key: CellKey) -> model.Cell:
    cell = kept.night.cell(key)
    if cell is None:
        return model.Cell("", "missing")
    if cell.score is None:
        return model.Cell(cell.status.value, "missing")
    found = findings(kept, key)
    mark = MARKS.get(found[0].outcome, "") if found else ""
    taken = "=" if cell.status is CellStatus.TAKEN_OVER else ""
    return model.Cell(f"{formats.score(cell.score)}{taken}{mark}", "measured", cell.score)


def alarms(kept: Sequence[KeptNight]) -> ReportTable:
    """A row for each alarm, the last night's first."""
    rows = [
        {
            "night": one.night.date,
            "cell": str(found.key),
            "quantity": found.quantity.value,
            "alarm": found.sentence or "worse",
            "since": found.since or formats.MISSING,
        }
        for one in reversed(kept)
        for found in (one.verdict.worse if one.verdict else ())
    ]
    names = ("night", "cell", "quantity", "since", "alarm")
    ordered = [{name: row[name] for name in names} for row in rows]
    return table_of("alarms", "Alarms", ordered, texts=names, names=names)


def champions(kept: Sequence[KeptNight]) -> ReportTable:
    """The champions after the last night that wrote some, and since when each is one."""
    names = ("task", "backbone", "method", "score", "since", "configuration")
    last = next((one for one in reversed(kept) if one.champions), None)
    rows: list[dict[str, model.Cell | str]] = [
        {
            "task": cell.key.task,
            "backbone": cell.key.backbone,
            "method": cell.key.method,
            "score": model.Cell(formats.score(cell.score), "measured", cell.score),
            "since": cell.measured_on or formats.MISSING,
            "configuration": formats.pairs(dict(cell.configuration)) or formats.MISSING,
        }
        for cell in (last.champions if last else ())
    ]
    notes = [f"{one.night.date}: {note}" for one in reversed(kept) for note in one.notes]
    return table_of("champions", "Champions", rows, texts=set(names) - {"score"}, names=names, notes=notes)


def changes_table(kept: Sequence[KeptNight]) -> ReportTable:
    """A row for each change, the last night's first."""
    names = ("night", "kind", "what", "before", "now")
    found = changes([one.night for one in kept])
    dates = sorted({one.date for one in found}, reverse=True)
    rows = [
        {"night": one.date, "kind": one.kind, "what": one.what, "before": one.before or formats.MISSING,
         "now": one.now or formats.MISSING}
        for date in dates for one in found if one.date == date
    ]  # fmt: skip
    return table_of("changes", "What changed from night to night", rows, texts=names, names=names)
