"""One list of options: whatever knows of options follows from it, so that a new one is an entry and its use."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.command_lines import flag
from orchestrator.commands.options import as_text, parameters
from orchestrator.plan.options import Group, Option, When, current, former_flags
from orchestrator.plan.options_page import page
from orchestrator.plan.places import to_keep
from orchestrator.plan.plan import Plan
from orchestrator.plan.read_settings import read_settings
from orchestrator.plan.resolve import make_plan
from orchestrator.plan.search_folder import SearchFolder
from orchestrator.plan.settings import SearchSettings, StartOptions
from orchestrator.plan.sources import source_names
from orchestrator.record.record import RENAMED_SETTINGS, SearchRecord
from orchestrator.run.resume import resumed_options
from orchestrator.run.reuse import SAME_IF_GIVEN, SAME_SEARCH
from orchestrator.store.layout import OPTIONS
from trials.backbones.facts import Facts
from trials.data_facts import DataIdentity
from trials.errors import UserError
from trials.source_prompts import SourcePrompt

OTHER: dict[str, Any] = {
    "task": "debmatch", "method": "pt", "backbone": "t5-small", "space": "t5-nano", "recipe": "paper", "steps": 80,
    "eval_every": 10, "batch_size": 4, "warmup_steps": 2, "max_source_length": 40, "precision": "bfloat16", "seed": 7,
    "searcher": "random", "samples": 3, "scheduler": "asha", "grace_period": 120, "reduction_factor": 2, "ties": "loss",
    "rank_by": "loss",
    "deterministic": "yes", "seeds": 2, "top": 2, "reuse": "yes", "devices": 1, "slots": 2, "max_concurrent": 3,
    "memory_limit": 2, "host_wait": 5, "name": "mine", "output": "elsewhere", "tracking_uri": "sqlite:///other.db",
    "price": 3, "data_dir": ".", "data_quirks": "corrected", "data_sizes": "any", "shots": 16, "stop_chance": 0.1,
    "storage": "file:///tmp/adept-options", "warm_start": "yes", "sources": "mnli",
}  # fmt: skip
"""A value that is not the default, for each option."""

WITH: dict[str, dict[str, Any]] = {
    "space": {"backbone": "t5-small"}, "searcher": {"samples": 4}, "top": {"seeds": 2},
    "warm_start": {"searcher": "tpe", "samples": 4}, "method": {"backbone": "t5-nano"},
    "sources": {"method": "spot", "sources": "sst2"}, "stop_chance": {"scheduler": "freeze-thaw"},
    "rank_by": {"rank_by": "score"},
}  # fmt: skip
"""What an option needs beside it, or in its place where it is the default that is written down."""


class Untrained:
    """Finds source prompts of zeros."""

    def find(self, settings: SearchSettings, facts: Facts) -> list[SourcePrompt]:
        return [
            SourcePrompt(name, 100, facts.width, bytes(400 * facts.width)) for name in source_names(settings.sources)
        ]

    def there(self, settings: SearchSettings, facts: Facts) -> list[str]:
        return []


class More(SearchSettings):
    """The list with one option more."""

    patience: Annotated[
        int,
        Field(ge=0),
        Option(
            Group.SEARCH,
            "reports without a better score",
            "N",
            decides=When.CHANGED,
            recorded=When.CHANGED,
            resume="same",
        ),
    ] = 0


def planned(model: type[SearchSettings] = SearchSettings, **given: Any) -> Plan:
    settings, problems = read_settings({key: str(value) for key, value in given.items()}, model)
    return make_plan(settings, problems, Untrained())


def begun(plan: Plan, **given: Any) -> None:
    record = SearchRecord(
        name=plan.name,
        task="debsec",
        method="adept",
        backbone="t5-nano",
        recipe="released_code",
        metric="accuracy",
        settings=plan.recorded,
    )
    options = to_keep(as_text({key: str(value) for key, value in given.items()}, type(plan.settings)))
    SearchFolder(plan.folder).begin(plan, options, record, DataIdentity())
    Path("mlflow.db").touch()


def test_every_option_is_described_and_stands_in_the_help_below_its_group() -> None:
    shown = CliRunner().invoke(app, ["search", "--help"], terminal_width=200).output
    sections = dict(zip(Group, shown.split("\n\n")[-len(Group) - 1 :], strict=False))
    for model in (SearchSettings, StartOptions):
        for name, option in model.options().items():
            line = next(line for line in sections[option.group].splitlines() if line.split()[:1] == [flag(name)])
            assert option.help.partition("{")[0] in " ".join(shown.split()), name
            assert model.is_flag(name) == (option.metavar == ""), line


@pytest.mark.parametrize("name", list(SearchSettings.model_fields))
def test_every_option_goes_where_its_entry_says(name: str, here: Path) -> None:
    option, beside = SearchSettings.options()[name], WITH.get(name, {})
    before, after = planned(**beside), planned(**{**beside, name: OTHER[name]})
    assert after.values[name] != before.values[name]
    if option.decides is not When.NEVER:
        assert name in after.definition and after.definition[name] == after.values[name]
    if option.numbers == "none" and option.decides is When.NEVER:
        assert after.definition == before.definition and name not in after.repeatable
    elif option.resume == "same":
        assert after.definition != before.definition, "a search with another value would be taken for the same one"
    assert (name in after.recorded) == (option.recorded is not When.NEVER)
    kept = name in beside and before.values[name] is not None
    assert (name in before.recorded) == (option.recorded is When.ALWAYS or kept)
    assert (name in after.parameters) == (option.identifies or option.recorded is not When.NEVER)
    if option.numbers != "none":
        assert name in after.repeatable
    if option.numbers == "trial":
        by_fingerprint = ("data_dir", "data_quirks", "data_sizes", "sources")
        assert name in (*SAME_SEARCH, *SAME_IF_GIVEN) or name in by_fingerprint


def test_an_option_more_is_one_entry(here: Path) -> None:
    """Nothing but the list knows it, and it is read, checked, kept, recorded, compared and taken up again."""
    assert [one.name for one in parameters(More)][-1] == "patience"
    assert read_settings({"patience": "-1"}, More)[1] == ["--patience -1: must be at least 0"]
    assert "patience" not in {**planned(More).definition, **planned(More).recorded}
    assert planned(More).name == planned().name  # searches of before keep their names
    plan = planned(More, patience=3, name="mine")
    assert plan.definition["patience"] == plan.recorded["patience"] == plan.parameters["patience"] == 3
    assert plan.repeatable == {"patience": 3}
    begun(plan, patience=3, name="mine")
    assert json.loads((plan.folder / OPTIONS).read_text())["patience"] == "3"
    found = resumed_options(as_text({"name": "mine"}, More))
    assert found["patience"] == "3"
    assert read_settings(found, More)[0].name == "mine"
    with pytest.raises(UserError, match=r"holds a search of that name with another patience \(then 3, now 4\)"):
        SearchFolder(plan.folder).previous(planned(More, patience=4, name="mine"))


def test_every_option_survives_going_on(here: Path) -> None:
    given = {**OTHER, "output": str(here / "elsewhere"), "tracking_uri": f"sqlite:///{here}/other.db", "task": "rte"}
    (here / "other.db").touch()
    given.pop("storage")  # it is a place of its own (tests/orchestrator/store)
    plan = replace(planned(), settings=SearchSettings(name="mine", output=here / "elsewhere"))
    begun(plan, **given)
    found = resumed_options(as_text({"name": "mine", "output": given["output"]}))
    assert {name: value for name, value in found.items() if value is not None} == {
        **{name: str(value) for name, value in given.items()},
        "data_dir": str(here),
    }
    settings, _ = read_settings(found)
    assert {name for name in SearchSettings.names() if getattr(settings, name) == SearchSettings.default(name)} == {
        "storage"
    }


def test_what_may_change_is_taken_and_the_rest_is_refused(here: Path) -> None:
    plan = planned(name="mine", devices=1, eval_every=10)
    begun(plan, name="mine", devices=1, eval_every=10)
    found = resumed_options(as_text({"name": "mine", "devices": "2", "seeds": "3"}))
    assert (found["devices"], found["seeds"], found["eval_every"]) == ("2", "3", "10")
    with pytest.raises(UserError, match="--eval-every 20: search mine was started with 10"):
        resumed_options(as_text({"name": "mine", "eval_every": "20"}))


def test_former_names_are_understood_for_one_version(here: Path) -> None:
    former = former_flags(SearchSettings)
    assert former == {"--search": "--searcher", "--grace": "--grace-period", "--eta": "--reduction-factor"}
    command = ["plan", "--search=randm", "--grace", "0", "--eta", "1"]
    old = CliRunner().invoke(app, command)
    for name, now in former.items():
        assert f"note: {name} is called {now} now; the next version will not know {name}" in old.stderr
    rules = (
        "searcher randm: must be one of",
        "grace-period 0: must be greater",
        "reduction-factor 1: must be at least",
    )
    assert old.exit_code == 2 and all(f"  - --{rule}" in old.stderr for rule in rules)
    new = CliRunner().invoke(app, ["plan", "--searcher", "randm"])
    assert new.exit_code == 2 and "note:" not in new.stderr


def test_what_an_earlier_version_wrote_down_is_read_under_the_names_of_now(here: Path) -> None:
    plan = planned(name="mine", grace_period=120)
    begun(plan, name="mine")
    for file in plan.folder.glob("options*.json"):
        file.write_text(json.dumps({"name": "mine", "grace": "120", "eta": "3", "search": "random", "samples": "2"}))
    found = resumed_options(as_text({"name": "mine"}))
    assert (found["grace_period"], found["reduction_factor"], found["searcher"]) == ("120", "3", "random")
    assert read_settings(found)[1] == []
    record = SearchRecord(
        name="a",
        task="debsec",
        method="adept",
        backbone="t5-nano",
        recipe="paper",
        metric="accuracy",
        settings={"grace": 60, "eta": 4},
    )
    assert record.settings == {"grace_period": 60, "reduction_factor": 4}
    assert current(RENAMED_SETTINGS, SearchSettings).keys() == set(RENAMED_SETTINGS.values())


def test_a_search_keeps_the_name_that_the_first_version_gave_it(here: Path) -> None:
    then = partial(planned, precision="float32")  # what no precision meant
    assert then(rank_by="score").name == "debsec-adept-t5-nano-8b2250"
    assert then(ties="loss", reduction_factor=3, grace_period=60).name == "debsec-adept-t5-nano-cba9dc"
    assert then(rank_by="score", searcher="tpe", samples=4).name == "debsec-adept-t5-nano-a75846"
    assert then(rank_by="score", deterministic="yes").name == "debsec-adept-t5-nano-393f66"
    assert planned(rank_by="score").name == planned(rank_by="score", precision="auto").name
    assert planned(rank_by="score").name == "debsec-adept-t5-nano-26b4d7"


def test_the_page_of_options_is_that_of_the_list() -> None:
    file = Path(__file__).parents[3] / "docs" / "options.md"
    assert file.read_text(encoding="utf-8") == page(), "the list has changed: make options"
