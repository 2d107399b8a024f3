"""Imports run one way, between the packages and between the rooms of `orchestrator`; and facts stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = {"orchestrator", "trials", "search_spaces", "sweeps", "yaml_reader"}
ALLOWED = {
    "orchestrator": OURS,
    "trials": {"trials", "yaml_reader"},
    "search_spaces": {"search_spaces", "trials", "yaml_reader"},
    "sweeps": {"sweeps"},
    "yaml_reader": {"yaml_reader"},
    "pretraining": {"pretraining", "trials"},
}
FOREIGN = {
    "trials": {"ray", "mlflow", "optuna"},
    "search_spaces": {"ray", "mlflow", "optuna", "torch", "transformers"},
    "yaml_reader": {"ray", "mlflow", "optuna", "torch", "transformers"},
}

FLOOR = {"command_lines", "console", "quiet", "uncollected"}
"""What every room may use: how commands are written out, texts printed and libraries imported."""
ROOMS = [
    "record", "store", "schedulers", "searchers", "plan", "engines", "tracking", "summarizer", "analyses", "tune",
    "run", "sweep", "nights", "commands", "cli",
]  # fmt: skip
"""From the bottom up: a room imports those before it, `FLOOR`, and itself."""


def imported(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def rooms_imported(file: Path) -> set[str]:
    """The rooms of `orchestrator` that a file imports from, inside functions as well."""
    modules = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {module.split(".")[1] for module in modules if module.startswith("orchestrator.")}


@pytest.mark.parametrize("package", list(ALLOWED))
def test_imports_run_one_way(package: str) -> None:
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for file in files:
        names = imported(file)
        assert names & OURS <= ALLOWED[package], file
        assert not names & FOREIGN.get(package, set()), file


def test_spaces_know_of_trials_what_a_method_declares() -> None:
    """A grid holds values of hyperparameters, and a method is the one place that says what these may be.

    So spaces read the declarations of `trials.methods` rather than being handed them by every caller; beside these and
    the errors they know nothing of trials, and trials know nothing of spaces.
    """
    allowed = {"trials.methods", "trials.errors", "trials.config"}
    for file in (ROOT / "search_spaces").rglob("*.py"):
        nodes = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
        assert {n.module for n in nodes if n.module and n.module.startswith("trials")} <= allowed, file


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_of_the_orchestrator_import_those_below(room: str) -> None:
    """A graph without circles: what a room needs can be read, and tested, without the rooms above it."""
    folder = ROOT / "orchestrator" / room
    files = list(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    assert files
    below = {*FLOOR, *ROOMS[: ROOMS.index(room) + 1]}
    wrong = {str(file.relative_to(ROOT)): found - below for file in files if (found := rooms_imported(file)) - below}
    assert not wrong


def test_every_room_has_its_floor() -> None:
    """No module lies beside the rooms but a handful: the floor, the command line, and what starts them."""
    beside = {file.stem for file in (ROOT / "orchestrator").glob("*.py")}
    rooms = {folder.name for folder in (ROOT / "orchestrator").iterdir() if list(folder.glob("*.py"))}
    assert beside == {"__init__", "__main__", "search", "command", "cli", *FLOOR}
    assert rooms | {"cli"} == set(ROOMS)
    for module in FLOOR:
        assert rooms_imported(ROOT / "orchestrator" / f"{module}.py") <= FLOOR


def test_private_names_of_ray_stand_in_one_file() -> None:
    """A new version of Ray may change them without notice."""
    for file in (ROOT / "orchestrator").rglob("*.py"):
        if file.name != "ray_internals.py":
            lines = [line for line in file.read_text().splitlines() if line.lstrip().startswith(("import ", "from "))]
            assert not [line for line in lines if "ray._" in line], file


def test_no_tensor_is_touched_by_the_orchestrator() -> None:
    """Torch may be imported inside a function that runs in an engine's process, never when a module is loaded."""
    for file in (ROOT / "orchestrator").rglob("*.py"):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
                assert not any(n.split(".")[0] in {"torch", "transformers"} for n in names), file


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh process has loaded at the end of some code."""
    whole = f"import sys\n{code}\nprint('loaded:', *sys.modules)"
    run = subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(run.stdout.splitlines()[-1].removeprefix("loaded: ").split())


HELP = """
from contextlib import suppress
from orchestrator.cli import main
with suppress(SystemExit):
    main({arguments})
"""
DRIVER = """
from orchestrator.commands.search import search
from orchestrator.plan.data import prepare_data
from orchestrator.plan.read_settings import read_settings
from orchestrator.plan.resolve import make_plan
import orchestrator.run.run
prepare_data(make_plan(*read_settings({"task": "debsec"})))
"""


def test_the_list_of_commands_loads_none_of_them() -> None:
    found = loaded_by(HELP.format(arguments=["-h"]))
    assert not {name for name in found if name.startswith("orchestrator.commands.")}
    assert not found & {"trials", "search_spaces", "pydantic", "yaml", "numpy", "pyarrow"}


@pytest.mark.parametrize("command", ["search", "resume", "report", "history", "nightly"])
def test_the_help_of_a_command_loads_its_options_alone(command: str) -> None:
    found = loaded_by(HELP.format(arguments=[command, "-h"]))
    assert not found & {"orchestrator.plan.resolve", "numpy", "pyarrow", "optuna", "ray", "mlflow", "torch"}


def test_a_driver_comes_to_its_data_without_what_only_engines_and_some_searches_need() -> None:
    """Up to the start of Ray: torch alone takes longer to import than everything that is needed here."""
    loaded_by(DRIVER)  # where nobody has done so, rows are looked at and tokenised here
    heavy = {"torch", "ray", "mlflow", "optuna", "pandas", "scipy", "sklearn", "datasets", "matplotlib"}
    assert not loaded_by(DRIVER) & heavy


def test_an_engine_of_a_t5_that_was_checked_loads_no_model_of_transformers() -> None:
    """These modules take as long to import as all else that an engine does before its first update."""
    load = "from trials.backbones.loading import load_backbone\nimport trials.engine\nload_backbone('t5-nano')"
    loaded_by(load)  # where nobody has done so, it is compared with transformers' own here
    heavy = {"transformers.modeling_utils", "torch._dynamo", "torch._inductor", "sympy", "scipy", "sklearn"}
    assert not loaded_by(load) & heavy


@pytest.mark.parametrize(
    "statement",
    [
        "import trials.tasks, trials.config, trials.backbones.facts",
        "import trials.methods; [trials.methods.get_method(name) for name in trials.methods.method_names()]",
        "import search_spaces",
        "import orchestrator.cli",
    ],
)
def test_facts_load_neither_torch_nor_ray(statement: str) -> None:
    heavy = ["torch", "transformers", "mlflow", "ray"]
    code = f"import sys; {statement}; print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.strip() == "[]"
