"""Alerts of budgets."""

import pytest

from alerts.alert import Kind, Severity
from extproc.limits.base import Settled, Settlement, Unit
from extproc.limits.notice import notices


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


@pytest.mark.parametrize("level", [100, 150])
def test_a_budget_that_is_used_up(level):
    (told,) = notices(settled(level, scope=""), "", 1000)
    assert (told.severity, told.tenant) == (Severity.CRITICAL, None)
    assert told.title == "Budget month of everybody is used up"
    assert "refused" in told.text
