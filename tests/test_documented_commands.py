"""Every command that README.md and docs/*.md print is run as printed, or its reason not to be is written down."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
import yaml
from pyarrow import parquet
from typer.testing import CliRunner

from orchestrator.nights.history import History
from tests.orchestrator.made_results import searched
from tests.orchestrator.nights.made_nights import night

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TABLE: dict[str, Any] = yaml.safe_load((ROOT / "tests" / "documented_commands.yaml").read_text(encoding="utf-8"))
_PROGRAMS = r"(\. |export |eval |[A-Z_]+=\S+ )?(adept-search|python|ray|docker|make|pip|mlflow|\.venv)\b"


def printed_commands(text: str) -> list[str]:
    """The commands of shell blocks, of indented lines and of code in sentences, without comments, each on one line."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.S | re.M)
    rest = re.sub(r"^ *```.*?^ *```", "", text, flags=re.S | re.M)
    blocks += [match.group(1) for match in re.finditer(rf"^ {{4}}({_PROGRAMS}.*)$", rest, re.M)]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    spans = [" ".join(span.split()) for span in re.findall(r"(?<!`)`([^`]+)`", rest)]
    lines += [span for span in spans if " " in span and re.match(_PROGRAMS, span)]
    lines = [" ".join(re.sub(r"\s#\s.*$|\s# ?$", "", line).split()) for line in lines]
    return list(dict.fromkeys(line for line in lines if line))


ALL = list(dict.fromkeys(line for page in PAGES for line in printed_commands(page.read_text(encoding="utf-8"))))


def test_every_printed_command_is_run_or_has_its_reason() -> None:
    elsewhere = [line for lines in TABLE["elsewhere"].values() for line in lines]
    known = [*TABLE["run"], *TABLE["slow"], *TABLE["plan"], *elsewhere]
    assert len(known) == len(set(known)), "a command is in the table twice"
    assert sorted(set(ALL) - set(known)) == [], "printed, but not in tests/documented_commands.yaml"
    assert sorted(set(known) - set(ALL)) == [], "in tests/documented_commands.yaml, but not printed"


