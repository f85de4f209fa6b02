"""What is shipped to run the server elsewhere fits the server."""

import os
import re
import shutil
import socket
import subprocess
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import Popen
from threading import Event, Thread
from typing import Any

import kubernetes_validate
import pytest
import yaml
from test_server_toys import serving

from index.onnx import THREADS
from qa.cli_options import milvus_token
from server.access import OPEN
from server.keys import KeyFile, Right
from server.run import GRACE_SECONDS, LINGER_SECONDS
from tests.served import free_port

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "docs" / "deploy"
MANIFESTS: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
[SCRAPED] = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text())["scrape_configs"]
HAPROXY = shutil.which("haproxy") or "/usr/sbin/haproxy"
needs_haproxy = pytest.mark.skipif(not os.access(HAPROXY, os.X_OK), reason="needs haproxy")
SECONDS = 30
"""After this a test has failed; none takes nearly as long."""


def manifest(kind: str) -> dict[str, Any]:
    [found] = [one for one in MANIFESTS if one["kind"] == kind]
    return found


def container() -> dict[str, Any]:
    [found] = manifest("Deployment")["spec"]["template"]["spec"]["containers"]
    return found


def labels() -> dict[str, str]:
    found: dict[str, str] = manifest("Deployment")["spec"]["template"]["metadata"]["labels"]
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
    for selector in (
        manifest("Deployment")["spec"]["selector"]["matchLabels"],
        manifest("Service")["spec"]["selector"],
        manifest("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
    ):
        assert selector == labels()
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


def test_what_is_scaled_by_is_measured_for_whoever_has_the_key(tmp_path: Path) -> None:
    [metric] = manifest("HorizontalPodAutoscaler")["spec"]["metrics"]
    keys = KeyFile(tmp_path / "keys.json", always=True)  # as beyond this machine
    authorization = f"{SCRAPED['authorization']['type']} {keys.add('prometheus', Right.ADMIN)}"
    with serving(tmp_path, keys=keys) as client:
        assert client.get(SCRAPED["metrics_path"]).status_code == 401
        told = client.get(SCRAPED["metrics_path"], headers={"Authorization": authorization}).text
    assert f"\n{metric['pods']['metric']['name']} 0.0\n" in told


def test_what_is_scraped_are_the_replicas() -> None:
    kept = {one["source_labels"][0]: one["regex"] for one in SCRAPED["relabel_configs"] if one.get("action") == "keep"}
    [port] = container()["ports"]
    assert kept == {
        "__meta_kubernetes_pod_label_app_kubernetes_io_name": labels()["app.kubernetes.io/name"],
        "__meta_kubernetes_pod_container_port_name": port["name"],
    }
    assert container()["args"][-1] == str(port["containerPort"])
    assert "annotations" not in manifest("Deployment")["spec"]["template"]["metadata"]  # by them no key would be sent


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


def test_the_container_is_built_of_what_is_installed_alone() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    needed = {"pyproject.toml", project["project"]["readme"], *packages}
    needed |= {one.partition("/")[0] for one in project["project"]["license-files"]}
    comment, everything, *lines = (ROOT / ".containerignore").read_text().splitlines()
    assert (comment[0], everything, lines.pop()) == ("#", "*", "**/__pycache__")
    assert {line.removeprefix("!") for line in lines} == needed
    assert all(line.startswith("!") for line in lines)


@needs_haproxy
def test_haproxy_takes_its_configuration() -> None:
    replicas = {f"PULLQUOTE_{name}": "127.0.0.1:1" for name in ("BIND", "ONE", "TWO")}
    done = subprocess.run(
        [HAPROXY, "-c", "-f", str(DEPLOY / "haproxy.cfg")], env=replicas, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


class Replicas(ThreadingHTTPServer):
    """Is ready, holds up additions until it may go on, and breaks off or is silent at all else; counts what it is
    sent, but for checks."""

    def __init__(self, breaks_off: bool) -> None:
        replicas = self
        self.sent: Counter[str] = Counter()
        self.arrived, self.go_on = Event(), Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/v1/ready":
                    self.send_response(200)
                    self.end_headers()
                else:
                    self.count()

            def do_POST(self) -> None:
                self.count()
                if not breaks_off:
                    replicas.arrived.set()
                    replicas.go_on.wait(SECONDS)
                    self.send_response(200)
                    self.end_headers()

            def do_DELETE(self) -> None:
                self.count()

            def count(self) -> None:
                replicas.sent[f"{self.command} {self.path}"] += 1

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


def wait_for(port: int) -> None:
    """Until something listens there."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.01)


@contextmanager
def balanced(replicas: Replicas, configuration: Path) -> Iterator[Callable[[str, str], int]]:
    """Sends a request through HAProxy and returns the status of its response."""
    port = free_port()
    named = {"BIND": port, "ONE": replicas.server_port, "TWO": replicas.server_port}
    environment = {f"PULLQUOTE_{name}": f"127.0.0.1:{number}" for name, number in named.items()}

    def send(method: str, path: str) -> int:
        connection = HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        with closing(connection):
            connection.request(method, path, b"{}")  # head and body apart, as many clients do
            return connection.getresponse().status

    with Popen([HAPROXY, "-db", "-f", str(configuration)], env=environment) as process, replicas:
        serving = Thread(target=replicas.serve_forever)
        serving.start()
        try:
            wait_for(port)
            yield send
        finally:
            process.terminate()
            replicas.shutdown()
            serving.join()


@needs_haproxy
def test_only_what_changes_nothing_is_sent_again_where_a_replica_breaks_off() -> None:
    replicas = Replicas(breaks_off=True)
    again = ["GET /v1/articles/a", "POST /v1/ask", "POST /c/press/v1/search", "POST /mcp"]
    once = ["POST /v1/articles", "POST /c/press/articles", "DELETE /v1/articles/a", "POST /v1/feedback", "POST /remove"]
    with balanced(replicas, DEPLOY / "haproxy.cfg") as send:
        assert {send(*request.split()) for request in [*again, *once]} == {502}
    assert replicas.sent == dict.fromkeys(again, 4) | dict.fromkeys(once, 1)


@needs_haproxy
def test_an_addition_may_take_longer_than_all_else(tmp_path: Path) -> None:
    text = (DEPLOY / "haproxy.cfg").read_text()
    assert "timeout server 60s" in text
    (tmp_path / "haproxy.cfg").write_text(text.replace("timeout server 60s", "timeout server 100ms"))
    replicas = Replicas(breaks_off=False)
    with balanced(replicas, tmp_path / "haproxy.cfg") as send, ThreadPoolExecutor(2) as others:
        added = others.submit(send, "POST", "/c/press/v1/articles")
        assert replicas.arrived.wait(SECONDS)
        assert send("POST", "/v1/ask") == 504  # later than the addition was begun
        replicas.go_on.set()
        assert added.result(SECONDS) == 200
