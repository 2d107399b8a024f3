"""What a summary says, as plain strings: the files and the terminal print the same facts and differ in form alone."""

from __future__ import annotations

import json
import shlex
import statistics
from dataclasses import dataclass, fields
from typing import Any

from orchestrator.record import formats
from orchestrator.record.binomial import interval, is_extreme, standard_error
from orchestrator.record.record import SearchRecord, TrialRecord
from orchestrator.record.secrecy import shown_address
from orchestrator.record.selection import Choice
from orchestrator.record.status import TrialStatus
from orchestrator.summarizer.results import winner_check
from orchestrator.summarizer.results.published import PublishedRow, backbone_key, method_key, metric_key, printed
from orchestrator.summarizer.results.rung_ties import Tie, ties
from orchestrator.summarizer.results.seed_statistics import estimate
from trials.tasks.base import template_columns


@dataclass(frozen=True)
class Fact:
    """One line of a summary; ``code`` is something to copy and run."""

    label: str
    text: str = ""
    code: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of plain cells; ``numeric`` says which columns are aligned to the right."""

    columns: list[str]
    numeric: list[bool]
    rows: list[list[str]]


def header(record: SearchRecord) -> list[Fact]:
    """What was searched, with what budget, on how many examples."""
    settings = dict(record.settings)
    budget, every = settings.pop("steps", None), settings.pop("eval_every", None)
    seeds = sorted({trial.seed for trial in record.trials})
    sizes = ", ".join(f"{split} {formats.whole(n)}" for split, n in record.sizes.items())
    _, fixed = split_configuration(record.trials)
    facts = [
        Fact("Task", formats.value(record.task) + (f" ({record.title})" if record.task_title != record.task else "")),
        Fact("Method", formats.value(record.method)),
        Fact("Backbone", formats.value(record.backbone)),
        Fact("Recipe", formats.value(record.recipe)),
        Fact("Metric", f"{formats.value(record.metric)} (selects on validation)"),
        Fact("Examples", sizes or formats.MISSING),
        Fact("Budget", f"{_steps(budget)} a trial, evaluated every {_steps(every)}"),
        Fact("Seeds" if len(seeds) > 1 else "Seed", ", ".join(map(str, seeds)) or formats.MISSING),
    ]
    if settings:
        facts.append(Fact("Settings", formats.pairs(settings)))
    if fixed:
        facts.append(Fact("In every trial", formats.pairs(fixed)))
    return facts


def split_configuration(trials: list[TrialRecord]) -> tuple[list[str], dict[str, Any]]:
    """The configuration's names that differ between trials, and those that do not with their values."""
    names = list(dict.fromkeys(name for trial in trials for name in trial.configuration))
    values = {name: {json.dumps(t.configuration.get(name), default=str) for t in trials} for name in names}
    varying = [name for name in names if len(values[name]) > 1]
    if not varying:  # a search of one trial: its configuration is the row
        return names, {}
    return varying, {name: trials[0].configuration[name] for name in names if name not in varying}


def trial_table(record: SearchRecord, choice: Choice) -> Table:
    """All trials, ranked."""
    names, _ = split_configuration(record.trials)
    seeds = len({trial.seed for trial in record.trials}) > 1
    near = {trial.trial_id for trial in choice.not_distinguishable}
    columns = ["rank", "trial", *names, *(["seed"] if seeds else [])]
    columns += ["parameters", "best", *(["mean"] if choice.candidates else [])]
    columns += ["at step", "last step", "train s", "status", "why"]
    text = {name for name in names if any(_is_text(trial.configuration.get(name)) for trial in record.trials)}
    text |= {"rank", "status", "why"}
    rows = []
    for rank, trial in enumerate(choice.ranking, 1):
        mark = " *" if choice.wins(trial) else " =" if trial.trial_id in near else ""
        rows.append(
            [
                str(rank) + mark,
                str(trial.number),
                *(formats.value(trial.configuration.get(name)) for name in names),
                *([str(trial.seed)] if seeds else []),
                formats.whole(record.parameters.get(trial.number)),
                formats.score(trial.best_score),
                *([formats.score(choice.mean(trial))] if choice.candidates else []),
                formats.whole(trial.best_step),
                formats.whole(trial.step),
                f"{trial.train_seconds:,.1f}" if trial.train_seconds < 100 else formats.whole(trial.train_seconds),
                trial.status,
                formats.shortened(trial.reason or trial.error, 200),
            ]
        )
    return Table(columns, [name not in text for name in columns], rows)


