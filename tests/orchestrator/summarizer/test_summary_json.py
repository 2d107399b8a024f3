"""summary.json and its published schema."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from orchestrator.summarizer import write_summary
from orchestrator.summarizer.report import make_results, write_report
from orchestrator.summarizer.report_results import ReportResults
from orchestrator.summarizer.summary_json import schema_text, summary_text
from orchestrator.summarizer.tables.paper_layouts import paper_layouts
from tests.orchestrator.made_records import make_trial
from tests.orchestrator.made_results import found, searched, sweep

SCHEMA = json.loads(schema_text())


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def read(results: ReportResults) -> dict[str, Any]:
    return json.loads(summary_text(results), parse_constant=refuse)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    "results",
    [
        make_results(found(*sweep()), paper_layouts()),
        make_results(found()),
        make_results(
            found(searched(None, trials=[make_trial(1, [math.nan], "diverged", configuration={"x": math.inf})]))
        ),
        make_results(found(searched(math.nan), searched(0.0, n=0, seed=2))),
    ],
    ids=["a sweep", "nothing", "nothing finite", "odd tests"],
)
def test_every_summary_fulfils_it(results: ReportResults) -> None:
    jsonschema.validate(read(results), SCHEMA, jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    "broken", [("searches", 0, "name"), ("searches", 0, "trials", 0, "status"), ("comparisons", 0, "p"), ("version",)]
)
def test_the_schema_notices_what_is_missing(broken: tuple[Any, ...]) -> None:
    document = read(make_results(found(*sweep(seeds=(1, 2)))))
    place = document
    for step in broken[:-1]:
        place = place[step]
    del place[broken[-1]]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA, jsonschema.Draft202012Validator)


def test_it_says_what_the_tables_say() -> None:
    document = read(make_results(found(*(searched(score, seed=seed) for seed, score in ((1, 83.0), (2, 85.0))))))
    (score,) = document["scores"]
    assert (score["mean"], score["by_seed"]) == (84.0, {"1": 83.0, "2": 85.0})
    search = document["searches"][0]
    assert (search["winner"], search["test"]["score"], search["started"]) == (1, 83.0, "2026-03-01T00:00:00+00:00")
    assert search["compute"]["early"] == 3_000
    assert search["expected_best"]["scores"][-1] == 78.0
    assert "stopped early" in search["expected_best"]["note"]


def test_the_schema_is_published_with_a_report_and_each_search_has_a_summary(tmp_path: Path) -> None:
    write_report(make_results(found(searched())), tmp_path, ["json"])
    assert json.loads((tmp_path / "summary.schema.json").read_text(encoding="utf-8")) == SCHEMA
    names = [path.name for path in write_summary(searched().record, tmp_path / "search")]
    assert names == ["summary.md", "summary.csv", "summary.tex", "summary.json", "summary.parquet"]
    jsonschema.validate(json.loads((tmp_path / "search" / "summary.json").read_text(encoding="utf-8")), SCHEMA)
