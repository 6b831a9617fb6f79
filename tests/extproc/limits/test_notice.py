"""Alerts of budgets."""

import pytest

from alerts.alert import Kind, Severity
from alerts.outbox import Outbox, read_all
from extproc.limits.base import Settled, Settlement, Unit
from extproc.limits.notice import OUTAGE_MS, notices, outage


def settled(*crossed, scope="acme"):
    done = (
        Settled("tpm", scope, Unit.TOKENS, 5, 7),
        Settled("month", scope, Unit.USD, 5, 7, crossed),
    )
    return Settlement("settled", done)


def test_every_level_that_was_passed_is_told():
    first, second = notices(settled(50, 80), "acme", 1000)
    assert (first.kind, first.tenant, first.severity) == (Kind.BUDGET_LEVEL, "acme", Severity.INFO)
    assert first.title == "Budget month of acme has reached 50 percent"
    assert second.severity is Severity.WARNING
    assert second.facts == {"limit": "month", "scope": "acme", "percent": 80}
    assert first.id != second.id
    assert notices(settled(), "acme", 1000) == []


def test_a_long_scope_is_told_of_all_the_same(tmp_path):
    long = [f"acme/{'x' * 900}{end}" for end in "ab"]
    told = [each for scope in long for each in notices(settled(80, scope=scope), "acme", 1000)]
    for each in told:
        assert Outbox(tmp_path).put(each)
    assert read_all(tmp_path) == sorted(told, key=lambda each: each.id)
    assert len({each.id for each in told}) == 2


@pytest.mark.parametrize("level", [100, 150])
def test_a_budget_that_is_used_up(level):
    (told,) = notices(settled(level, scope=""), "", 1000)
    assert (told.severity, told.tenant) == (Severity.CRITICAL, None)
    assert told.title == "Budget month of everybody is used up"
    assert "refused" in told.text


def test_workers_that_see_the_same_outage_leave_one_alert(tmp_path):
    begun_ms = 7 * OUTAGE_MS
    seen = (
        ("refused", begun_ms),
        ("no answer", begun_ms + 1),
        ("refused", begun_ms + OUTAGE_MS - 1),
    )
    for reason, at_ms in seen:
        assert Outbox(tmp_path).put(outage(reason, at_ms))
    (told,) = read_all(tmp_path)
    assert (told.kind, told.severity, told.tenant) == (Kind.LIMITS_FAULT, Severity.WARNING, None)
    assert (told.at_ms, told.facts) == (begun_ms + OUTAGE_MS - 1, {"reason": "refused"})
    assert outage("refused", begun_ms + OUTAGE_MS).id != told.id
