"""The manifests of Kubernetes, judged by its own schemas, and by what the image is."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from serve.settings import PREFIX, Settings
from tests.docker.dockerfile import Dockerfile
from tests.docker.paths import DOCKER

PATH = Path(__file__).parents[2] / "deploy" / "kubernetes" / "adaptact.yaml"
OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all(PATH.read_text(encoding="utf-8")))
VERSIONS = ("1.29", kubernetes_validate.latest_version())
IMAGE = Dockerfile.read(DOCKER / "cpu.Dockerfile").last_stage


def find(kind: str) -> dict[str, Any]:
    (found,) = (each for each in OBJECTS if each["kind"] == kind)
    return found


POD = find("Deployment")["spec"]["template"]
(SERVER,) = POD["spec"]["containers"]
GIVEN = {variable["name"]: variable["value"] for variable in SERVER["env"]}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", OBJECTS, ids=lambda manifest: manifest["kind"])
def test_kubernetes_understands_the_manifest(manifest: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


def test_a_misspelt_field_would_be_found() -> None:
    manifest = {**find("Service"), "spec": {"selektor": {}}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)


def test_everything_chooses_the_same_pods() -> None:
    labels = POD["metadata"]["labels"]
    chosen = [find("Deployment")["spec"]["selector"]["matchLabels"], find("Service")["spec"]["selector"]]
    chosen += [find("PodDisruptionBudget")["spec"]["selector"]["matchLabels"]]
    chosen += [find("NetworkPolicy")["spec"]["podSelector"]["matchLabels"]]
    assert chosen == [labels] * len(chosen)


def test_the_pod_runs_as_the_image_s_user_and_can_gain_nothing() -> None:
    user, group = IMAGE.only("USER").split(":")
    context = POD["spec"]["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"], context["runAsNonRoot"]) == (
        int(user),
        int(group),
        True,
    )
    assert SERVER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_ports_and_folders_are_those_of_the_image() -> None:
    assert str(SERVER["ports"][0]["containerPort"]) == IMAGE.environment["ADAPTACT_PORT"]
    mounts = {mount["name"]: mount["mountPath"] for mount in SERVER["volumeMounts"]}
    assert mounts["models"] == IMAGE.environment["ADAPTACT_MODELS"]
    assert mounts["weights"] == IMAGE.environment["CACHE_DIRECTORY"]
    assert Path(GIVEN["ADAPTACT_KEYS"]).parent == Path(mounts["keys"])
    assert mounts.keys() == {volume["name"] for volume in POD["spec"]["volumes"]}


def test_the_server_knows_every_setting() -> None:
    assert {name.removeprefix(PREFIX).lower() for name in GIVEN} <= Settings.model_fields.keys()


def test_the_server_has_time_to_stop() -> None:
    grace = Settings.model_fields["stop_grace_seconds"].default
    linger = float(GIVEN["ADAPTACT_STOP_LINGER_SECONDS"])
    assert POD["spec"]["terminationGracePeriodSeconds"] >= grace + linger