def winner(record: SearchRecord, choice: Choice) -> list[Fact]:
    """The winner, its test score with what that is worth, and the paper's number."""
    best = choice.winner
    facts = [Fact("Finding", winner_check.find(record, choice).headline)] if best is not None else []
    if best is not None:
        n, error, wilson = record.sizes.get("validation"), choice.standard_error, None
        if choice.candidates:
            score = f"{record.metric} {over_seeds({t.seed: t.best_score or 0.0 for t in choice.seeds})}"
            which = f"trials {', '.join(str(trial.number) for trial in choice.seeds)}"
        else:
            score = f"{record.metric} {formats.score(best.best_score)} at step {formats.whole(best.best_step)}"
            which = f"trial {best.number}"
            if is_extreme(best.best_score or 0.0):
                error, wilson = None, interval(best.best_score or 0.0, n, record.metric)
        facts += [
            Fact("Winner", f"{which}: {formats.pairs(best.configuration)}"),
            Fact("Validation", score + _worth(n, choice.one_example, error, wilson)),
            Fact("Not distinguishable", _near(choice)),
        ]
    if choice.note:
        facts.append(Fact("Note", choice.note))
    facts.append(Fact("Test", _test(record, best)))
    own = record.own_trials
    scores = [trial.best_score for trial in own if trial.best_score is not None]
    if scores:
        on = f" on seed {record.seed}" if len(own) < len(record.trials) else ""
        of = f"best validation scores of {len(scores)} of {len(own)} trials{on}"
        median = f"{formats.score(statistics.median(scores))} ({of})"
        facts.append(Fact("Median", median))
    facts.append(Fact("Paper", _paper(record)))
    return facts


def over_seeds(scores: dict[int, float]) -> str:
    """Mean, deviation and interval of scores by seed: ``mean 55.1, deviation 0.6 over 3 seeds (42: 55.7, ...)``."""
    result = estimate(list(scores.values()))
    each = ", ".join(f"{seed}: {formats.score(score)}" for seed, score in scores.items())
    text = f"mean {formats.score(result.mean)}, deviation {formats.score(result.sd)} over {result.n} seeds ({each})"
    if result.low is not None and result.high is not None:
        low, high = max(0.0, result.low), min(100.0, result.high)  # few seeds reach beyond what a score can be
        text += f", 95 % interval of the mean {formats.score(low)} to {formats.score(high)}"
    return text


def compute(record: SearchRecord) -> list[Fact]:
    """Steps trained against those of all trials trained whole, what ties have to do with it, and time."""
    own = record.own_trials
    trained, again = sum(t.step for t in own), sum(t.step for t in record.trials) - sum(t.step for t in own)
    budget = int(record.settings.get("steps") or 0)
    text = f"{formats.whole(trained)} steps"
    if budget and own:
        grid = budget * len(own)
        stopped = sum(max(budget - t.step, 0) for t in own if t.status is TrialStatus.STOPPED_EARLY)
        other = sum(max(budget - t.step, 0) for t in own) - stopped
        whole = f"{len(own)} trials trained whole" if len(own) > 1 else "one trial trained whole"
        text = f"{formats.whole(trained)} of the {formats.whole(grid)} steps of {whole} ({_share(trained, grid)})"
        text += f"; {_share(stopped, grid)} saved by early stopping"
        if other:
            text += f"; {_share(other, grid)} not trained for other reasons"
    if again:
        text += f"; {formats.whole(again)} steps more on further seeds"
    seconds = sum(trial.train_seconds + trial.evaluation_seconds for trial in record.trials)
    evaluation = sum(trial.evaluation_seconds for trial in record.trials)
    return [
        Fact("Trained", text),
        *([Fact("Ties", "; ".join(told) + _way_out(record))] if (told := [_tie(tie) for tie in ties(record)]) else []),
        Fact("Trial time", f"{formats.duration(seconds)}, of which evaluation {formats.duration(evaluation)}"),
        Fact("Wall time", formats.duration(record.wall_seconds)),
    ]