def test_commands_are_found_in_blocks_lines_and_sentences() -> None:
    block = "```sh\nray up a.yaml   # installs\nray job submit -- \\\n    python x.py\n```\n"
    text = f"{block}\n    python b.py --c\n\nUse `make\ndemo`, or `code`."
    assert printed_commands(text) == ["ray up a.yaml", "ray job submit -- python x.py", "python b.py --c", "make demo"]


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the pages say there is: searches of those names and days, own files, the clone's."""
    for name, day in (("A", 1), ("B", 5), ("one", 1), ("other", 6)):
        search = searched(80.0, "debsec", name=name, seed=42)
        search.record.trials.pop(1)  # the one that was stopped: a replay wants whole trials
        search.record.provenance["started"] = datetime(2026, 1, day, 12, tzinfo=UTC).isoformat()
        search.record.save(tmp_path / "runs" / name / "search.json")
    for day in (1, 2):
        History(tmp_path / "runs" / "history").append(night(day))
    write_own_task(tmp_path)
    spaces = (ROOT / "docs" / "search-spaces.md").read_text(encoding="utf-8")
    (tmp_path / "my-space.yaml").write_text(re.findall(r"^```yaml\n(.*?)^```", spaces, re.S | re.M)[0])
    sweeps = (ROOT / "docs" / "sweeps.md").read_text(encoding="utf-8")
    (tmp_path / "my-sweep.yaml").write_text(re.findall(r"^```yaml\n(.*?)^```", sweeps, re.S | re.M)[0])
    (tmp_path / "rows.csv").write_text("text\narcade game\nmail server\n")
    (tmp_path / "rows.jsonl").write_text('{"text": "arcade game"}\n{"text": "mail server"}\n')
    rows = parquet.read_table(ROOT / "trials" / "embedded" / "debsec" / "test.parquet").slice(0, 8)
    (tmp_path / "trials" / "embedded" / "debsec").mkdir(parents=True)
    parquet.write_table(rows, tmp_path / "trials" / "embedded" / "debsec" / "test.parquet")  # all 600 take a minute
    (tmp_path / "DATA" / "glue" / "rte").mkdir(parents=True)
    for split, count in (("train", 2_490), ("validation", 277)):
        made = [{"sentence1": f"{split} {n}", "sentence2": f"so {n}", "label": n % 2} for n in range(count)]
        parquet.write_table(pa.Table.from_pylist(made), tmp_path / "DATA" / "glue" / "rte" / f"{split}.parquet")
    (tmp_path / "orchestrator").symlink_to(ROOT / "orchestrator")
    monkeypatch.chdir(tmp_path)
    for variable in ("MLFLOW_TRACKING_URI", "ADEPT_OUTPUT", "ADEPT_STORAGE"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def write_own_task(folder: Path) -> None:
    """The files that docs/own-task.md prints; of validation and test it says that they look like train."""
    page = (ROOT / "docs" / "own-task.md").read_text(encoding="utf-8")
    blocks = dict(re.findall(r"^```(csv|yaml)\n(.*?)^```", page, re.S | re.M))
    (folder / "tickets").mkdir()
    (folder / "tickets" / "tickets.yaml").write_text(blocks["yaml"])
    for split in ("train", "validation", "test"):
        (folder / "tickets" / f"{split}.csv").write_text(blocks["csv"])


def run_here(command: str, *more: str) -> str:
    """Run a command of ours in this process: a shell would only add the seconds of its imports."""
    from orchestrator.cli import app

    command, _, typed = command.partition(" < ")
    words = [*shlex.split(command), *more]
    arguments = words[1:] if words[0] == "adept-search" else ["search", *words[2:]]
    assert words[0] == "adept-search" or words[:2] == ["python", "orchestrator/search.py"], command
    result = CliRunner().invoke(app, arguments, input=Path(typed).read_bytes() if typed else None)
    assert result.exit_code == 0, f"{command}\n{result.output}\n{result.exception!r}"
    return result.output


def write_adapter(folder: Path) -> None:
    """The adapter of a trial of debsec that has not been trained yet: it answers, if not well."""
    from trials import TrialConfig, get_task, load_backbone
    from trials.export.adapters import describe_adapter, save_adapter
    from trials.methods.base.module import make_method

    backbone = load_backbone("t5-nano")
    shape = {"prompt_lr": 0.1, "mlp_lr": 0.01, "prompt_length": 4, "bottleneck": 2}
    config = TrialConfig("adept", shape, steps=1, eval_every=1)
    state = make_method(config, backbone.surroundings(64)).state_dict()
    save_adapter(folder, state, describe_adapter(config, get_task("debsec"), backbone, 64, 2))


def write_source(folder: Path, task: str) -> None:
    """An adapter of prompt tuning on t5-nano, of the length that its space has, as a search of the task leaves it."""
    from trials import TrialConfig, get_task, load_backbone
    from trials.export.adapters import describe_adapter, save_adapter
    from trials.methods.base.module import make_method

    backbone = load_backbone("t5-nano")
    config = TrialConfig("pt", {"prompt_lr": 0.1, "prompt_length": 100}, steps=1, eval_every=1)
    made = make_method(config, backbone.surroundings(64))
    description = describe_adapter(config, get_task("debsec"), backbone, 64, 2) | {"task": task}
    save_adapter(folder, made.to_file(made.state_dict()), description)


def write_own_source(folder: Path, task: str, backbone: str, shape: dict[str, int]) -> None:
    """An adapter of ADePT, all zeros, as a search of the task on that backbone leaves it."""
    from safetensors.torch import save_file

    from trials.backbones.describe import describe
    from trials.methods import Sizes, get_method
    from trials.methods.base.tensors import RECIPE

    write_adapter(folder)
    facts, config = describe(backbone), folder / "adapter_config.json"
    description = json.loads(config.read_text(encoding="utf-8"))
    description |= {"task": task, "base_model_name_or_path": backbone, "backbone_revision": facts.revision}
    description["trial"]["hyperparameters"] |= shape
    config.write_text(json.dumps(description))
    tensors = get_method("adept").tensors(shape, Sizes.of(facts), RECIPE)
    shapes = {"prompt": (shape["prompt_length"], facts.width), **{name: made.shape for name, made in tensors.items()}}
    save_file({name: torch.zeros(size) for name, size in shapes.items()}, folder / "adapter_model.safetensors")


@pytest.mark.parametrize("command", TABLE["run"])
def test_a_command_runs_as_printed(fresh: Path, command: str) -> None:
    if "best_adapter" in command:
        write_adapter(fresh / "runs" / "NAME" / "best_adapter")
    run_here(command)


@pytest.mark.parametrize("command", TABLE["plan"])
def test_a_longer_command_can_be_planned(fresh: Path, command: str) -> None:
    if "--method adept --sources" in command:
        write_own_source(
            fresh / "runs" / "a" / "best_adapter", "debsec", "t5-nano", {"prompt_length": 20, "bottleneck": 39}
        )
        write_own_source(
            fresh / "runs" / "b" / "best_adapter", "mnli", "t5-base", {"prompt_length": 60, "bottleneck": 19}
        )
    elif "--sources" in command:
        for task in ("debsec", "tickets"):
            write_source(fresh / "runs" / f"{task}-pt" / "best_adapter", task)
    printed = run_here(command, "--plan")
    assert "nothing has been started" in printed
    if "--sources mnli" in command:  # Table 15's: what docs/transfer.md says of it
        assert "6 of 24 configurations have the source's shapes" in printed
        assert "8 trials x 30,000 steps" in printed  # and the winner on two further seeds


def test_the_papers_tables_are_written_in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run_here("adept-search report --tables all --formats latex")
    assert "ADePT" in (tmp_path / "report" / "report.tex").read_text(encoding="utf-8")


FEW_STEPS = "--steps 4 --eval-every 2 --devices 1 --max-concurrent 2"  # the whole of the demo's grid takes minutes


@pytest.mark.slow
def test_the_first_own_task_and_what_follows_a_search(
    ray_address: str, default_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real shell and a real search of the own-task page's first command, in a folder with nothing but its files."""
    write_own_task(tmp_path)
    (tmp_path / "orchestrator").symlink_to(ROOT / "orchestrator")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    own = {
        "PATH": path,
        "RAY_ADDRESS": ray_address,
        "RAY_AUTH_MODE": "disabled",
        "ADEPT_CACHE": str(tmp_path / "cache"),
    }
    first, *following = TABLE["slow"]
    found = subprocess.run(
        f"{first} {FEW_STEPS}", shell=True, cwd=tmp_path, env={**os.environ, **own}, text=True,
        capture_output=True, timeout=500,
    )  # fmt: skip
    printed = found.stdout + found.stderr
    assert found.returncode == 0 and "WARNING" not in printed and "Warning" not in printed, f"{first}\n{printed}"
    (name,) = (folder.name for folder in (tmp_path / "runs").iterdir() if folder.is_dir())
    monkeypatch.chdir(tmp_path)
    for command in following:
        run_here(command.replace("NAME", name))
