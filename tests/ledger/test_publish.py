import logging

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from ledger.publish import (
    publish_booked,
    publish_in_flight,
    publish_settled,
    publish_unsettled,
)
from ledger.row import Row
from ledger.sighting import Departure, Origin
from ledger.store import Open
from telemetry.metrics import SettleMetrics

START_MS = 1_760_000_000_000
ROW = Row(
    settle_key="s1",
    start_ms=START_MS,
    request_id="r1",
    trace_id="t1",
    tenant="acme",
    user="someone",
    key_id="k1",
    model="tiny",
    prompt_tokens=7,
    completion_tokens=5,
    cached_tokens=2,
    status=200,
    ttft_us=120_000,
    latency_us=900_000,
    attempts=1,
)
DENIED = Row(
    settle_key="s2",
    start_ms=START_MS,
    status=401,
    deny_reason="invalid_api_key",
    prompt_tokens=0,
    ttft_us=10,
    latency_us=1000,
)


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def metrics(registry):
    return SettleMetrics(registry)


def value(registry, name, **labels):
    return registry.get_sample_value(f"headgate_{name}", labels)


def test_a_settled_row_moves_every_metric(registry, metrics):
    publish_settled([ROW], metrics, now_s=START_MS / 1000 + 1.1)
    who = {"tenant": "acme", "model": "tiny"}
    assert value(registry, "requests_total", **who, status="200") == 1
    assert value(registry, "tokens_total", **who, kind="prompt") == 7
    assert value(registry, "tokens_total", **who, kind="completion") == 5
    assert value(registry, "tokens_total", **who, kind="cached") == 2
    assert value(registry, "ttft_seconds_sum", model="tiny") == 0.12
    assert value(registry, "request_seconds_sum", model="tiny") == 0.9
    assert value(registry, "settle_lag_seconds_sum") == pytest.approx(0.2)
    assert value(registry, "settle_lag_last_seconds") == pytest.approx(0.2)


def test_what_it_costs_is_counted_in_dollars(registry, metrics):
    cost = {
        "price": "1/1/1",
        "uncached_pusd": 10**12,
        "cached_pusd": None,
        "completion_pusd": 5 * 10**11,
    }
    publish_settled([msgspec.structs.replace(ROW, **cost)] * 2, metrics, now_s=0)
    assert value(registry, "cost_usd_total", tenant="acme", model="tiny") == pytest.approx(3)
    assert value(registry, "prices_bad_total") == 0


def test_a_price_that_nobody_can_read_is_counted(registry, metrics):
    publish_settled([msgspec.structs.replace(ROW, price="cheap"), ROW], metrics, now_s=0)
    assert value(registry, "prices_bad_total") == 1
    assert value(registry, "cost_usd_total", tenant="acme", model="tiny") is None


def test_bookings_are_counted_with_their_reversals(registry, metrics):
    publish_booked(5, 2, metrics)
    publish_booked(0, 0, metrics)
    assert value(registry, "ledger_entries_total") == 7
    assert value(registry, "ledger_corrections_total") == 2


def test_a_refusal_is_counted_by_reason_and_says_nothing_of_ttft(registry, metrics):
    publish_settled([DENIED], metrics, now_s=START_MS / 1000)
    assert value(registry, "denials_total", reason="invalid_api_key") == 1
    unknown = {"tenant": "unknown", "model": "unknown"}
    assert value(registry, "requests_total", **unknown, status="401") == 1
    assert value(registry, "ttft_seconds_sum", model="unknown") is None
    assert value(registry, "tokens_total", **unknown, kind="prompt") is None


def test_without_a_latency_there_is_no_lag(registry, metrics):
    publish_settled([Row(settle_key="s", start_ms=0)], metrics, now_s=5)
    assert value(registry, "settle_lag_seconds_count") == 0
    assert value(registry, "settle_lag_last_seconds") == 0


def test_the_log_line_names_the_request_but_no_person(metrics, caplog):
    caplog.set_level(logging.INFO)
    publish_settled([ROW], metrics, now_s=START_MS / 1000)
    (record,) = caplog.records
    assert record.getMessage() == "request_settled"
    assert (record.request_id, record.trace_id, record.tenant) == ("r1", "t1", "acme")
    assert (record.completion_tokens, record.latency_us) == (5, 900_000)
    assert not hasattr(record, "user")
    assert not hasattr(record, "key_id")


def test_an_unsettled_row_is_counted_and_told(registry, metrics, caplog):
    caplog.set_level(logging.INFO)
    publish_unsettled([ROW], metrics)
    assert value(registry, "unsettled_total") == 1
    assert caplog.messages == ["request_unsettled"]
    who = {"tenant": "acme", "model": "tiny"}
    assert value(registry, "requests_total", **who, status="200") is None


def test_in_flight_follows_what_is_open(registry, metrics):
    def open_(model):
        return Open(Departure("s", 0, Origin(model=model)), 0)

    publish_in_flight([], [open_("a"), open_("a"), open_(None)], metrics)
    publish_in_flight([open_("a"), open_(None)], [open_("b")], metrics)
    in_flight = {model: value(registry, "requests_in_flight", model=model) for model in ("a", "b")}
    assert in_flight == {"a": 1, "b": 1}
    assert value(registry, "requests_in_flight", model="unknown") == 0
