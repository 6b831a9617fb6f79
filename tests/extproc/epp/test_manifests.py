"""docs/epp-istio.yaml: what stands in one object fits what stands in the others, and the command. And the
tests that docs/epp.md names."""

import re
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from extproc.cli.commands import build
from extproc.epp.pipeline import find_pool
from extproc.policy.load import load
from extproc.server import ALIVE_SERVICES, HEALTH_SERVICES

ROOT = Path(__file__).parents[3]
FILE = ROOT / "docs" / "epp-istio.yaml"


@pytest.fixture(scope="module")
def objects():
    found = list(yaml.safe_load_all(FILE.read_text()))
    named = {(each["kind"], each["metadata"]["name"]): each for each in found}
    assert len(named) == len(found)
    assert {each["metadata"]["namespace"] for each in found} == {"llm"}
    return named


@pytest.fixture
def pod(objects):
    return objects["Deployment", "headgate-epp"]["spec"]["template"]


@pytest.fixture
def flags(pod):
    """What the command makes of its arguments."""
    (container,) = pod["spec"]["containers"]
    assert container["command"] == ["headgate", "epp"]
    command = get_command(build(["epp"])).commands["epp"]
    return command.make_context("epp", list(container["args"])).params


def test_the_picker_has_the_pool_of_its_policy(objects, flags, tmp_path):
    for name, text in objects["ConfigMap", "headgate-epp"]["data"].items():
        (tmp_path / name).write_text(text)
    pool = find_pool(load([tmp_path]), flags["pool"])
    (source,) = pool.discover
    service = objects["Service", source.kubernetes.service]
    assert service["spec"]["clusterIP"] == "None"
    assert source.kubernetes.port in [port["port"] for port in service["spec"]["ports"]]
    given = objects["InferencePool", "llama"]["spec"]
    assert service["spec"]["selector"] == given["selector"]["matchLabels"]
    assert [port["number"] for port in given["targetPorts"]] == [source.kubernetes.port]


def test_ports_and_probes(objects, pod, flags):
    (container,) = pod["spec"]["containers"]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert flags["listen"].endswith(f":{ports['grpc-ext-proc']}")
    assert flags["health_port"] == ports["grpc-health"]
    assert flags["metrics_port"] == ports["metrics"]
    for probe in ("livenessProbe", "readinessProbe"):
        asked = container[probe]["grpc"]
        assert asked["port"] == ports["grpc-health"]
        assert asked["service"] in (*HEALTH_SERVICES, *ALIVE_SERVICES)
    assert pod["spec"]["terminationGracePeriodSeconds"] > flags["drain_s"]
    assert {each["name"] for each in container["volumeMounts"]} == {"policy", "tmp"}


def test_the_pool_names_the_picker_and_istio_accepts_its_certificate(objects, flags):
    reference = objects["InferencePool", "llama"]["spec"]["endpointPickerRef"]
    service = objects["Service", reference["name"]]
    (port,) = service["spec"]["ports"]
    assert port["port"] == reference["port"]["number"]
    rule = objects["DestinationRule", "headgate-epp"]["spec"]
    assert rule["host"].startswith(f"{reference['name']}.llm.svc")
    secure = rule["trafficPolicy"]["tls"] == {"mode": "SIMPLE", "insecureSkipVerify": True}
    assert secure is not flags["plaintext"]
    (backend,) = objects["HTTPRoute", "llama"]["spec"]["rules"][0]["backendRefs"]
    assert ("InferencePool", backend["name"]) in objects


def test_the_page_names_tests_and_files_that_are_there():
    page = (ROOT / "docs" / "epp.md").read_text()
    tests = (ROOT / "tests" / "e2e" / "test_epp.py").read_text()
    names = set(re.findall(r"`(test_\w+)`", page))
    assert len(names) > 8
    assert not [name for name in names if f"def {name}(" not in tests]
    for path in re.findall(r"`(tests/[\w/.]+)`", page):
        assert (ROOT / path).exists(), path
