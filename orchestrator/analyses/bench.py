"""Trained adapters at work again: scored on the test rows, timed, and looked at over the training rows."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from orchestrator.analyses.kept_adapters import adapter_of, options_of
from orchestrator.analyses.pools import Trained
from orchestrator.plan.settings import SearchSettings
from orchestrator.store.checkpoints import write_files
from orchestrator.summarizer.results.published import metric_key
from trials.data import PreparedTask, prepare
from trials.errors import UserError
from trials.evaluation import answers, score
from trials.export.adapters import Adapter, load_adapter, read_description
from trials.export.moments import Moments, moments
from trials.methods import get_method
from trials.tasks import get_task

if TYPE_CHECKING:
    from trials.backbones.loading import Backbone

TIMED_ROWS = 256
"""Test rows that are answered for a measurement of speed, at most."""
TIMES = 3
"""How often; the median counts."""


class Bench:
    """Loads what it is asked for once: backbones, rows, adapters.

    Args:
        tracking_uri: of the store that searches without a folder were found in.
        data_dir: where benchmarks lie now; None: where each search found them.
    """

    def __init__(self, tracking_uri: str | None = None, data_dir: Path | None = None) -> None:
        import torch

        self.tracking_uri, self.data_dir = tracking_uri, data_dir
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self._backbones: dict[tuple[str, ...], Backbone] = {}
        self._rows: dict[tuple[str, ...], PreparedTask] = {}
        self._adapters: dict[tuple[str, int], Adapter] = {}
        self._scores: dict[tuple[str, int], dict[str, float]] = {}
        self._moments: dict[tuple[str, int], tuple[Moments, Moments]] = {}

    def adapter(self, one: Trained) -> Adapter:
        """Its best adapter on its backbone.

        Raises:
            UserError: none was kept, or its backbone is not there or not the one of then.
        """
        key = (one.search.source, one.trial.number)
        if key not in self._adapters:
            files = adapter_of(one, self.tracking_uri)
            with tempfile.TemporaryDirectory() as folder:
                write_files(Path(folder), files)
                try:
                    self._adapters[key] = self._loaded(Path(folder), one)
                except UserError as error:
                    found = [problem.replace(folder, f"the adapter of {one.title}") for problem in error.problems]
                    raise UserError(found) from error
        return self._adapters[key]

    def _loaded(self, folder: Path, one: Trained) -> Adapter:
        description = read_description(folder)
        kept = options_of(one, self.tracking_uri).get("backbone")
        where = str(kept or description["base_model_name_or_path"])
        modules = get_method(str(description["trial"]["method"])).kind == "modules"
        place = (where, str(description.get("precision", "float32")), str(modules))
        adapter = load_adapter(folder, self._backbones.get(place) or where, self.device, _precision(description))
        self._backbones[place] = adapter.backbone
        return adapter

    def rows(self, one: Trained) -> PreparedTask:
        """The rows that it was trained and is tested on, tokenised.

        Raises:
            UserError: they are not there, or not those of then.
        """
        adapter, options = self.adapter(one), options_of(one, self.tracking_uri)
        facts, kept = adapter.backbone.facts, options.get("data_dir")
        task = str(options.get("task") or one.search.record.task)
        data_dir = self.data_dir or (Path(kept) if kept else None)
        length = int(adapter.description["max_source_length"])
        read = {name: options.get(name) or SearchSettings.default(name) for name in ("data_quirks", "data_sizes")}
        key = (task, *read.values(), str(data_dir), facts.location, str(length))
        if key not in self._rows:
            self._rows[key] = prepare(
                get_task(task).read(read["data_quirks"], read["data_sizes"]),
                adapter.backbone.tokenizer,
                architecture=facts.architecture,
                data_dir=data_dir,
                max_source_length=length,
            )
        found, then = self._rows[key], adapter.description.get("data_fingerprint", "")
        if then not in ("", found.fingerprint):
            raise UserError(
                [
                    f"{one.title} was trained on other rows of {task}: fingerprint {then} then, {found.fingerprint} in "
                    f"{found.origin} now; put those of then back, or name their folder with --data-dir"
                ]
            )
        return found

    def scores(self, one: Trained, adapters: Sequence[Adapter]) -> list[dict[str, float]]:
        """Test scores of adapters that were made from its own, in points, by the paper's names of the metrics."""
        data = self.rows(one)
        split, labels = data.split("test"), list(data.label_token_ids.values())
        scored = score(
            adapters[0].backbone,
            [adapter.method for adapter in adapters],
            split,
            data.task.metrics,
            data.max_target_length,
            labels,
            None,
            data.task.answers,
            split.groups,
        )
        return [{metric_key(name): value for name, value in each.metrics.items()} for each in scored]

    def test_scores(self, one: Trained) -> dict[str, float]:
        """Its own test scores: those of its search where it won it, else measured now."""
        if one.tested is not None:
            record = replace(one.search.record, test=one.tested, seed_tests=[])
            return replace(one.search, record=record).test_scores
        key = (one.search.source, one.trial.number)
        if key not in self._scores:
            self._scores[key] = self.scores(one, [self.adapter(one)])[0]
        return self._scores[key]

    def samples_per_second(self, one: Trained) -> float:
        """Test rows that it answers in a second here, tokenised before."""
        adapter, data = self.adapter(one), self.rows(one)
        split, labels = data.split("test"), list(data.label_token_ids.values())
        sources = split.batch(range(min(len(split), TIMED_ROWS)))[0]
        seconds = []
        for _ in range(TIMES + 1):
            started = time.perf_counter()
            answers(adapter.backbone, [adapter.method], sources, data.max_target_length, labels)
            seconds.append(time.perf_counter() - started)
        return len(sources) / median(seconds[1:])  # the first one warms up

    def moments(self, one: Trained) -> tuple[Moments, Moments]:
        """Of the embeddings of all training tokens, and of its offsets of them; padding is not among them."""
        key = (one.search.source, one.trial.number)
        if key not in self._moments:
            split = self.rows(one).split("train")
            rows = split.batch(range(len(split)))[0]
            self._moments[key] = moments(self.adapter(one), (row.tolist() for row in rows))
        return self._moments[key]


def _precision(description: Mapping[str, Any]) -> Any:
    return description.get("precision", "float32")
