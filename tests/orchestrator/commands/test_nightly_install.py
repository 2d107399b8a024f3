"""What ``nightly install`` prints is what a clock takes, and the files of docker/nightly are what it prints."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.nights.clock.forms import Clock
from tests.commands import adept
from tests.docker.test_cluster_files import CLUSTERS, check_kubernetes, cluster_of, read

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "docker" / "nightly").iterdir())
ODD = "50% o'clock $HOME"  # a folder's name with what shells, cron and systemd give a meaning of their own
STAND_IN = """#!/bin/sh
echo "a line for the log"
{ pwd; printf '%s\\n' "$@"; } > "$(dirname "$0")/called"
env > "$(dirname "$0")/environment"
"""


def printed(folder: Path, *options: str) -> str:
    return adept(folder, "nightly", "install", "demo", *options)


def printed_by(text: str) -> list[str]:
    """The command in a file's first comment."""
    (command,) = re.findall(r"Printed by\n#   (adept-search .*)", text)
    return shlex.split(command)[1:]


def documents(text: str) -> dict[str, Any]:
    """The documents of a YAML file for Kubernetes, by their kinds."""
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


@pytest.fixture
def place() -> Iterator[tuple[Path, list[str]]]:
    """A folder of an odd name, and options that put everything there; the program is one that notes its call.

    Not below `tmp_path`, which is so long that cron's longest line is reached.
    """
    with tempfile.TemporaryDirectory() as folder:
        odd = Path(folder) / ODD
        odd.mkdir()
        yield odd, options_of(odd)


def options_of(odd: Path) -> list[str]:
    """Make what a night needs in a folder, and name it."""
    (odd / "adept-search").write_text(STAND_IN)
    (odd / "adept-search").chmod(0o755)
    (odd / "nightly.env").write_text("NIGHTLY_WEBHOOK='http://127.0.0.1:9/a b'\nHF_HUB_OFFLINE=1\n")
    (odd / "nightly.env").chmod(0o600)
    where = {"output": "runs", "folder": ".", "environment": "nightly.env", "program": "adept-search"}
    return [word for option, name in where.items() for word in (f"--{option}", str(odd / name))]


def unescaped(line: str) -> str:
    """The command that cron makes of a crontab's line: after five fields, up to a % without a backslash."""
    fields = line.split(maxsplit=5)
    return re.split(r"(?<!\\)%", fields[5])[0].replace(r"\%", "%")


