import os
import subprocess
import sys

import aiohttp
import pytest
from prometheus_client import Counter, generate_latest
from prometheus_client.core import Metric

from telemetry.exposition import capped, is_alive, registry_over, serving_metrics

WORK = """
import sys
from prometheus_client import CollectorRegistry
from telemetry.metrics import WorkerMetrics
metrics = WorkerMetrics(CollectorRegistry())
metrics.decided("forward", 0.001)
metrics.request_bytes.set(int(sys.argv[1]))
metrics.endpoints_healthy.set(int(sys.argv[2]), "tiny")
metrics.endpoints_healthy.set(3, "gone")
metrics.endpoints_healthy.forget("gone")
metrics.serve_policy("p0")
metrics.serve_policy("p1")
print("worked", flush=True)
sys.stdin.readline()
"""


class Worker:
    """A process that counts as a worker does, and lives until told to go."""

    def __init__(self, directory, request_bytes, healthy):
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORK, str(request_bytes), str(healthy)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(directory)},
        )

    def worked(self):
        assert self.process.stdout.readline() == b"worked\n"
        return self

    def end(self):
        self.process.communicate()


def value(registry, name, **labels):
    return registry.get_sample_value(f"headgate_{name}", labels)


def test_workers_are_added_up_and_the_dead_keep_only_their_counters(tmp_path):
    registry = registry_over(tmp_path)
    workers = [Worker(tmp_path, 100, 2), Worker(tmp_path, 20, 1)]
    for worker in workers:
        worker.worked()
    try:
        assert value(registry, "decision_seconds_count", outcome="forward") == 2
        assert value(registry, "request_bytes_in_flight") == 120
        assert value(registry, "endpoints_healthy", pool="tiny") == 1
        assert value(registry, "endpoints_healthy", pool="gone") is None
        assert value(registry, "policy_info", policy="p1") == 2
        assert value(registry, "policy_info", policy="p0") is None
        workers[1].end()
        assert value(registry, "decision_seconds_count", outcome="forward") == 2
        assert value(registry, "request_bytes_in_flight") == 100
        assert value(registry, "endpoints_healthy", pool="tiny") == 2
        assert value(registry, "policy_info", policy="p1") == 1
    finally:
        for worker in workers:
            worker.end()


def test_a_missing_directory_or_half_made_file_is_no_fault(tmp_path):
    assert generate_latest(registry_over(tmp_path / "nowhere")) == b""
    (tmp_path / "counter_1.db").touch()
    assert generate_latest(registry_over(tmp_path)) == b""


def test_alive():
    assert is_alive(os.getpid())
    assert is_alive(1)
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    assert not is_alive(ended.pid)


def test_label_sets_of_many_workers_are_folded():
    metric = Metric("m", "help", "histogram")
    for n in range(10):
        for le in ("1.0", "+Inf"):
            metric.add_sample("m_bucket", {"model": f"m{n}", "le": le}, n)
        metric.add_sample("m_count", {"model": f"m{n}"}, n)
    folded = {(s.name, *sorted(s.labels.items())): s.value for s in capped(metric, limit=4).samples}
    assert folded["m_bucket", ("le", "1.0"), ("model", "other")] == sum(range(3, 10))
    assert folded["m_count", ("model", "other")] == sum(range(3, 10))
    assert folded["m_count", ("model", "m2")] == 2
    assert len({dict(key[1:])["model"] for key in folded}) == 4


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [("text/plain", "text/plain"), ("application/openmetrics-text", "application/openmetrics")],
)
async def test_metrics_are_served_in_the_format_asked_for(tmp_path, accept, content_type):
    registry = registry_over(tmp_path)
    Counter("own_total", "help", registry=registry).inc(3)
    async with (
        serving_metrics(registry, "127.0.0.1", 0) as port,
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/metrics", headers={"Accept": accept}) as answer,
    ):
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith(content_type)
        assert "own_total 3.0" in await answer.text()


async def test_a_taken_port_is_an_os_error(tmp_path):
    registry = registry_over(tmp_path)
    async with serving_metrics(registry, "127.0.0.1", 0) as port:
        with pytest.raises(OSError, match=str(port)):
            async with serving_metrics(registry, "127.0.0.1", port):
                pass
