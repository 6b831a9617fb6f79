import msgspec
import pytest
from prometheus_client import CollectorRegistry

from alerts import outbox
from alerts.alert import Kind, Severity
from alerts.outbox import Outbox
from ledger.config import Drift
from ledger.disagreement import Teller, is_apart, make_alert
from ledger.reconcile import Finding, Split
from telemetry.metrics import SettleMetrics
from tests.ledger.accounts import scrape

AT_MS = 1_790_000_000_000
DRIFT = Drift(tokens=100, share=0.01, for_s=30)


def finding(*, drift=0, unknown=0, engine=1000, at_ms=AT_MS):
    prompt = Split(engine, engine + drift - unknown, drift=drift, unknown=unknown, aborts=3)
    completion = Split(5, 5, choices=2, retries=4)
    return Finding("a", "p", AT_MS - 60_000, at_ms, 9, 0, prompt, completion)


@pytest.fixture
def told(tmp_path):
    registry = CollectorRegistry()
    teller = Teller(Outbox(tmp_path), SettleMetrics(registry))
    teller.value = lambda name, **labels: registry.get_sample_value(f"headgate_{name}", labels)
    teller.alerts = lambda: outbox.read_all(tmp_path)
    return teller


def test_metrics(told):
    told.found(finding(drift=7, unknown=11), finding(), DRIFT)
    for cause, tokens in {"choices": 2, "aborts": 3, "retries": 4, "unknown": 11}.items():
        assert told.value("unattributed_tokens", endpoint="a", cause=cause) == tokens
    assert told.value("ledger_drift_tokens", endpoint="a", kind="prompt") == 7
    assert told.value("ledger_drift_tokens", endpoint="a", kind="completion") == 0
    assert told.value("reconciled_timestamp_seconds", endpoint="a") == AT_MS / 1000
    assert told.alerts() == []


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [({"drift": 500}, Kind.LEDGER_DRIFT), ({"unknown": 500}, Kind.UNATTRIBUTED)],
)
def test_an_alert_comes_when_it_lasts(told, wrong, kind):
    for after_s in (0, 20):
        told.found(finding(), finding(**wrong, at_ms=AT_MS + after_s * 1000), DRIFT)
    assert told.alerts() == []
    told.found(finding(), finding(**wrong, at_ms=AT_MS + 30_000), DRIFT)
    (alert,) = told.alerts()
    assert alert.kind is kind
    assert "500 tokens" in alert.title
    told.found(finding(), finding(**wrong, at_ms=AT_MS + 50_000), DRIFT)
    assert [a.id for a in told.alerts()] == [alert.id], "once a day"


def test_what_mends_itself_begins_anew(told):
    for after_s, drift in ((0, 500), (20, 0), (40, 500), (60, 500)):
        told.found(finding(), finding(drift=drift, at_ms=AT_MS + after_s * 1000), DRIFT)
    assert told.alerts() == []


def test_it_comes_again_on_the_next_day():
    days = [
        make_alert(Kind.LEDGER_DRIFT, finding(drift=5, at_ms=AT_MS + d * 86_400_000))
        for d in (0, 1)
    ]
    assert days[0].id != days[1].id
    assert days[0].severity is Severity.CRITICAL
    assert make_alert(Kind.UNATTRIBUTED, finding()).severity is Severity.WARNING


def test_an_alert_can_be_written_down():
    alert = make_alert(Kind.UNATTRIBUTED, finding(unknown=5))
    assert alert.facts["unknown"] == 5
    assert alert.facts["since"] == "2026-09-21 14:12 UTC"
    assert msgspec.json.encode(alert)


@pytest.mark.parametrize(
    ("tokens", "engine", "expected"),
    [(100, 0, False), (101, 0, True), (101, 10_100, False), (102, 10_100, True)],
)
def test_both_bounds_must_be_passed(tokens, engine, expected):
    assert is_apart(tokens, engine, DRIFT) is expected


def test_engines_without_counters_are_told_of_when_that_changes(told, caplog):
    for found in ("status 404", "status 404", "no answer", scrape(AT_MS), "no answer"):
        told.missed({"a": found, "b": scrape(AT_MS)})
    assert [r.reason for r in caplog.records] == ["status 404", "no answer", "no answer"]


def test_an_engine_that_is_gone_is_shown_no_longer(told):
    told.found(finding(drift=500), finding(drift=500), DRIFT)
    told.missed({"a": "no answer"})
    assert told.value("ledger_drift_tokens", endpoint="a", kind="prompt") == 500
    told.missed({"b": scrape(AT_MS)})
    for name, labels in {
        "ledger_drift_tokens": {"kind": "prompt"},
        "unattributed_tokens": {"cause": "unknown"},
        "reconciled_timestamp_seconds": {},
    }.items():
        assert told.value(name, endpoint="a", **labels) is None
    told.found(finding(drift=500), finding(drift=500, at_ms=AT_MS + 30_000), DRIFT)
    assert told.alerts() == [], "for how long it is wrong begins anew"
