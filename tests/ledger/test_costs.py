"""Cost alerts over a real ledger: rows are booked, the duty looks, the outbox tells."""

import contextlib
from datetime import UTC, datetime, timedelta

import pytest

from alerts import outbox
from alerts.alert import Kind
from alerts.outbox import Outbox
from ledger import costs
from ledger.config import Config, CostRule
from ledger.costs import PERIODS_EVERY_S, PUSD, CostAlerts, is_above
from ledger.database import open_database
from ledger.forecast import Forecast
from ledger.row import Row
from ledger.sql import open_ledger
from ledger.store import Booked, Change

NOW = datetime(2026, 6, 30, 15, 0, tzinfo=UTC)
DAYS = CostRule("days", bound_pusd=PUSD, per="day")
MONTHS = CostRule("months", bound_pusd=PUSD, per="month", above_forecast=1.2)


class Desk:
    def __init__(self, where, tmp_path, stack):
        self.ledger = stack.enter_context(contextlib.closing(open_ledger(where)))
        self.reader = stack.enter_context(contextlib.closing(open_database(where)))
        self.writer = stack.enter_context(contextlib.closing(open_database(where, writes=True)))
        self.alerts, self.rows, self.now = tmp_path / "alerts", 0, NOW
        self.rules = ()
        self.restart()

    def restart(self):
        self.duty = CostAlerts(
            self.reader,
            self.writer,
            lambda: Config(cost_rules=self.rules),
            Outbox(self.alerts),
            clock=self.time_s,
        )

    def time_s(self):
        return self.now.timestamp()

    def book(self, *amounts, tenant="acme", replaced=None):
        """Book requests: (when, US dollars)."""
        rows = []
        for when, usd in amounts:
            self.rows += 1
            pusd = round(usd * PUSD)
            rows.append(
                Row(
                    f"s{self.rows}",
                    round(when.timestamp() * 1000),
                    tenant=tenant,
                    model="llama",
                    request_id=f"r{self.rows}",
                    uncached_pusd=pusd // 2,
                    cached_pusd=None,
                    completion_pusd=pusd - pusd // 2,
                )
            )
        self.ledger.commit(Change(rows, replaced or {}, booked_ms=1))
        return rows

    def told(self):
        return outbox.read_all(self.alerts)


@pytest.fixture
def desk(where, tmp_path):
    with contextlib.ExitStack() as stack:
        yield Desk(where, tmp_path, stack)


def month_of(usd, days=40, until=NOW):
    """So much a day for so many days, half of it at nine and half at noon, and today so far."""
    for back in range(days, -1, -1):
        day = until - timedelta(days=back)
        for hour in (9, 12):
            yield day.replace(hour=hour), usd / 2


def test_a_dear_request_is_told_of_once(desk):
    desk.rules = (CostRule("dear", 5 * PUSD), CostRule("very", 50 * PUSD))
    desk.book((NOW, 100))
    desk.duty.run()
    assert desk.told() == [], "what was there before anybody asked"
    desk.book((NOW, 4.999999), (NOW, 5), (NOW, 60))
    desk.duty.run()
    alerts = desk.told()
    assert sorted((a.facts["rule"], a.facts["usd"]) for a in alerts) == [
        ("dear", 5.0), ("dear", 60.0), ("very", 60.0),
    ]  # fmt: skip
    assert {a.kind for a in alerts} == {Kind.COST_REQUEST}
    assert alerts[0].tenant == "acme"
    for alert in alerts:
        outbox.remove(desk.alerts, alert.id)
    desk.restart()
    desk.duty.run()
    assert desk.told() == [], "the mark outlives the process"


def test_rules_of_some_tenants_only(desk):
    desk.rules = (CostRule("dear", 5 * PUSD, tenants=frozenset({"acme"})),)
    desk.duty.run()
    desk.book((NOW, 9), tenant="globex")
    desk.book((NOW, 9), tenant="acme")
    desk.duty.run()
    assert [alert.tenant for alert in desk.told()] == ["acme"]


def test_a_correction_is_the_same_request(desk):
    desk.rules = (CostRule("dear", 5 * PUSD),)
    desk.duty.run()
    (row,) = desk.book((NOW, 9))
    desk.duty.run()
    desk.ledger.commit(Change([row], {row.settle_key: Booked(row)}, booked_ms=2))
    desk.duty.run()
    assert len(desk.told()) == 1


def test_a_day_above_its_usual(desk):
    desk.rules = (DAYS,)
    desk.book(*month_of(10))
    desk.duty.run()
    assert desk.told() == []
    desk.book((NOW, 12))
    desk.now += timedelta(seconds=PERIODS_EVERY_S)
    desk.duty.run()
    (alert,) = desk.told()
    assert (alert.kind, alert.tenant) == (Kind.COST_DAY, "acme")
    assert alert.facts["usual_usd"] == 10
    assert alert.facts["projected_usd"] == 22
    assert alert.title == "acme's day is heading for 22.00 USD"
    assert "Usual for a Tuesday is 10.00 USD" in alert.text


def test_one_alert_for_a_rule_a_tenant_and_a_period(desk):
    desk.rules = (DAYS,)
    for tenant in ("acme", "globex"):
        desk.book(*month_of(10), (NOW, 30), tenant=tenant)
    for _ in range(3):
        desk.duty.run()
        desk.now += timedelta(seconds=PERIODS_EVERY_S)
    assert sorted(alert.tenant for alert in desk.told()) == ["acme", "globex"]
    desk.now += timedelta(days=1)
    desk.book((desk.now, 80))
    desk.duty.run()
    assert len(desk.told()) == 3


def test_a_month_above_its_usual(desk):
    desk.rules = (MONTHS,)
    desk.book(*month_of(10, days=75, until=NOW - timedelta(days=15)))
    desk.book(*month_of(20, days=14))
    desk.duty.run()
    (alert,) = desk.told()
    assert (alert.kind, alert.facts["period"]) == (Kind.COST_MONTH, "2026-06")
    assert alert.facts["usual_usd"] == 300
    assert 430 <= alert.facts["projected_usd"] <= 450


def test_what_is_cheap_or_new_is_nobodys_worry(desk):
    desk.rules = (DAYS, MONTHS)
    desk.book(*month_of(0.01), (NOW, 0.5), tenant="cheap")
    desk.book((NOW, 500), tenant="new")
    desk.book(*month_of(10), (NOW, 90), tenant=None)
    desk.duty.run()
    assert desk.told() == []


def test_many_tenants_are_looked_at_in_turns(desk):
    desk.rules = (DAYS,)
    for number in range(costs.MAX_NEW + 3):
        desk.book(*month_of(10, days=29), (NOW, 30), tenant=f"t{number}")
    desk.duty.run()
    assert len(desk.told()) == costs.MAX_NEW
    desk.now += timedelta(seconds=costs.EVERY_S)
    desk.duty.run()
    assert len(desk.told()) == costs.MAX_NEW + 3


@pytest.mark.parametrize(
    ("usual", "projected", "expected"),
    [(10, 15, False), (10, 15.1, True), (0, 0.9, False), (0, 1, True), (0.1, 0.9, False)],
)
def test_above(usual, projected, expected):
    assert is_above(DAYS, Forecast(0, usual, projected)) is expected
