"""What is known of a search and its trials, as one file of strict JSON that outlives every process of the search."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from orchestrator.record.errors import RecordError
from orchestrator.record.status import TrialStatus
from orchestrator.record.strict_json import decode, encode, write_atomically

_REPORT_KEYS = {"step", "score", "best_score", "best_step", "status", "time"}

RECORD = "search.json"
STARTED = "started"  # the record's key of its date, in ISO 8601

SCHEMA = 1  # raised when a reader of the old form could misread the new one

RENAMED_SETTINGS = {"grace": "grace_period", "eta": "reduction_factor"}
"""Settings of records and journals by the names that earlier versions gave them."""

Report = dict[str, Any]

_STRICT_FIELDS = ConfigDict(extra="forbid")


@dataclass
class TrialRecord:
    """One configuration with one seed, and every report that it made.

    Attributes:
        trial_id: the scheduler's name for the trial.
        number: its place in the grid, from 1.
        configuration: its point of the search space.
        reports: one flat dict an evaluation, in the order in which they were made: ``step``, ``score`` (the selection
            metric on validation, 0 to 100, greater is better), ``best_score``, ``best_step``, ``train/loss``,
            ``validation/loss`` (where the task's answers are few), ``validation/<metric>``, ``learning_rate/<group>``,
            ``seconds/train``, ``seconds/evaluation``, ``status``, and ``time``, when it was made (seconds since 1970;
            older records lack it).
        reason: why a scheduler stopped it, in words.
        error: the exception that ended a failed trial.
        started: when it first got an actor, in seconds since 1970; None before, and in older records.
        ended: when it ended, likewise.
        reruns: how often it was trained from the start again, with all that was known of it forgotten.
    """

    __pydantic_config__ = _STRICT_FIELDS

    trial_id: str
    number: int
    configuration: dict[str, Any]
    seed: int
    status: TrialStatus = TrialStatus.WAITING
    reports: list[Report] = field(default_factory=list)
    reason: str = ""
    error: str = ""
    started: float | None = None
    ended: float | None = None
    reruns: int = 0

    @property
    def step(self) -> int:
        """Updates trained up to the last report; 0 before the first."""
        return int(self.reports[-1]["step"]) if self.reports else 0

    @property
    def best_score(self) -> float | None:
        """The highest finite validation score, in points; None before the first."""
        best = self._best()
        return best[0] if best else None

    @property
    def best_step(self) -> int | None:
        """The first step at which the best score was reached: its checkpoint is the one that a trainer keeps."""
        best = self._best()
        return best[1] if best else None

    @property
    def last_score(self) -> float | None:
        """The validation score of the last report that has a finite one, in points."""
        return next((r["score"] for r in reversed(self.reports) if is_finite(r.get("score"))), None)

    @property
    def may_win(self) -> bool:
        """Whether it has a score, and one that counts."""
        return self.status.may_win and self.best_score is not None

    @property
    def train_seconds(self) -> float:
        """Seconds of training, without evaluation, summed over the reports."""
        return self._seconds("seconds/train")

    @property
    def evaluation_seconds(self) -> float:
        """Seconds of evaluation, summed over the reports."""
        return self._seconds("seconds/evaluation")

    def score_at(self, step: int) -> float | None:
        """The validation score reported at exactly this step, in points; None where there is no finite one.

        A trial that went back to a checkpoint reports some steps twice: the later report counts.
        """
        scores = (r.get("score") for r in reversed(self.reports) if r["step"] == step)
        score = next(scores, None)
        return score if is_finite(score) else None

    def _best(self) -> tuple[float, int] | None:
        # A report carries the trial's own best as well: after a crash it may stand for a report that was lost.
        seen: list[tuple[Any, Any]] = [(r.get("score"), r.get("step")) for r in self.reports]
        seen += [(r.get("best_score"), r.get("best_step")) for r in self.reports]
        finite = [(score, step) for score, step in seen if is_finite(score) and step is not None]
        return max(finite, key=lambda pair: (pair[0], -pair[1]), default=None)

    def _seconds(self, key: str) -> float:
        return float(sum(r[key] for r in self.reports if is_finite(r.get(key))))


@dataclass
class TestResult:
    """The score of one checkpoint of the winner on the test split, read once.

    Attributes:
        trial_number: whose checkpoint was tested.
        score: the selection metric on the test split, in points (0 to 100).
        metrics: every metric of the task on the test split, by its name.
        n: test examples.
        one_example: points that one example is worth.
        step: the step of the checkpoint that was tested.
    """

    __test__ = False  # pytest collects classes by this prefix
    __pydantic_config__ = _STRICT_FIELDS

    trial_number: int
    score: float
    metrics: dict[str, float]
    n: int
    one_example: float
    step: int


@dataclass(kw_only=True)
class SearchRecord:
    """All trials of one (task, method, backbone), how they were run, and the test score of the winner.

    Attributes:
        title: what tables print for the task; empty in older records, which print its name.
        metric: name of the selection metric.
        settings: ``steps`` (the budget of one trial, in updates), ``eval_every``, ``batch_size`` and the like.
        parameters: trainable parameters by trial number.
        sizes: examples of ``train``, ``validation`` and ``test``.
        majority: score of the constant best answer on ``validation`` and ``test``, in points.
        test: of the winner on the search's own seed.
        seed_tests: of the winner's trainings on further seeds.
        wall_seconds: from the first trial's start to the last one's end, summed over restarts.
        provenance: what a reader needs to trust or repeat it (versions, commit, host).
        published: rows of the paper for this task (``summarizer.published``), as dicts.
        adapter: folder of the winner's adapter; empty where none was written.
        data_report: what is in the rows (``trials.data.report.DataReport``); empty where nobody looked.
        predictions: the file beside the record with the winner's answer to each test row; empty where none was kept.
        tracking_uri: where MLflow keeps the runs, without a password; empty where they were not tracked.
        uid: tells the search from all others, of the same name as well; empty in older records.
        experiment: MLflow's, with the search's runs; empty: the one that is named like the task.
        engines: what trained (`record.engines`); empty in older records, and where nothing was trained.
    """

    __pydantic_config__ = _STRICT_FIELDS

    name: str
    task: str
    method: str
    backbone: str
    recipe: str
    metric: str
    settings: dict[str, Any] = field(default_factory=dict)
    parameters: dict[int, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    majority: dict[str, float] = field(default_factory=dict)
    trials: list[TrialRecord] = field(default_factory=list)
    test: TestResult | None = None
    seed_tests: list[TestResult] = field(default_factory=list)
    wall_seconds: float = 0.0
    provenance: dict[str, Any] = field(default_factory=dict)
    published: list[dict[str, Any]] = field(default_factory=list)
    adapter: str = ""
    predictions: str = ""
    title: str = ""
    tracking_uri: str = ""
    data_report: dict[str, Any] = field(default_factory=dict)
    uid: str = ""
    experiment: str = ""
    engines: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.settings = {RENAMED_SETTINGS.get(name, name): value for name, value in self.settings.items()}

    @property
    def task_title(self) -> str:
        """What tables print for the task."""
        return self.title or self.task

    @property
    def seed(self) -> int | None:
        """The search's own seed, on which all configurations were trained: that of the trial with the lowest number."""
        return min(self.trials, key=lambda trial: trial.number).seed if self.trials else None

    @property
    def own_trials(self) -> list[TrialRecord]:
        """The trials on the search's own seed; the others repeat some of them."""
        return [trial for trial in self.trials if trial.seed == self.seed]

    @property
    def tests(self) -> list[TestResult]:
        """All test results, that of the search's own seed first."""
        return [] if self.test is None else [self.test, *self.seed_tests]

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the record in one step; tuples become lists.

        Raises:
            RecordError: something in the record has no JSON form; names every such place. The old file stays.
        """
        document = asdict(self)
        document["parameters"] = {str(number): count for number, count in self.parameters.items()}
        problems: list[str] = []
        plain = {"schema": SCHEMA, **encode(document, "", problems)}
        if problems:
            raise RecordError(f"the record of search {self.name!r} cannot be written as JSON: " + "; ".join(problems))
        return write_atomically(path, json.dumps(plain, indent=1, allow_nan=False, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SearchRecord:
        """Read a record.

        Raises:
            RecordError: no such file, a damaged one, another kind of file, or one of a later version.
        """
        path = Path(path)
        document = _read(path)
        schema = document.pop("schema", None)
        if not isinstance(schema, int):
            raise RecordError(f"{path} is JSON, but not the record of a search: it has no 'schema' number")
        if schema > SCHEMA:
            raise RecordError(
                f"{path} has schema {schema}; this version reads up to {SCHEMA}. Read it with the version that wrote "
                "it or a later one"
            )
        try:
            return _adapter().validate_python(decode(document))
        except ValidationError as error:
            faults = [f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors()]
            raise RecordError(f"{path} is not a whole search record: " + "; ".join(faults)) from None


def is_finite(value: Any) -> bool:
    """Whether a report's value is a number that can be compared: not missing, not NaN, not infinite."""
    return value is not None and math.isfinite(value)


@cache
def _adapter() -> TypeAdapter[SearchRecord]:
    return TypeAdapter(SearchRecord)


def _read(path: Path) -> dict[str, Any]:
    remedy = "Records are replaced in one step, so copy the file again, or let `--resume` write it anew"
    try:
        text = path.read_bytes().decode("utf-8")
        document = json.loads(text)
    except FileNotFoundError:
        raise RecordError(f"no search record at {path}: is it the output folder of another search?") from None
    except UnicodeDecodeError as error:
        raise RecordError(f"{path} is damaged: byte {error.start} is not UTF-8. {remedy}") from None
    except json.JSONDecodeError as error:
        if not text.strip():
            raise RecordError(f"{path} is damaged: it is empty. {remedy}") from None
        # An unclosed string is reported where it begins; such a string has no end before the file's.
        cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
        where = f"line {error.lineno}, column {error.colno}"
        what = f"the file is cut off in or after {where}" if cut else f"{error.msg} at {where}"
        raise RecordError(f"{path} is damaged: {what}. {remedy}") from None
    if not isinstance(document, dict):
        raise RecordError(f"{path} is JSON, but not the record of a search: it holds a {type(document).__name__}")
    return document


def report_of(result: Mapping[str, Any]) -> Report:
    """The trial's own report in what Tune made of it (Tune adds its clock, host and counters, and last the config)."""
    own = {name: value for name, value in result.items() if name in _REPORT_KEYS or "/" in name}
    return {name: value for name, value in own.items() if not name.startswith("config/")}
