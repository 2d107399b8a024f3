"""The precision of a search that has begun, and what a plan says of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.console import PlainConsole
from orchestrator.plan.plan import Plan
from orchestrator.plan.precision import in_words
from orchestrator.run import run
from orchestrator.run.run import run_search
from orchestrator.store.layout import DEFINITION
from tests.orchestrator.plan.planning import plan
from tests.orchestrator.plan.test_former_defaults import GIVEN, begun, flags
from tests.orchestrator.typed_commands import typed


def test_one_that_auto_has_decided_on_goes_on_in_that(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = begun({}, tested=True)
    file = made.folder / DEFINITION
    file.write_text(json.dumps({**json.loads(file.read_text()), "chosen_precision": "bfloat16"}))
    shown: list[Plan] = []
    monkeypatch.setattr(run, "show_finished", lambda plan, *_: shown.append(plan) or 0)
    run_search(plan(**GIVEN), {}, PlainConsole(quiet=True), quiet=True)
    assert [one.precision for one in shown] == ["bfloat16"]
    assert "which --precision auto chose" in in_words(shown[0])
    assert "precision: bfloat16, which --precision auto chose" in typed("search", *flags(), "--plan")[1]


def test_a_plan_says_the_precision_and_what_its_time_is_of(here: Path) -> None:
    code, out, _ = typed("search", *flags(), "--plan")
    assert code == 0
    assert "precision: auto, found out when the search begins; the time below is float32's" in out
    _, out, _ = typed("search", *flags(), "--plan", "--precision", "float32-exact")
    assert "precision: float32-exact\n" in out
    _, out, _ = typed("search", *flags(), "--plan", "--deterministic")
    assert "precision: auto, float32, since" in out
