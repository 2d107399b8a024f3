"""The images and the compose file, as far as that can be told without a container engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
STEPS = DOCKER / "steps"
SCRIPTS = [DOCKER / "bare.sh", DOCKER / "make-secrets.sh", *sorted(STEPS.glob("*.sh"))]


def program(name: str) -> str:
    """A linter, from the environment that runs the tests."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: pip install -e '.[test]'")
    return found


def run(*command: str | Path, **variables: str) -> str:
    environment = {**os.environ, **variables}
    done = subprocess.run(command, cwd=DOCKER, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module", params=["compose.yaml", "compose.gpu.yaml", "nightly/compose.yaml"])
def services(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    return services_of(*(["-f", request.param] if request.param != "compose.yaml" else []))


def services_of(*files: str, **variables: str) -> dict[str, dict[str, Any]]:
    """The services as compose understands them: with all variables, anchors and defaults filled in."""
    command = [program("docker-compose"), "-f", "compose.yaml", *files, "--profile", "nightly"]
    return json.loads(run(*command, "config", "--format", "json", **variables))["services"]


def script_of(service: dict[str, Any]) -> Path | None:
    command = service.get("command") or []
    return STEPS / Path(command[0]).name if command else None


def secrets_read_by(script: Path) -> set[str]:
    """The names of the secrets that a step reads, itself or through the files that it runs."""
    text = script.read_text()
    text += "".join((STEPS / name).read_text() for name in re.findall(r"/(ray\.sh|make_user\.py)\"", text))
    found = re.findall(r"\bsecret (\w+)|secrets / \"(\w+)\"", text)
    return {name for pair in found for name in pair if name}


def test_the_dockerfile_is_clean() -> None:
    run(program("hadolint"), "Dockerfile")


def test_the_scripts_are_clean_and_can_be_started() -> None:
    run(program("shellcheck"), "--external-sources", "--source-path", STEPS, *SCRIPTS)
    sourced = {"common.sh", "ray.sh"}
    for script in SCRIPTS:
        assert bool(script.stat().st_mode & stat.S_IXUSR) == (script.name not in sourced), script.name


def test_no_image_runs_as_root_or_without_a_health_check() -> None:
    stages = re.split(r"^FROM ", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE)[1:]
    targets = {stage.splitlines()[0].split()[-1]: stage for stage in stages}
    for name in ("cpu", "gpu", "tracking"):
        assert "USER 1000:1000" in targets[name] and "HEALTHCHECK" in targets[name]
    assert not [s for s in stages if re.search(r"(?i)^(?:ARG|ENV) \w*(?:PASSWORD|TOKEN|SECRET)", s, re.MULTILINE)]


def test_the_builder_is_sent_what_it_copies_and_no_secrets() -> None:
    sent = (DOCKER / "Dockerfile.dockerignore").read_text().split()
    named = [name.removeprefix("!") for name in sent if name.startswith("!")]
    assert not [name for name in named if not (ROOT / name).exists()]
    assert sorted(named) == sorted(set(named))
    assert "*" in sent and not [name for name in named if "secret" in name or name in (".", "docker")]
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE)
    wanted = {name for line in copied for name in line.split() if name != "."}
    assert wanted <= set(named)


def test_every_service_is_locked_down_limited_and_watched(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["deploy"]["resources"]["limits"].keys() >= {"cpus", "memory"}, name
        assert service["healthcheck"].get("test") or name == "user", name
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", ())), name
        assert not service.get("privileged"), name
    assert "storage" not in services["head"]["networks"], "who searches has no way to the database"
    assert services["postgres"]["networks"].keys() == {"storage"}


def test_each_service_gets_the_secrets_that_its_step_reads_and_no_others(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        given = {secret["source"] for secret in service.get("secrets", ())}
        script = script_of(service)
        if script is None:
            assert (name, given) == ("postgres", {"postgres_password"})
            continue
        wanted = secrets_read_by(script)
        assert given == wanted, f"{name}: {script.name} reads {sorted(wanted)}"
        for value in (service.get("environment") or {}).values():
            assert not re.search(r"://[^/\s]+:[^/\s]+@", str(value)), name


def test_services_wait_for_what_they_need(services: dict[str, dict[str, Any]]) -> None:
    needs = {name: {k: v["condition"] for k, v in s.get("depends_on", {}).items()} for name, s in services.items()}
    assert needs["mlflow"] == {"postgres": "service_healthy", "artifacts": "service_healthy"}
    assert needs["head"] == {"user": "service_completed_successfully"}
    assert needs["worker"] == needs["nightly"] == {"head": "service_healthy"}


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({}, "/var/lib/postgresql/data"),
        ({"POSTGRES_IMAGE": "postgres:18-bookworm", "POSTGRES_DATA": "/var/lib/postgresql"}, "/var/lib/postgresql"),
    ],
)
def test_the_database_is_where_its_image_keeps_it(variables: dict[str, str], place: str) -> None:
    """From 18 on an official image refuses a volume at the old place, and a fresh one there would be root's."""
    service = services_of(**variables)["postgres"]
    (volume,) = service["volumes"]
    assert (volume["source"], volume["target"]) == ("database", place)
    assert "PGDATA" not in service["environment"]
    named = set(re.findall(r"`(POSTGRES_\w+)=[^`]+`", (ROOT / "docs" / "tracking-server.md").read_text()))
    assert named >= variables.keys()


def test_the_tracking_server_answers_by_the_names_of_a_proxy(tmp_path: Path) -> None:
    """And by its own all the same, which the other services and this machine use."""
    (tmp_path / "mlflow").write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n')
    (tmp_path / "mlflow").chmod(0o755)
    secrets = ("postgres_password", "mlflow_admin_password", "mlflow_session_key", "artifacts_key_id", "artifacts_key")
    for name in secrets:
        (tmp_path / name).write_text("0123")
    asked = {"ALLOWED_HOSTS": "mlflow.example.org", "ALLOWED_ORIGINS": "https://mlflow.example.org"}
    own = ["localhost", "localhost:*", "127.0.0.1", "127.0.0.1:*", "mlflow:*"]
    for given, hosts, origins in (({}, own, ""), (asked, [*own, "mlflow.example.org"], "https://mlflow.example.org")):
        passed = services_of(**given)["mlflow"]["environment"]
        assert passed.keys() == asked.keys()
        folders = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SECRETS": str(tmp_path), "SCRATCH": str(tmp_path)}
        words = run(STEPS / "mlflow.sh", **passed, **folders).splitlines()
        assert words[words.index("--allowed-hosts") + 1].split(",") == hosts
        assert words[words.index("--cors-allowed-origins") + 1] == origins


def test_ray_wants_its_token_in_every_container(services: dict[str, dict[str, Any]]) -> None:
    for name in ("head", "worker", "nightly"):
        assert services[name]["environment"]["RAY_AUTH_MODE"] == "token"
        assert services[name]["environment"]["RAY_AUTH_TOKEN_PATH"] == "/run/secrets/ray_token"


def test_secrets_are_random_kept_and_out_of_the_repository(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert run(DOCKER / "make-secrets.sh", folder) == ""
    first = {file.name: file.read_text() for file in folder.iterdir()}
    named = set(re.findall(r"^  (\w+): {file: secrets/", (DOCKER / "compose.yaml").read_text(), re.MULTILINE))
    assert first.keys() == named
    assert len(set(first.values())) == len(first) and all(len(value) == 48 for value in first.values())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (folder / "ray_token").unlink()
    run(DOCKER / "make-secrets.sh", folder)
    second = {file.name: file.read_text() for file in folder.iterdir()}
    assert {name for name in first if first[name] != second[name]} == {"ray_token"}
    if (ROOT / ".git").exists():
        assert "secrets" in run("git", "check-ignore", "secrets/ray_token")


def test_an_image_installs_what_the_project_names() -> None:
    command: list[str | Path] = [sys.executable, STEPS / "requirements.py", ROOT / "pyproject.toml"]
    project = run(*command, "project", "cluster").splitlines()
    assert "torch>=2.6" in project and any(line.startswith("ray[default]") for line in project)
    server = run(*command, "server").splitlines()
    assert any(line.startswith("mlflow[auth]") for line in server)
    assert not [line for line in server if line.startswith(("torch", "ray"))], "the tracking image needs neither"
    wrong = subprocess.run([*command, "serve"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 1 and "use project, " in wrong.stderr


def test_the_clock_of_compose_begins_a_night_each_time_also_after_a_bad_one(tmp_path: Path) -> None:
    calls = {
        "python3": f'exec {sys.executable} "$@"',
        "sleep": 'echo "sleep $1" >>"$CALLS"',
        "ray": 'echo "ray $*" >>"$CALLS"; [[ $(wc -l <"$CALLS") -lt 4 ]] || kill $PPID; exit 3',
    }
    for name, line in calls.items():
        (tmp_path / name).write_text(f"#!/usr/bin/env bash\n{line}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "ray_token").write_text("0123")
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": str(ROOT), "CALLS": str(tmp_path / "calls"),
        "SECRETS": str(tmp_path), "SWEEP": "demo", "SCHEDULE": "* * * * *", "HEAD": "http://head:8265",
    }  # fmt: skip
    done = subprocess.run([STEPS / "nightly.sh"], env=environment, capture_output=True, text=True, timeout=60)
    waited, *rest = (tmp_path / "calls").read_text().splitlines()
    assert 0 < int(waited.removeprefix("sleep ")) <= 60
    assert rest[0] == rest[2] == "ray job submit --address http://head:8265 -- adept-search nightly demo", rest
    assert "the night of demo ended with code 3" in done.stdout, done.stderr
    wrong = {**environment, "SCHEDULE": "daily"}
    done = subprocess.run([STEPS / "nightly.sh"], env=wrong, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "SCHEDULE=daily" in done.stderr
