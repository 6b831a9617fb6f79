"""Alerts of what happens while counters are gone."""

import pytest

from alerts.alert import Kind
from extproc.errors import CountersFaultError
from extproc.limits.base import Algorithm, Limit, Settled, Settlement, Unit
from extproc.limits.outages import Outages
from extproc.limits.reach import Reach


def budget(name, *per):
    limit = Limit(name=name, algorithm=Algorithm.BUDGET, unit=Unit.USD, amount=10, alerts=(80,))
    return Reach(limit=limit, per=per)


REACHES = (budget("month", "tenant"), budget("people", "model", "user"), budget("all"))


def test_its_beginning_is_told():
    told = []
    Outages(told.append, lambda: 1.0).begin(CountersFaultError("gone"))
    assert [(one.kind, one.at_ms, one.facts) for one in told] == [
        (Kind.LIMITS_FAULT, 1000, {"reason": "gone"})
    ]


@pytest.mark.parametrize(
    ("name", "scope", "tenant"),
    [
        ("month", "acme", "acme"),
        ("people", "org%2Fllama/acme/ann", "acme"),
        ("all", "", None),
        ("gone", "acme", None),
    ],
)
def test_a_level_that_is_passed_late_is_its_tenants(name, scope, tenant):
    told = []
    outages = Outages(told.append, lambda: 1.0)
    outages.know(REACHES)
    other = Settled("other", "globex", Unit.USD, 1, 1)
    outages.end(Settlement("settled", (other, Settled(name, scope, Unit.USD, 5, 7, (50, 80)))))
    assert [(one.tenant, one.facts["scope"], one.facts["percent"]) for one in told] == [
        (tenant, scope, 50),
        (tenant, scope, 80),
    ]
