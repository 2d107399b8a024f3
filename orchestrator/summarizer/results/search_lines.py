"""How a search was set up, what it took and how to use its winner, as labelled lines for files, page and terminal."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

from orchestrator.record import formats
from orchestrator.record.record import SearchRecord
from orchestrator.record.secrecy import shown_address
from orchestrator.summarizer.results.compute import budget_of, count_steps
from orchestrator.summarizer.results.ranked_trials import split_configuration
from orchestrator.summarizer.results.rung_ties import RungTie, rung_ties
from trials.tasks.base import template_columns


@dataclass(frozen=True)
class Line:
    """A label with its text, or with ``code``: something to copy and run."""

    label: str
    text: str = ""
    code: str = ""


def setup_lines(record: SearchRecord) -> list[Line]:
    """What was searched, with what budget, on how many examples."""
    settings = dict(record.settings)
    budget, every = settings.pop("steps", None), settings.pop("eval_every", None)
    seeds = sorted({trial.seed for trial in record.trials})
    sizes = ", ".join(f"{split} {formats.whole(n)}" for split, n in record.sizes.items())
    given = "; rows as they were given, perhaps a part of those published" if settings.get("data_sizes") else ""
    _, fixed = split_configuration(record.trials)
    lines = [
        Line("Task", formats.value(record.task) + (f" ({record.title})" if record.task_title != record.task else "")),
        Line("Method", formats.value(record.method)),
        Line("Backbone", formats.value(record.backbone)),
        Line("Recipe", formats.value(record.recipe)),
        Line("Metric", f"{formats.value(record.metric)} (selects on validation)"),
        Line("Examples", (sizes or formats.MISSING) + given),
        Line("Budget", f"{_steps(budget)} a trial, evaluated every {_steps(every)}"),
        Line("Seeds" if len(seeds) > 1 else "Seed", ", ".join(map(str, seeds)) or formats.MISSING),
    ]
    if chosen := record.provenance.get("precision"):
        settings["precision"] = chosen  # with who chose it
    if settings:
        lines.append(Line("Settings", formats.pairs(settings)))
    if fixed:
        lines.append(Line("In every trial", formats.pairs(fixed)))
    return lines


def compute_lines(record: SearchRecord) -> list[Line]:
    """Steps trained against those of all trials trained whole, what ties have to do with it, and time."""
    own = record.own_trials
    count = count_steps(own, budget_of(record))
    again = sum(trial.step for trial in record.trials) - count.trained
    text = f"{formats.whole(count.trained)} steps"
    if count.whole:
        whole = f"{len(own)} trials trained whole" if len(own) > 1 else "one trial trained whole"
        text = f"{formats.whole(count.trained)} of the {formats.whole(count.whole)} steps of {whole}"
        text += f" ({formats.share(count.trained, count.whole)})"
        text += f"; {formats.share(count.early, count.whole)} saved by early stopping"
        if count.other:
            text += f"; {formats.share(count.other, count.whole)} not trained for other reasons"
    if again:
        text += f"; {formats.whole(again)} steps more on further seeds"
    seconds = sum(trial.train_seconds + trial.evaluation_seconds for trial in record.trials)
    evaluation = sum(trial.evaluation_seconds for trial in record.trials)
    ties = [_tie(tie) for tie in rung_ties(record)]
    return [
        Line("Trained", text),
        *([Line("Ties", "; ".join(ties) + _how_to_break_ties(record))] if ties else []),
        Line("Trial time", f"{formats.duration(seconds)}, of which evaluation {formats.duration(evaluation)}"),
        Line("Wall time", formats.duration(record.wall_seconds)),
    ]


def use_lines(record: SearchRecord) -> list[Line]:
    """How to load the winner's adapter and how to browse the runs."""
    lines: list[Line] = []
    if record.adapter:
        columns = template_columns(str(record.provenance.get("template", "{text}")))
        rows = ["..."] if len(columns) == 1 else [dict.fromkeys(columns, "...")]
        call = f"from trials import load_adapter; load_adapter({record.adapter!r}).predict({rows!r})"
        lines += [Line("Adapter", record.adapter), Line("Load it", code=call)]
    if record.tracking_uri:
        uri = shown_address(record.tracking_uri)
        if uri.startswith(("http://", "https://")):
            lines.append(Line("Browse the runs", uri))
        else:
            lines.append(Line("Browse the runs", code=f"mlflow ui --backend-store-uri {shlex.quote(uri)}"))
    return lines


def _steps(count: Any) -> str:
    return f"{formats.value(count)} steps"


def _tie(tie: RungTie) -> str:
    text = f"at step {tie.step:,} {tie.tied} of {tie.there} trials were equal at {formats.score(tie.score)}, and equal "
    return text + f"scores go on together: {tie.tied + tie.above} went on, not {tie.places}"


def _how_to_break_ties(record: SearchRecord) -> str:
    """The option by which equal scores do not tie, where the record has the losses that it needs."""
    known = any("validation/loss" in report for trial in record.own_trials for report in trial.reports)
    if record.settings.get("scheduler") not in ("asha", "promotion") or not known:
        return ""
    return "; with --ties loss their validation losses decide"
