"""The result of a search as labelled lines: the winner, its scores with what they are worth, the paper's number."""

from __future__ import annotations

import statistics

from orchestrator.record import formats
from orchestrator.record.binomial import interval, is_extreme, standard_error
from orchestrator.record.record import SearchRecord, TrialRecord
from orchestrator.record.selection import Choice
from orchestrator.summarizer.results.found_search import FoundSearch
from orchestrator.summarizer.results.grid_edges import edges
from orchestrator.summarizer.results.published import (
    PublishedRow,
    backbone_key,
    from_a_source,
    method_key,
    metric_key,
    on_published_rows,
    printed,
    published_of,
)
from orchestrator.summarizer.results.search_lines import Line
from orchestrator.summarizer.results.seed_statistics import estimate
from orchestrator.summarizer.results.winner_check import check_winner


def result_lines(record: SearchRecord, choice: Choice) -> list[Line]:
    """The winner, its test score with what that is worth, and the paper's number."""
    best = choice.winner
    lines = [Line("Finding", check_winner(record, choice).headline)] if best is not None else []
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
        lines += [
            Line("Winner", f"{which}: {formats.pairs(best.configuration)}"),
            Line("Validation", score + _worth(n, choice.one_example, error, wilson)),
            Line("Not distinguishable", _near(choice)),
        ]
        if beyond := edges(record, choice):
            lines.append(Line("At the edge", "; ".join(beyond)))
    if choice.note:
        lines.append(Line("Note", choice.note))
    lines.append(Line("Test", _test(record, best)))
    own = record.own_trials
    scores = [trial.best_score for trial in own if trial.best_score is not None]
    if scores:
        on = f" on seed {record.seed}" if len(own) < len(record.trials) else ""
        of = f"best validation scores of {len(scores)} of {len(own)} trials{on}"
        median = f"{formats.score(statistics.median(scores))} ({of})"
        lines.append(Line("Median", median))
    lines.append(Line("Paper", _paper(record)))
    return lines


def over_seeds(scores: dict[int, float]) -> str:
    """Mean, deviation and interval of scores by seed: ``mean 55.1, deviation 0.6 over 3 seeds (42: 55.7, ...)``."""
    result = estimate(list(scores.values()))
    each = ", ".join(f"{seed}: {formats.score(score)}" for seed, score in scores.items())
    text = f"mean {formats.score(result.mean)}, deviation {formats.score(result.sd)} over {result.n} seeds ({each})"
    if result.low is not None and result.high is not None:
        low, high = max(0.0, result.low), min(100.0, result.high)  # few seeds reach beyond what a score can be
        text += f", 95 % interval of the mean {formats.score(low)} to {formats.score(high)}"
    return text


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
    rows = [row for row in published_of(record) if method_key(row.method) == method_key(record.method)]
    same = [row for row in rows if backbone_key(row.backbone) == backbone_key(record.backbone)]
    if not rows:
        if from_a_source(record.method, record.settings):
            return "is not quoted: its own trials started from no adapter of another task"
        asked = on_published_rows(record.settings)
        return "has no number for this task and method" if asked else "is not quoted: its rows are others than these"
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
    example = FoundSearch(record, None, "").one_example_of(row.metric) or 0.0  # of this metric, which need not select
    within = "one example" if abs(difference) < example else ""
    within = within or ("one standard error" if error is not None and abs(difference) <= error else "")
    verdict = f", within {within}: no difference" if within else ""
    return f"; ours is {formats.score(difference, signed=True)} points from it{verdict}"
