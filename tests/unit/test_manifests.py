"""The Kubernetes manifests and the image's Dockerfile say what the code understands.

Where kubectl is on the machine, the overlays are built and every built resource is checked; elsewhere every
resource is checked as it stands in its file.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from pentad_bus.settings import BusSettings
from pentad_client.config import ClientConfig
from pentad_common.settings import PREFIX, ServiceSettings
from pentad_llm_gateway.settings import GatewaySettings

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "deploy/k8s"
KUBERNETES = ("1.33", "1.37")
SERVICES = ("bus", "registry", "context", "orchestrator", "llm-gateway")
OVERLAYS = ("dev", "prod", "prod-redis")

Resource = dict[str, Any]


def kustomization(folder: Path) -> Resource:
    return dict(yaml.safe_load((folder / "kustomization.yaml").read_text()))


def sources(folder: Path) -> Iterator[Resource]:
    """The resources that a kustomization names, as they stand in the files, with all below it."""
    for name in kustomization(folder)["resources"]:
        path = (folder / name).resolve()
        if path.is_dir():
            yield from sources(path)
        else:
            yield from yaml.safe_load_all(path.read_text())


@cache
def resources(overlay: str) -> list[Resource]:
    folder = MANIFESTS / "overlays" / overlay
    if shutil.which("kubectl") is None:
        return list(sources(folder))
    built = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return list(yaml.safe_load_all(built.stdout))


def pods(overlay: str) -> Iterator[tuple[str, Resource]]:
    """Name and pod specification of everything that runs pods."""
    for resource in resources(overlay):
        if resource["kind"] in ("Deployment", "Job"):
            yield resource["metadata"]["name"], resource["spec"]["template"]["spec"]


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_resource_fits_its_schema(overlay: str, version: str) -> None:
    """The oldest and the newest Kubernetes that we speak of accept every resource, without unknown fields."""
    for resource in resources(overlay):
        kubernetes_validate.validate(resource, version, strict=True)
    assert len(resources(overlay)) > 10


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_have_no_privileges(overlay: str) -> None:
    """No pod is root, writes to its image, keeps a capability or holds a token for the cluster's API."""
    for name, pod in pods(overlay):
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["enableServiceLinks"] is False, (
            f"{name}: Kubernetes would set PENTAD_… variables of its own"
        )
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["readOnlyRootFilesystem"] is True, name
            assert container["resources"]["limits"]["memory"], name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_services_are_probed_over_grpc_and_can_drain(overlay: str) -> None:
    """Each service has three gRPC probes, and more time to stop than it may take to drain."""
    drain = float(setting(overlay, "PENTAD_DRAIN_SECONDS"))
    for _, pod in pods(overlay):
        for container in (c for c in pod["containers"] if c["name"] == "service"):
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                assert container[probe]["grpc"]["port"] == int(setting(overlay, "PENTAD_PORT"))
            pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
            assert pod["terminationGracePeriodSeconds"] > drain + pause


