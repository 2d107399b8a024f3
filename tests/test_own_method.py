"""`docs/own-method.md` is the example: its files are installed as a package, planned, checked and searched."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from orchestrator.plan.read_settings import read_settings
from orchestrator.plan.resolve import Plan, make_plan
from orchestrator.searchers.distributions import Distributions
from search_spaces import SpaceError, load_space
from trials.backbones.loading import load_backbone
from trials.config import TrialConfig, Value
from trials.errors import UserError
from trials.export.adapters import describe_adapter, load_adapter, save_adapter
from trials.methods import get_method, method_names
from trials.methods.base.module import make_method
from trials.methods.base.registry import installed
from trials.tasks import get_task

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "own-method.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"^```(python|toml|yaml|sh)\n(.*?)^```", PAGE, re.S | re.M))
Install = Callable[..., None]


def install_files(site: Path, module: str = BLOCKS["python"], project: str = BLOCKS["toml"]) -> None:
    """What pip would make of the page's project: its module, and metadata with the entry point."""
    said = tomllib.loads(project)
    name, version = said["project"]["name"], said["project"]["version"]
    metadata = site / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    ((group, points),) = said["project"]["entry-points"].items()
    (metadata / "entry_points.txt").write_text(f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()))
    (site / f"{said['tool']['setuptools']['py-modules'][0]}.py").write_text(module)


def forget_installed() -> None:
    installed.cache_clear()
    get_method.cache_clear()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs the page's package for this process, changed by `(old, new)` texts; gone after the test."""
    loaded = set(sys.modules)

    def installed_with(*changes: tuple[str, str]) -> None:
        module, project = BLOCKS["python"], BLOCKS["toml"]
        for old, new in changes:
            assert old in module + project
            module, project = module.replace(old, new), project.replace(old, new)
        install_files(tmp_path / "site", module, project)
        (tmp_path / "linear.yaml").write_text(BLOCKS["yaml"])
        monkeypatch.syspath_prepend(tmp_path / "site")
        forget_installed()

    yield installed_with
    monkeypatch.undo()
    for name in set(sys.modules) - loaded:
        if name == "linear_method":
            del sys.modules[name]
    forget_installed()


def plan(folder: Path, **options: str) -> Plan:
    settings, problems = read_settings({"method": "linear", "space": str(folder / "linear.yaml"), **options})
    return make_plan(settings, problems)


