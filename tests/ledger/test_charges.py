import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.charges import BASE, Bill, charges
from ledger.question import Condition
from ledger.rollup import SUMS
from ledger.sql import open_ledger
from ledger.store import Change
from tests.ledger import books, naive
from tests.ledger.naive import ms

DAY_MS = 86_400_000
JAN, FEB, MAR, APR = (ms(datetime(2026, month, 1, tzinfo=UTC)) for month in (1, 2, 3, 4))
BERLIN = ZoneInfo("Europe/Berlin")


def request(key, start_ms, draw, **members):
    row = naive.make_row(key, draw)
    return msgspec.structs.replace(row, start_ms=start_ms, **members)


@pytest.fixture
def ledger(where):
    """Requests of January and February, booked at once, late, and after the bill."""
    draw = random.Random(5)
    ledger = open_ledger(where)
    steps = [
        (JAN + 5 * DAY_MS, ["a", "b", "c"], JAN + 5 * DAY_MS),
        (FEB + DAY_MS // 2, ["late"], FEB - 1),
        (FEB + 2 * DAY_MS, ["too-late"], FEB - 1),
        (FEB + 3 * DAY_MS, ["a", "d"], JAN + 5 * DAY_MS),
        (MAR + DAY_MS // 2, ["b"], JAN + 5 * DAY_MS),
        (MAR + 2 * DAY_MS, ["e"], MAR + DAY_MS),
        (MAR + 2 * DAY_MS, ["c"], JAN + 5 * DAY_MS),
    ]
    for booked_ms, keys, start_ms in steps:
        rows = [request(key, start_ms, draw) for key in keys]
        before = ledger.rows(keys)
        ledger.commit(Change(rows=rows, replaced=before, booked_ms=booked_ms))
    ledger.close()
    return where


def told(where, bill):
    with books.reading(where) as connection:
        return list(charges(connection, bill))


def total(found):
    return {name: sum(getattr(each.figures, name) for each in found) for name in SUMS}


def entries(where, keep=lambda _: True):
    found = [entry for entry in map(books.named, books.entries(where)) if keep(entry)]
    return {name: sum(entry[name] or 0 for entry in found) for name in SUMS if name in found[0]}


def test_all_bills_together_are_the_ledger(ledger):
    found = told(ledger, Bill(JAN, APR))
    expected = entries(ledger)
    assert {name: total(found)[name] for name in expected} == expected


def test_a_bill_has_what_was_booked_until_it_was_written(ledger):
    january = told(ledger, Bill(JAN, FEB))
    assert {each.is_correction for each in january} == {False}
    assert {each.billing for each in january} == {(JAN, FEB)}
    expected = entries(ledger, lambda entry: entry["booked_ms"] < FEB + DAY_MS)
    assert {name: total(january)[name] for name in expected} == expected


def test_what_comes_later_is_a_correction_on_the_bill_of_then(ledger):
    february, march = told(ledger, Bill(FEB, MAR)), told(ledger, Bill(MAR, APR))
    assert {each.is_correction for each in february} == {True}
    assert {each.billing for each in february} == {(FEB, MAR)}
    assert {each.period for each in february} == {
        (JAN + 5 * DAY_MS, JAN + 6 * DAY_MS),
        (FEB - DAY_MS, FEB),
    }
    of_march = (MAR + DAY_MS, MAR + 2 * DAY_MS)
    assert {each.is_correction for each in march if each.period == of_march} == {False}
    assert {each.is_correction for each in march if each.period != of_march} == {True}
    assert {each.billing for each in march} == {(MAR, APR)}
    for found, since, until in ((february, FEB + DAY_MS, MAR), (march, MAR, APR)):
        expected = entries(
            ledger, lambda entry, since=since, until=until: since <= entry["booked_ms"] < until
        )
        assert {name: total(found)[name] for name in expected} == expected


def test_a_bill_may_be_written_at_once_or_weeks_later(ledger):
    at_once = told(ledger, Bill(JAN, FEB, billed_after_ms=0))
    assert total(at_once)["requests"] == 3
    weeks = told(ledger, Bill(JAN, FEB, billed_after_ms=27 * DAY_MS))
    assert total(weeks)["requests"] == 6
    assert total(told(ledger, Bill(FEB, MAR, billed_after_ms=27 * DAY_MS)))["requests"] == 0


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_bills_cut_anywhere_add_up(ledger, data):
    zone = data.draw(st.sampled_from([UTC, BERLIN, ZoneInfo("Asia/Kathmandu")]))
    after = data.draw(st.integers(0, 27)) * DAY_MS
    step = data.draw(st.sampled_from(["hour", "day"]))
    cuts = sorted(data.draw(st.sets(st.integers(JAN // DAY_MS, APR // DAY_MS), max_size=3)))
    edges = [JAN - DAY_MS, *(cut * DAY_MS for cut in cuts), APR]
    found = [
        each
        for since, until in pairwise(edges)
        if since < until
        for each in told(ledger, Bill(since, until, step, zone, billed_after_ms=after))
    ]
    expected = entries(ledger)
    assert {name: total(found)[name] for name in expected} == expected


def test_more_dimensions_and_conditions(ledger):
    bill = Bill(JAN, APR, more=["user"], where=[Condition("tenant", ("acme",))])
    found = told(ledger, bill)
    assert {tuple(each.values) for each in found} == {(*BASE, "user")}
    assert {each.values["tenant"] for each in found} == {"acme"}


def test_no_charges(where):
    open_ledger(where).close()
    assert told(where, Bill(JAN, APR)) == []


def test_the_period_of_a_charge_is_its_step(ledger):
    for each in told(ledger, Bill(JAN, APR, "hour", BERLIN)):
        assert each.period[1] - each.period[0] == 3_600_000
        assert (timedelta(milliseconds=each.period[0]) % timedelta(hours=1)) == timedelta()