def use(record: SearchRecord) -> list[Fact]:
    """How to load the winner's adapter and how to browse the runs."""
    facts = []
    if record.adapter:
        columns = template_columns(str(record.provenance.get("template", "{text}")))
        rows = ["..."] if len(columns) == 1 else [dict.fromkeys(columns, "...")]
        call = f"from trials import load_adapter; load_adapter({record.adapter!r}).predict({rows!r})"
        facts += [Fact("Adapter", record.adapter), Fact("Load it", code=call)]
    if record.tracking_uri:
        uri = shown_address(record.tracking_uri)
        if uri.startswith(("http://", "https://")):
            facts.append(Fact("Browse the runs", uri))
        else:
            facts.append(Fact("Browse the runs", code=f"mlflow ui --backend-store-uri {shlex.quote(uri)}"))
    return facts


def quoted(record: SearchRecord) -> list[PublishedRow]:
    """The record's rows of the paper, without keys that this version does not know and rows that it cannot read."""
    known = {f.name for f in fields(PublishedRow)}
    return [PublishedRow(**{name: row[name] for name in known}) for row in record.published if known <= row.keys()]


def quoted_table(record: SearchRecord) -> Table:
    """What the paper prints for this task, all methods."""
    columns = ["method", "setting", "backbone", "parameters", "metric", "score", "± (3 runs)", "paper's table"]
    rows = [
        [
            row.method,
            row.setting.replace("_", " "),
            row.backbone,
            row.parameters or formats.MISSING,
            row.metric,
            printed(row.value, row.metric),
            formats.score(row.std),
            str(row.table),
        ]
        for row in quoted(record)
    ]
    return Table(columns, [name in ("parameters", "score", "± (3 runs)", "paper's table") for name in columns], rows)


def _steps(count: Any) -> str:
    return f"{formats.value(count)} steps"


def _tie(tie: Tie) -> str:
    text = f"at step {tie.step:,} {tie.tied} of {tie.there} trials were equal at {formats.score(tie.score)}, and equal "
    return text + f"scores go on together: {tie.tied + tie.above} went on, not {tie.places}"


def _way_out(record: SearchRecord) -> str:
    """How equal scores would have been told apart, where they can be."""
    known = any("validation/loss" in report for trial in record.own_trials for report in trial.reports)
    if record.settings.get("scheduler") not in ("asha", "promotion") or not known:
        return ""
    return "; --ties loss tells them apart by their validation losses"


def _share(part: float, of: float) -> str:
    return f"{100.0 * part / of:.1f} %"


def _is_text(thing: Any) -> bool:
    return thing is not None and not isinstance(thing, int | float)


def _worth(n: int | None, example: float | None, error: float | None, wilson: tuple[float, float] | None = None) -> str:
    parts = [f"n {formats.whole(n)}"] if n else []
    parts += [f"one example is {example:.2f} points"] if example and n else []
    parts += [f"standard error {formats.score(error)}"] if error is not None else []
    parts += [f"Wilson's 95 % interval {formats.score(wilson[0])} to {formats.score(wilson[1])}"] if wilson else []
    return f" ({', '.join(parts)})" if parts else ""


