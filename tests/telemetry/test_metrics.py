import pytest
from prometheus_client import CollectorRegistry, generate_latest

from telemetry.metrics import (
    SETTLE_METRICS,
    WATCH_METRICS,
    WORKER_METRICS,
    SettleMetrics,
    WatchMetrics,
    WorkerMetrics,
)

UNITS = {"seconds": "_seconds", "bytes": "_bytes", "tokens": "tokens"}


@pytest.mark.parametrize(
    "metric", [*SETTLE_METRICS, *WORKER_METRICS, *WATCH_METRICS], ids=lambda m: m.name
)
def test_the_table_is_consistent(metric):
    assert metric.help.endswith(".")
    assert set(metric.fixed) <= set(metric.labels)
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert UNITS.get(metric.unit, "") in f"_{metric.name}"
    assert not metric.buckets or metric.name.endswith(("_seconds", "_ratio"))


def test_names_are_unique():
    names = [metric.full_name for metric in (*SETTLE_METRICS, *WORKER_METRICS, *WATCH_METRICS)]
    assert len(set(names)) == len(names)
    assert all(name.startswith("headgate_") for name in names)


@pytest.mark.parametrize(
    ("owner", "table"),
    [
        (SettleMetrics, SETTLE_METRICS),
        (WorkerMetrics, WORKER_METRICS),
        (WatchMetrics, WATCH_METRICS),
    ],
)
def test_each_process_registers_exactly_its_table(owner, table):
    registry = CollectorRegistry()
    owner(registry)
    registered = {name.removesuffix("_total") for name in registry._names_to_collectors}
    wanted = {metric.full_name.removesuffix("_total") for metric in table}
    assert wanted <= registered
    assert len({id(c) for c in registry._names_to_collectors.values()}) == len(table)


def test_a_decision_counts_and_takes_its_time():
    registry = CollectorRegistry()
    WorkerMetrics(registry).decided("forward", 0.0007)
    text = generate_latest(registry).decode()
    assert 'headgate_decision_seconds_count{outcome="forward"} 1.0' in text
    assert 'headgate_decision_seconds_bucket{le="0.0007",outcome="forward"} 1.0' in text
    assert 'headgate_decision_seconds_bucket{le="0.0004",outcome="forward"} 0.0' in text


def test_a_worker_serves_one_policy_at_a_time():
    registry = CollectorRegistry()
    metrics = WorkerMetrics(registry)
    metrics.serve_policy("old")
    metrics.serve_policy("old")
    metrics.serve_policy("new")
    assert registry.get_sample_value("headgate_policy_info", {"policy": "old"}) == 0
    assert registry.get_sample_value("headgate_policy_info", {"policy": "new"}) == 1
