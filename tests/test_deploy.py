"""What is shipped to run the server elsewhere fits the server."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from test_server_toys import serving

from index.onnx import THREADS
from qa.cli_options import milvus_token
from server.access import OPEN
from server.run import GRACE_SECONDS, LINGER_SECONDS

DEPLOY = Path(__file__).parent.parent / "docs" / "deploy"
MANIFESTS: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
HAPROXY = shutil.which("haproxy") or "/usr/sbin/haproxy"


def manifest(kind: str) -> dict[str, Any]:
    [found] = [one for one in MANIFESTS if one["kind"] == kind]
    return found


def container() -> dict[str, Any]:
    [found] = manifest("Deployment")["spec"]["template"]["spec"]["containers"]
    return found


@pytest.mark.parametrize("one", MANIFESTS, ids=lambda one: one["kind"])
@pytest.mark.parametrize("version", ["1.33", "1.37"])
def test_manifests_are_as_kubernetes_wants_them(one: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(one, version, strict=True)


def test_a_manifest_with_a_mistake_is_not() -> None:
    wrong = {**manifest("Service"), "spec": {"ports": [{"port": "http"}], "selektor": {}}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.33", strict=True)


def test_everything_is_for_the_same_pods() -> None:
    labels = manifest("Deployment")["spec"]["template"]["metadata"]["labels"]
    for selector in (
        manifest("Deployment")["spec"]["selector"]["matchLabels"],
        manifest("Service")["spec"]["selector"],
        manifest("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
    ):
        assert selector == labels
    assert (
        manifest("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"]
        == manifest("Deployment")["metadata"]["name"]
    )


def test_probes_ask_what_needs_no_key(tmp_path: Path) -> None:
    paths = {container()[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "readiness", "liveness")}
    with serving(tmp_path) as client:
        assert {path: client.get(path).status_code for path in paths} == dict.fromkeys(paths, 200)
    assert all(OPEN.fullmatch(path) for path in paths)


def test_checks_wait_as_long_as_a_busy_replica_takes() -> None:
    timeouts = {container()[f"{probe}Probe"]["timeoutSeconds"] for probe in ("startup", "readiness", "liveness")}
    [checked] = re.findall(r"^    timeout check (\d+)s$", (DEPLOY / "haproxy.cfg").read_text(), re.MULTILINE)
    assert timeouts == {int(checked)}


def test_what_is_scaled_by_is_measured(tmp_path: Path) -> None:
    [metric] = manifest("HorizontalPodAutoscaler")["spec"]["metrics"]
    with serving(tmp_path) as client:
        assert f"\n{metric['pods']['metric']['name']} 0.0\n" in client.get("/metrics").text


def test_there_is_time_to_end() -> None:
    pause = container()["lifecycle"]["preStop"]["sleep"]["seconds"]
    given = manifest("Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert given >= pause + GRACE_SECONDS + LINGER_SECONDS
    assert pause >= container()["readinessProbe"]["periodSeconds"]


def test_how_many_there_are_is_said_by_the_autoscaler_alone() -> None:
    assert "replicas" not in manifest("Deployment")["spec"]
    assert manifest("HorizontalPodAutoscaler")["spec"]["minReplicas"] == 2


def test_models_take_the_cores_that_are_asked_for() -> None:
    [threads] = [one["value"] for one in container()["env"] if one["name"] == THREADS]
    assert threads == container()["resources"]["requests"]["cpu"]


def test_the_keys_are_where_the_server_looks_for_them() -> None:
    environment = {one["name"]: one["value"] for one in container()["env"] if "value" in one}
    mounts = [one["mountPath"] for one in container()["volumeMounts"]]
    assert str(Path(environment["PULLQUOTE_KEYS"]).parent) in mounts
    assert Path(environment["PULLQUOTE_KEYS"]).name == "keys.json"


def test_the_token_is_where_the_command_line_looks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    [token] = [one for one in container()["env"] if "valueFrom" in one]
    assert token["valueFrom"]["secretKeyRef"]["optional"] is True
    monkeypatch.setenv(token["name"], "a:b")
    assert milvus_token() == "a:b"


def test_the_container_runs_what_there_is() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    assert re.search(r'^CMD \["pullquote", "serve", "--host", "0\.0\.0\.0", "--port", "8000"\]$', text, re.MULTILINE)
    assert container()["args"] == ["pullquote", "serve", "--host", "0.0.0.0", "--port", "8000"]
    user = re.search(r"^USER (\d+)$", text, re.MULTILINE)
    assert user
    assert int(user[1]) == manifest("Deployment")["spec"]["template"]["spec"]["securityContext"]["runAsUser"]


@pytest.mark.skipif(not os.access(HAPROXY, os.X_OK), reason="needs haproxy")
def test_haproxy_takes_its_configuration() -> None:
    replicas = {f"PULLQUOTE_{name}": "127.0.0.1:1" for name in ("BIND", "ONE", "TWO")}
    done = subprocess.run(
        [HAPROXY, "-c", "-f", str(DEPLOY / "haproxy.cfg")], env=replicas, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