def _near(choice: Choice) -> str:
    if choice.one_example is None:
        return "not known: the record has no number of validation examples"
    others = [t for t in choice.ranking if t.may_win and not choice.wins(t)]
    if not others:
        return "no other trial has a score to compare with"
    if not choice.not_distinguishable:
        which = "the other trial is" if len(others) == 1 else f"all {len(others)} other trials are"
        reach = "one example and one standard error" if choice.standard_error is not None else "one example"
        above = (
            any((t.best_score or 0.0) > (choice.winner.best_score or 0.0) for t in others) if choice.winner else False
        )
        return f"none: {which} more than {reach} {'away' if above else 'below'}"
    reach = " or one standard error" if choice.standard_error is not None else ""
    numbers = ", ".join(str(trial.number) for trial in choice.not_distinguishable)
    return f"from trial {numbers} (marked =): within one validation example{reach}"


def _test(record: SearchRecord, best: TrialRecord | None) -> str:
    test = record.test
    if test is None:
        return "not read" if best else "not read: there is no winner"
    if record.seed_tests:
        return _tests(record)
    error, wilson = standard_error(test.score, test.n, record.metric), interval(test.score, test.n, record.metric)
    error = None if is_extreme(test.score) else error
    text = f"{record.metric} {formats.score(test.score)}, read once, from the checkpoint of step {test.step:,}"
    if best is None or test.trial_number != best.number:
        text += f" of trial {test.trial_number}, which is not the winner named here"
    text += _worth(test.n, test.one_example, error, wilson)
    others = {name: value for name, value in test.metrics.items() if metric_key(name) != metric_key(record.metric)}
    if others:
        text += "; " + ", ".join(f"{metric_key(name)} {formats.score(value)}" for name, value in others.items())
    if "test" in record.majority:
        text += f"; the constant best answer scores {formats.score(record.majority['test'])}"
    return text


def _tests(record: SearchRecord) -> str:
    tests = record.tests
    seeds = {trial.number: trial.seed for trial in record.trials}
    text = f"{record.metric} {over_seeds({seeds[test.trial_number]: test.score for test in tests})}"
    text += ", read once a seed, from the best checkpoint of each" + _worth(tests[0].n, tests[0].one_example, None)
    for name, mean in mean_metrics(record).items():
        if name != metric_key(record.metric):
            text += f"; {name} {formats.score(mean)}"
    if "test" in record.majority:
        text += f"; the constant best answer scores {formats.score(record.majority['test'])}"
    return text


def mean_metrics(record: SearchRecord) -> dict[str, float]:
    """Test scores by the paper's name of the metric, as means over the seeds that were tested."""
    found: dict[str, list[float]] = {}
    for test in record.tests:
        for name, value in {record.metric: test.score, **test.metrics}.items():
            found.setdefault(metric_key(name), []).append(value)
    return {name: statistics.fmean(values) for name, values in found.items()}


def _paper(record: SearchRecord) -> str:
    rows = [row for row in quoted(record) if method_key(row.method) == method_key(record.method)]
    same = [row for row in rows if backbone_key(row.backbone) == backbone_key(record.backbone)]
    if not rows:
        return "has no number for this task and method"
    texts = []
    for row in same or rows:
        spread = f" ± {formats.score(row.std)}" if row.std is not None else ""
        text = f"{row.metric} {printed(row.value, row.metric)}{spread} on {row.backbone}, quoted from Table {row.table}"
        texts.append(text + (_against(record, row) if same else f"; no comparison: ours is on {record.backbone}"))
    return "; ".join(texts)


def _against(record: SearchRecord, row: PublishedRow) -> str:
    """Our test score less the quoted one, with a word on whether that means anything."""
    test, ours = record.test, mean_metrics(record)
    if test is None or row.metric not in ours:
        return f"; no test {row.metric} of ours to set beside it"
    difference = ours[row.metric] - row.value
    error = standard_error(ours[row.metric], test.n, row.metric)
    within = "one example" if abs(difference) < test.one_example else ""
    within = within or ("one standard error" if error is not None and abs(difference) <= error else "")
    verdict = f", within {within}: no difference" if within else ""
    return f"; ours is {formats.score(difference, signed=True)} points from it{verdict}"
