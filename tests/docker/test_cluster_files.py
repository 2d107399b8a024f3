"""Every shipped cluster file is one that Ray or Kubernetes would take, asks for a token, and holds no secret."""

from __future__ import annotations

import copy
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from yaml_reader import read_document

ROOT = Path(__file__).parents[2]
CLUSTERS = ROOT / "docker" / "clusters"
RAY = [*sorted(ROOT.glob("cluster*.yaml")), CLUSTERS / "aws.yaml", CLUSTERS / "gcp.yaml"]
KUBERNETES = sorted(CLUSTERS.glob("kuberay-*.yaml"))
SCHEMA = yaml.safe_load((Path(__file__).parent / "kuberay.yaml").read_text())
FILES = pytest.mark.parametrize("file", [*RAY, *KUBERNETES], ids=lambda file: file.name)
RAY_FILES = pytest.mark.parametrize("file", RAY, ids=lambda file: file.name)
KUBERNETES_FILES = pytest.mark.parametrize("file", KUBERNETES, ids=lambda file: file.name)


def read(file: Path) -> dict[str, Any]:
    return yaml.safe_load(file.read_text())


def cluster_of(document: dict[str, Any]) -> dict[str, Any]:
    spec = document["spec"]
    return spec.get("rayClusterSpec", spec)


def pods(document: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = cluster_of(document)
    return [group["template"]["spec"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]


def as_ray_up_would(config: dict[str, Any]) -> dict[str, Any]:
    """The config with Ray's defaults, checked against Ray's own schema."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    filled = prepare_config(copy.deepcopy(config))
    validate_config(filled)
    return filled


def check_kubernetes(document: dict[str, Any]) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    jsonschema.validate(document, SCHEMA)
    for spec in pods(document):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec}
        kubernetes_validate.validate(pod, "1.33", strict=True)


@RAY_FILES
def test_ray_takes_the_file(file: Path) -> None:
    as_ray_up_would(read(file))
    if "available_node_types" in read(file):
        spoilt = read(file)
        next(iter(spoilt["available_node_types"].values()))["min_worker"] = 1
        with pytest.raises(jsonschema.ValidationError):
            as_ray_up_would(spoilt)


@KUBERNETES_FILES
def test_kubernetes_takes_the_file(file: Path) -> None:
    check_kubernetes(read(file))


@FILES
def test_no_key_stands_twice(file: Path) -> None:
    """Of two equal keys YAML's readers take one, without a word."""
    assert read_document(file).problems == []


@pytest.mark.parametrize("where", ["cluster", "pod", "container"])
def test_a_misspelt_field_would_be_noticed(where: str) -> None:
    document = read(KUBERNETES[0])
    pod = pods(document)[1]
    {"cluster": cluster_of(document), "pod": pod, "container": pod["containers"][0]}[where]["colour"] = "red"
    with pytest.raises(Exception, match="colour"):
        check_kubernetes(document)


@RAY_FILES
def test_every_host_of_a_ray_cluster_has_the_token_and_asks_for_it(file: Path) -> None:
    config = read(file)
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    setup = "\n".join(config["setup_commands"])
    assert "export RAY_AUTH_MODE=token" in setup or "RAY_AUTH_MODE=token" in setup
    assert "chmod 600 ~/.ray/auth_token" in setup
    mounted = [source for source in config["file_mounts"].values() if not source.startswith("~")]
    assert not [source for source in mounted if not (ROOT / source).exists()]


@RAY_FILES
def test_ray_cluster_files_start_gpu_and_spot_machines(file: Path) -> None:
    config = read(file)
    if config["provider"]["type"] == "local":
        return
    types = config["available_node_types"]
    assert types[config["head_node_type"]]["resources"]["CPU"] == 0, (
        "a head that trains would be a head that is taken away"
    )
    assert all(kind["resources"]["GPU"] for name, kind in types.items() if name != config["head_node_type"])
    assert re.search(r"MarketType: spot|provisioningModel: SPOT", file.read_text())


@KUBERNETES_FILES
def test_pods_are_locked_down_and_watched(file: Path) -> None:
    document = read(file)
    cluster = cluster_of(document)
    assert cluster["authOptions"]["mode"] == "token"
    assert cluster["rayVersion"] == version("ray")
    for spec in pods(document):
        assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] >= 1000
        for container in spec["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
            assert {"readinessProbe", "livenessProbe"} <= container.keys()
            assert "memory" in container["resources"]["limits"]
    workers = pods(document)[1:]
    assert all(w["automountServiceAccountToken"] is False for w in workers), "what trains needs nothing of Kubernetes"
    assert any("gke-spot" in str(worker.get("nodeSelector")) for worker in workers)
    assert all("nvidia.com/gpu" in worker["containers"][0]["resources"]["limits"] for worker in workers)


def test_the_job_runs_on_the_cluster_that_is_shipped() -> None:
    cluster, job = (cluster_of(read(CLUSTERS / f"kuberay-{kind}.yaml")) for kind in ("cluster", "job"))
    assert cluster == job


@FILES
def test_no_secret_is_written_into_a_file(file: Path) -> None:
    text = file.read_text()
    assert not re.findall(r"(?i)(?:password|secret|token|access_key|api_key):\s*['\"]?[A-Za-z0-9+/_-]{16,}", text)
    assert not re.findall(r"AKIA[0-9A-Z]{16}|-----BEGIN|://[^/\s]+:[^/\s@]+@", text)
    for spec in pods(read(file)) if file in KUBERNETES else ():
        for entry in spec["containers"][0]["env"]:
            if re.search("PASSWORD|TOKEN|SECRET", entry["name"]):
                assert "secretKeyRef" in entry["valueFrom"]
