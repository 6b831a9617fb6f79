"""Our numbers as Prometheus will read them: written by one process, read by another."""

import os
import subprocess
import sys

from telemetry.exposition import registry_over

WORK = """
from extproc.guards.base import Barred, Case
from extproc.metering import PrometheusMeter

meter = PrometheusMeter()
meter.decided("forward", 0.001)
meter.decided("forward", 0.003)
meter.decided("deny", 0.0)
meter.filter_fault("settle")
meter.wire_fault("order")
meter.found("email", "mask", 3)
meter.banned(Case("key:a"))
meter.barred(Case("address:192.0.2.1"))
meter.barred(Case("user:acme/ann", Barred.LONG_PROMPTS, shadow=True))
meter.in_force({(Barred.REQUESTS, "key"): 2})
meter.metrics.request_bytes.set(42)
"""


def test_what_a_worker_counts_is_what_is_shown(tmp_path):
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", WORK], env=environment, check=True, timeout=60)
    read = registry_over(tmp_path, alive=lambda _: True).get_sample_value
    masked = {"type": "email", "action": "mask"}
    assert read("headgate_pii_values_total", masked) == 3
    assert read("headgate_decision_seconds_count", {"outcome": "forward"}) == 2
    assert read("headgate_decision_seconds_count", {"outcome": "deny"}) == 1
    seconds = read("headgate_decision_seconds_sum", {"outcome": "forward"})
    assert round(seconds, 9) == 0.004
    assert read("headgate_filter_faults_total", {"filter": "settle"}) == 1
    assert read("headgate_wire_faults_total", {"kind": "order"}) == 1
    assert read("headgate_request_bytes_in_flight", {}) == 42
    key = {"barred": "requests", "kind": "key"}
    assert read("headgate_bans_total", {**key, "result": "enforced"}) == 1
    assert read("headgate_bans_in_force", key) == 2
    assert read("headgate_bans_in_force", {**key, "kind": "user"}) == 0
    met = {"barred": "requests", "kind": "address", "result": "refused"}
    assert read("headgate_banned_requests_total", met) == 1
    met = {"barred": "long_prompts", "kind": "user", "result": "shadowed"}
    assert read("headgate_banned_requests_total", met) == 1