def setting(overlay: str, name: str) -> str:
    [settings] = [r for r in resources(overlay) if r["metadata"]["name"] == "pentad-settings"]
    return str(settings["data"][name])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_variable_is_a_setting(overlay: str) -> None:
    """What the manifests set, services or clients read: no variable is misspelt or out of date."""
    known = {
        *ServiceSettings.model_fields,
        *BusSettings.model_fields,
        *GatewaySettings.model_fields,
        *ClientConfig.__dataclass_fields__,
        "agents_dir",
    }
    [settings] = [r for r in resources(overlay) if r["metadata"]["name"] == "pentad-settings"]
    named = set(settings["data"])
    for _, pod in pods(overlay):
        named |= {
            v["name"] for c in pod["containers"] for v in c.get("env", []) if v["name"].startswith(PREFIX)
        }
    assert {name.removeprefix(PREFIX).lower() for name in named} <= known


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_services_read_the_shared_settings(overlay: str) -> None:
    """Every container of ours takes the shared settings; patches leave the list that names them whole."""
    ours = [c for _, pod in pods(overlay) for c in pod["containers"] if c["name"] in ("service", "agents")]
    assert ours
    for container in ours:
        assert {"configMapRef": {"name": "pentad-settings"}} in container["envFrom"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_selectors_select(overlay: str) -> None:
    """Every Service, autoscaler and disruption budget points at pods of a Deployment that exists."""
    deployments = {r["metadata"]["name"]: r for r in resources(overlay) if r["kind"] == "Deployment"}
    labels = {name: r["spec"]["template"]["metadata"]["labels"].items() for name, r in deployments.items()}
    for resource in resources(overlay):
        name, spec = resource["metadata"]["name"], resource.get("spec", {})
        if resource["kind"] == "Service":
            assert spec["selector"].items() <= labels[name]
        elif resource["kind"] == "PodDisruptionBudget":
            assert spec["selector"]["matchLabels"].items() <= labels[name]
            assert spec["selector"] == deployments[name]["spec"]["selector"]
        elif resource["kind"] == "HorizontalPodAutoscaler":
            assert spec["scaleTargetRef"]["name"] in deployments
            assert "replicas" not in deployments[name]["spec"], "the autoscaler owns this number"


@pytest.mark.parametrize("service", SERVICES)
def test_service_has_its_folder_image_and_extra(service: str) -> None:
    """A service is named alike in the manifests, the image's build argument and the distribution's extras."""
    base = kustomization(MANIFESTS / "base" / service)
    assert base["nameSuffix"] == f"-{service}"
    assert base["images"] == [{"name": "pentad-service", "newName": f"pentad-{service}"}]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert service in project["optional-dependencies"]
    assert service in kustomization(MANIFESTS / "base")["resources"]


@pytest.mark.parametrize("service", [*SERVICES, "agents"])
def test_an_image_starts_its_program(service: str) -> None:
    """What the image runs, `python -m pentad_<service>`, is there."""
    package = f"pentad_{service.replace('-', '_')}"
    assert importlib.util.find_spec(f"{package}.__main__") is not None


def test_agents_are_probed() -> None:
    """A host of agents counts as ready when its health check says so, on the port that it is told."""
    [container] = [c for _, pod in pods("prod") for c in pod["containers"] if c["name"] == "agents"]
    assert container["readinessProbe"]["grpc"]["port"] == int(setting("prod", "PENTAD_PORT"))


def test_kustomizations_name_files_that_exist() -> None:
    """No kustomization names a patch or a generator's file that is not there."""
    for path in MANIFESTS.rglob("kustomization.yaml"):
        content = kustomization(path.parent)
        patches = [patch["path"] for patch in content.get("patches", []) if "path" in patch]
        generated = [
            name for generator in content.get("configMapGenerator", []) for name in generator["files"]
        ]
        for name in [*content.get("resources", ()), *patches, *generated]:
            assert (path.parent / name).exists(), f"{path}: {name}"


def test_dockerfile_runs_as_the_user_of_the_manifests() -> None:
    """The image's user is the one that pods run as, so that files in volumes belong to it."""
    text = (ROOT / "deploy/docker/Dockerfile").read_text()
    users = {pod["securityContext"]["runAsUser"] for name, pod in pods("prod")}
    assert users == {10001}
    assert "ARG UID=10001" in text and "USER ${UID}:${UID}" in text


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_http_door_is_reached(overlay: str) -> None:
    """The gateway listens on the port that its Service and the network policy name."""
    if shutil.which("kubectl") is None:
        return  # what patches make of it can only be seen when they are applied
    by_kind = {(r["kind"], r["metadata"]["name"]): r for r in resources(overlay)}
    [container] = by_kind["Deployment", "pentad-llm-gateway"]["spec"]["template"]["spec"]["containers"]
    [port] = [v["value"] for v in container["env"] if v["name"] == "PENTAD_LLM_HTTP_PORT"]
    [target] = [
        p["targetPort"]
        for p in by_kind["Service", "pentad-llm-gateway"]["spec"]["ports"]
        if p["name"] == "http"
    ]
    [listening] = [p["containerPort"] for p in container["ports"] if p["name"] == target]
    policy = by_kind["NetworkPolicy", "pentad-http"]["spec"]
    labels = by_kind["Deployment", "pentad-llm-gateway"]["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert {int(port), policy["ingress"][0]["ports"][0]["port"]} == {listening}