def test_it_is_planned_like_any_other(install: Install, tmp_path: Path) -> None:
    install()
    assert method_names()[-1] == "linear"
    made = plan(tmp_path)
    assert made.slots is None  # as many trials in an engine as fit
    ranks = {c["prompt_length"]: c["rank"] for c in made.space.configurations}
    assert ranks == {20: 80 * 256 // 512, 40: 60 * 256 // 512}
    assert {trial.parameters for trial in made.trials} == {100 * 256}


def test_the_command_line_knows_it(install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestrator.cli import app

    install()
    monkeypatch.chdir(tmp_path)
    listed = CliRunner().invoke(app, ["list"])
    assert re.search(r"methods .*\blinear\b", listed.output)
    planned = next(line for line in BLOCKS["sh"].splitlines() if line.endswith("--plan"))
    found = CliRunner().invoke(app, planned.split()[1:])
    assert found.exit_code == 0 and "4 trials x 240 steps" in found.output, found.output


def test_searchers_draw_from_its_ranges(install: Install, tmp_path: Path) -> None:
    install()
    distributions = Distributions(load_space(tmp_path / "linear.yaml", method="linear", d_model=256), 256, 256)
    shown = distributions.describe()
    assert shown["offset_lr"] == "0.001 to 0.01, log-uniform"
    assert shown["prompt_length, rank"] == "20 to 40, uniform; rank is what the budget leaves"
    assert distributions.configuration({"offset_lr": 0.005, "prompt_length,rank": 30})["rank"] == 35


def test_its_grid_is_checked_against_what_it_declares(install: Install, tmp_path: Path) -> None:
    install()
    file = tmp_path / "linear.yaml"
    file.write_text(BLOCKS["yaml"].replace("rank: from_budget", "rank: 0").replace("3e-1", "text"))
    with pytest.raises(SpaceError) as caught:
        load_space(file, method="linear", d_model=256)
    assert [problem.partition(": ")[2] for problem in caught.value.problems] == [
        "grids.linear.prompt_lr: 'text' is text; needed is a number above 0 and at most 100",
        "grids.linear.rank: 0 is out of range; needed is a whole number of at least 1 and at most 100,000",
    ]


def test_its_adapter_comes_back_as_it_was(install: Install, tmp_path: Path) -> None:
    install()
    backbone, task = load_backbone("t5-nano"), get_task("debsec")
    shape: dict[str, Value] = {"prompt_lr": 0.3, "offset_lr": 0.01, "prompt_length": 3, "rank": 2}
    config = TrialConfig("linear", shape, steps=4, eval_every=2)
    made = make_method(config, backbone.surroundings(64))
    assert {name: tuple(p.shape) for name, p in made.named_parameters()} == {
        "prompt": (3, 256), "down": (256, 2), "up": (2, 256),
    }  # fmt: skip
    torch.nn.init.normal_(made.get_parameter("up"))
    description = describe_adapter(config, task, backbone, 64, 2)
    assert description["peft_type"] == "LINEAR"
    save_adapter(tmp_path / "adapter", made.to_file(made.state_dict()), description)
    found = load_adapter(tmp_path / "adapter", backbone).method
    e = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 5, 256))).float()
    assert torch.equal(found.offset(e), made.offset(e)) and not torch.equal(made.offset(e), e)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ([("import PROMPT_LENGTH", "import PROMPT_LEGNTH")], "cannot be imported (ImportError: cannot import name"),
        ([("linear_method:Linear", "linear_method:Lin")], "cannot be imported (AttributeError: module"),
        ([("class Linear(Method)", "class Linear")], "is no subclass of trials.methods.Method"),
        ([('    name = "linear"', '    name = "other"')], "its name is 'other', but its entry point's 'linear'"),
        ([('rate("largest', 'rate(minimum=200, meaning="largest')], "offset_lr: its bounds allow nothing: from 200 to"),
        ([('count("rank', 'count(default=0, meaning="rank')], "rank: its default 0 is not allowed by its own type"),
        ([('"offset": "offset_lr"}', '"offset": "lr"}')], "group offset: its learning rate 'lr' is no hyperparameter"),
        ([('sized = "rank"', 'sized = "size"')], "sized: 'size' is no hyperparameter that is a whole number"),
        ([('"up": Weights((r, d), "offset")', '"up": (r, d)')], "tensor up: (1, 8) is no Weights with a group out of"),
        ([('values["rank"]', 'values["r"]')], "cannot be declared (KeyError: 'r')"),
        ([('name = "linear"', 'name = "linear"\n    kind = "outer"')], "its kind 'outer' is not one of embedding"),
    ],
)
def test_a_bad_package_is_one_message(
    install: Install, tmp_path: Path, changes: list[tuple[str, str]], problem: str
) -> None:
    install(*changes)
    with pytest.raises(UserError) as caught:
        plan(tmp_path)
    (found,) = caught.value.problems
    assert found.startswith("--method 'linear': the package linear-method (linear_method:Lin")
    assert problem in found
    assert get_method("adept").name == "adept"  # which harms no other


def test_a_name_that_is_taken_is_refused_with_exit_code_2(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.cli import app

    install(('name = "linear"', 'name = "pt"'), ('linear = "linear_method', 'pt = "linear_method'))
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["search", "--method", "pt", "--plan"])
    assert result.exit_code == 2 and "Traceback" not in result.output
    message = " ".join(result.output.split())
    assert "--method 'pt': declared by adept-search and by the package linear-method (linear_method:Linear)" in message


@pytest.mark.slow
def test_it_is_searched(default_database: Path, tmp_path: Path) -> None:
    """In processes that find the package as an installed one: workers import it, nothing of the project names it."""
    install_files(tmp_path / "site")
    (tmp_path / "linear.yaml").write_text(BLOCKS["yaml"])
    files = {split: f"{split}.csv" for split in ("train", "validation", "test")}
    for first, file in enumerate(files.values()):
        with (tmp_path / file).open("w") as stream:
            rows = [[f"{word} number {first * 16 + i}", word] for i in range(16) for word in ("game", "mail")]
            csv.writer(stream).writerows([["text", "kind"], *rows])
    task = {"name": "toy", "template": "{text}", "label_column": "kind", "files": files}
    (tmp_path / "toy.yaml").write_text(json.dumps(task))
    environment = {**os.environ, "RAY_ADDRESS": "local", "RAY_AUTH_MODE": "disabled", "ADEPT_CACHE": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path / "site"), str(ROOT)])
    command = next(line for line in BLOCKS["sh"].splitlines() if line.endswith("--space linear.yaml")).split()[1:]
    more = ["--task", "toy.yaml", "--backbone", "t5-nano", "--steps", "4", "--eval-every", "2", "--name", "linear"]
    more += ["--devices", "1", "--max-concurrent", "2"]
    ended = subprocess.run(
        [sys.executable, "-m", "orchestrator", *command, *more],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    record = json.loads((tmp_path / "runs" / "linear" / "search.json").read_text())
    assert record["method"] == "linear" and record["test"]["n"] == 32
    assert {trial["status"] for trial in record["trials"]} <= {"finished", "stopped early"}
    description = json.loads((tmp_path / "runs" / "linear" / "best_adapter" / "adapter_config.json").read_text())
    assert description["trial"]["method"] == "linear"