def test_the_crontab_line_runs_anywhere_with_nothing(place: tuple[Path, list[str]]) -> None:
    odd, options = place
    text = printed(odd, "--cron", *options, "--at", "3:07")
    (line,) = [line for line in text.splitlines() if not line.startswith(("#", "note: "))]
    assert line.startswith("7 3 * * * ")
    # What Debian's cron gives a command.
    bare = {"HOME": "/", "LOGNAME": "nobody", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(["/bin/sh", "-c", unescaped(line)], cwd="/", env=bare, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (odd / "called").read_text().splitlines() == [
        str(odd), "nightly", "demo", "--output", str(odd / "runs"),
    ]  # fmt: skip
    assert (odd / "runs" / "nightly-demo.log").read_text() == "a line for the log\n"
    (odd / "nightly.env").write_text("NAME='VALUE\n")
    broken = subprocess.run(["/bin/sh", "-c", unescaped(line)], cwd="/", env=bare, capture_output=True, text=True)
    assert broken.returncode and not broken.stderr and "nightly.env" in (odd / "runs" / "nightly-demo.log").read_text()
    environment = (odd / "environment").read_text()
    assert "NIGHTLY_WEBHOOK=http://127.0.0.1:9/a b\n" in environment and "HF_HUB_OFFLINE=1\n" in environment
    assert f"PATH={odd}:/usr/local/bin:/usr/bin:/bin\n" in environment


def test_a_line_that_cron_would_not_take_is_refused(place: tuple[Path, list[str]]) -> None:
    odd, options = place
    deep = odd.joinpath(*["a" * 200] * 2)
    message = adept(odd, "nightly", "install", "demo", "--cron", *options, "--output", str(deep), code=2)
    assert "bytes, and cron takes 990; use --systemd" in message


def test_systemd_takes_the_units(place: tuple[Path, list[str]]) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    odd, options = place
    printed(odd, "--systemd", *options, "--random-delay", "20", "--user", "daemon", "--out", str(odd))
    units = [odd / f"adept-nightly-demo.{kind}" for kind in ("service", "timer")]
    verified = subprocess.run([program, "verify", *units], capture_output=True, text=True, timeout=60)
    assert verified.returncode == 0 and not re.search(r"adept-nightly", verified.stderr), verified.stderr
    assert "RandomizedDelaySec=20min\n" in units[1].read_text() and "User=daemon\n" in units[0].read_text()
    assert "$$HOME" in units[0].read_text() and "50%% o" in units[0].read_text()


def test_kubernetes_takes_the_cron_job_and_the_job_that_it_makes(tmp_path: Path) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    found = documents(printed(tmp_path, "--kubernetes", "--every", "weekday"))
    for document in found.values():
        kubernetes_validate.validate(document, "1.33", strict=True)
    cron = found["CronJob"]["spec"]
    assert (cron["schedule"], cron["concurrencyPolicy"]) == ("0 2 * * 1-5", "Forbid")
    pod = cron["jobTemplate"]["spec"]["template"]["spec"]
    for container in (*pod["initContainers"], *pod["containers"]):
        assert container["securityContext"]["allowPrivilegeEscalation"] is False and container["resources"]["limits"]
    # A night that takes longer than a day is waited for, so that the next one does not clear it away.
    (hours,) = re.findall(r"--timeout=(\d+)h", " ".join(pod["initContainers"][-1]["command"]))
    assert 48 * 3600 < int(hours) * 3600 < cron["jobTemplate"]["spec"]["activeDeadlineSeconds"]
    job = yaml.safe_load(found["ConfigMap"]["data"]["rayjob.yaml"])
    check_kubernetes(job)
    assert job["metadata"]["name"] in pod["initContainers"][0]["command"]
    assert job["spec"]["entrypoint"] == "adept-search nightly demo" and job["spec"]["backoffLimit"] == 0
    cluster = cluster_of(job)
    head = cluster["headGroupSpec"]["template"]["spec"]["containers"][0]
    assert head.pop("envFrom") == [{"secretRef": {"name": "adept-nightly", "optional": True}}]
    assert cluster == cluster_of(read(CLUSTERS / "kuberay-job.yaml")), "another cluster than the one that is shipped"


def test_the_workflow_keeps_the_history_of_a_worse_night(tmp_path: Path) -> None:
    workflow = yaml.load(printed(tmp_path, "--github", "--schedule", "5 1 * * 0"), Loader=yaml.BaseLoader)
    assert workflow["on"]["schedule"] == [{"cron": "5 1 * * 0"}] and workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"] == {"group": "nightly-demo", "cancel-in-progress": "false"}
    (job,) = workflow["jobs"].values()
    night = [step.get("run") for step in job["steps"]].index("adept-search nightly demo --output nights")
    after = job["steps"][night + 1 :]
    assert {step["uses"].split("@")[0] for step in after} == {"actions/cache/save", "actions/upload-artifact"}
    assert all(step["if"] == "always()" for step in after)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_shipped_file_is_what_the_command_prints(file: Path, tmp_path: Path) -> None:
    """Those of sweep demo; the command stands in each file, or in the unit beside it."""
    text = file.read_text()
    command = printed_by(text if "Printed by" in text else file.with_suffix(".service").read_text())
    adept(tmp_path, *command, "--out", str(tmp_path))
    assert (tmp_path / file.name).read_text() == text, (
        f"write it again: adept-search {shlex.join(command)} --out FOLDER"
    )


def test_each_clock_has_its_file_in_the_clone() -> None:
    clocks = {word.removeprefix("--") for file in FILES for word in printed_by_or_none(file) if word[2:] in list(Clock)}
    assert clocks == set(Clock)


def printed_by_or_none(file: Path) -> list[str]:
    return printed_by(file.read_text()) if "Printed by" in file.read_text() else []


def test_several_clocks_are_printed_one_after_the_other(tmp_path: Path) -> None:
    text = printed(tmp_path, "--cron", "--systemd")
    names = re.findall(r"^# ---- (.*)$", text, re.MULTILINE)
    assert names == ["crontab", "adept-nightly-demo.service", "adept-nightly-demo.timer"]


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    message = adept(tmp_path, "nightly", "install", "no.d/such.yaml", "--at", "2", "--every", "never", code=2)
    assert message.count("\n  - ") >= 3
    for words in ("give one or more of --cron, --systemd", "--at 2:", "--every never:"):
        assert words in message
    systemd_only = ["--random-delay", "5", "--user", "a b"]
    message = adept(tmp_path, "nightly", "install", "no.d/such.yaml", "--cron", *systemd_only, code=2)
    for words in ("no.d/such.yaml: there is no such", "--random-delay 5: it goes with --systemd", "--user a b"):
        assert words in message
    assert not list(tmp_path.iterdir())


def test_a_sweep_of_ones_own_has_to_be_where_the_night_runs(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text("tasks: [debsec]\nbackbones: [t5-nano]\nnotify: {webhook: MY_WEBHOOK, smtp: smtp.txt}\n")
    assert f"nightly {own} --output" in adept(tmp_path, "nightly", "install", "mine.yaml", "--cron")
    for clock, words in (("compose", "/results/mine.yaml"), ("kubernetes", "/results/"), ("github", "no repository")):
        assert words in adept(tmp_path, "nightly", "install", "mine.yaml", f"--{clock}", code=2)
    assert '"/results/mine.yaml"' in adept(tmp_path, "nightly", "install", "/results/mine.yaml", "--compose")
    (tmp_path / ".git").mkdir()
    workflow = adept(tmp_path, "nightly", "install", "mine.yaml", "--github")
    assert "adept-search nightly mine.yaml" in workflow and "MY_WEBHOOK: ${{ secrets.MY_WEBHOOK }}" in workflow
    own.write_text("tasks: [debsec]\nbackbone: t5-nano\n")
    assert "mine.yaml:2" in adept(tmp_path, "nightly", "install", "mine.yaml", "--cron", code=2)


def test_sweeps_of_long_names_have_units_of_their_own(tmp_path: Path) -> None:
    names = [f"every-method-of-the-paper-on-{model}" for model in ("t5-nano", "t5-base")]
    for name in names:
        (tmp_path / f"{name}.yaml").write_text("tasks: [debsec]\nbackbones: [t5-nano]\n")
        adept(tmp_path, "nightly", "install", f"{name}.yaml", "--systemd", "--out", "clock")
    units = sorted(file.name for file in (tmp_path / "clock").iterdir())
    assert len(units) == 4 and all(unit.startswith("adept-nightly-every-method-of-the-pap") for unit in units)


def test_what_the_clock_will_lack_is_named_without_its_value(
    place: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    odd, options = place
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "never-to-be-printed")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (odd / "nightly.env").chmod(0o644)
    text = printed(odd, "--cron", *options)
    assert "MLFLOW_TRACKING_PASSWORD" in text and "chmod 600" in text
    assert "never-to-be-printed" not in text and "HF_HUB_OFFLINE" not in text


def test_what_the_notifications_of_a_sweep_want_is_named_where_the_clock_lacks_it(
    place: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    odd, options = place
    (odd / "mine.yaml").write_text("tasks: [debsec]\nbackbones: [t5-nano]\nnotify: {webhook: TEAM_CHAT}\n")
    monkeypatch.setenv("SSL_CERT_FILE", "never-to-be-printed")
    monkeypatch.setenv("https_proxy", "never-to-be-printed")
    install = ("nightly", "install", str(odd / "mine.yaml"), *options)
    text = adept(odd, *install, "--systemd")
    assert "notifications want TEAM_CHAT" in text and "SSL_CERT_FILE, https_proxy" in text
    assert "never-to-be-printed" not in text
    with (odd / "nightly.env").open("a") as stream:
        stream.write("TEAM_CHAT=https://chat.example.org/hook?a=1&key=$x\n# no=line & none\n")
    text = adept(odd, *install, "--systemd")
    assert "TEAM_CHAT" not in text and "a shell" not in text
    assert "write NAME='VALUE' for TEAM_CHAT\n" in adept(odd, *install, "--cron")


def test_the_script_for_ray_submit_is_the_whole_command_line(tmp_path: Path) -> None:
    """Copied alone to a host that has the packages, as `ray submit` does."""
    script = Path(shutil.copy(ROOT / "orchestrator" / "command.py", tmp_path))
    command = [sys.executable, str(script), "nightly", "install", "demo", "--github"]
    packages = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=packages)
    assert done.returncode == 0 and "concurrency:" in done.stdout, done.stderr


def test_a_first_word_that_is_no_sub_command_is_the_sweep_of_a_night(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.run import detach

    assert "demoo: there is no such sweep" in adept(tmp_path, "nightly", "demoo", code=2)
    assert "--date June: a night is named by" in adept(tmp_path, "nightly", "demo", "--plan", "--date", "June", code=2)
    begun: list[tuple[list[str], Path]] = []
    monkeypatch.setattr(detach, "is_wanted", lambda: True)
    monkeypatch.setattr(detach, "run_command_detached", lambda words, log, *_: begun.append((words, log)) or 3)
    monkeypatch.setattr(sys, "argv", ["command.py", "nightly", "demo"])
    adept(tmp_path, "nightly", "demo", code=3)
    assert begun == [(["nightly", "demo"], tmp_path / "runs" / "demo" / "night.log")]
