from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.question import STEPS, UsageError, parse_time
from ledger.steps import LONGEST_MS, MAX_STEPS, begins, from_ms, stretches, to_ms, write
from ledger.tables import QUARTER_MS

HOUR_MS = 3_600_000
ZONES = [
    ZoneInfo(name)
    for name in (
        "UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns",
        "America/Havana", "Africa/Cairo", "Pacific/Apia",
    )
]  # fmt: skip


def at(text, zone=UTC):
    return to_ms(datetime.fromisoformat(text).replace(tzinfo=zone))


@pytest.mark.parametrize("zone", ZONES, ids=str)
@given(data=st.data())
@settings(max_examples=8, deadline=None)
def test_a_step_is_all_the_time_of_one_name(zone, data):
    step = data.draw(st.sampled_from(STEPS))
    since = data.draw(st.integers(at("2026-01-01"), at("2027-12-01")))
    days = {"hour": 3, "day": 20, "week": 60, "month": 200}[step]
    until = since + data.draw(st.integers(1, days * 24 * HOUR_MS))
    found = begins(step, since, until, zone)
    assert found[0] <= since
    assert found[-1] < until
    assert all(begin % QUARTER_MS == 0 for begin in found)
    for begin in found:
        assert write(step, begin, zone) != write(step, begin - 1, zone)
    for begin, end in pairwise(found):
        assert write(step, begin, zone) == write(step, end - 1, zone)
    assert write(step, found[-1], zone) == write(step, until - 1, zone)
    check_stretches(found, since, until)


def check_stretches(found, since, until):
    """Every moment has the number of its step."""
    pieces = stretches(found)
    for number, begin in enumerate(found):
        end = found[number + 1] if number + 1 < len(found) else until
        for ms in (begin, (begin + end) // 2, end - 1):
            piece = [each for each in pieces if each.begin_ms <= ms][-1]
            assert piece.first + (ms - piece.begin_ms) // piece.width_ms == number
    assert len(pieces) <= 10 or len(pieces) == len(found)
    assert since < until


@pytest.mark.parametrize(
    ("step", "zone", "name"),
    [
        ("hour", "UTC", "2026-01-31T23:00Z"),
        ("hour", "Asia/Kathmandu", "2026-02-01T05:00+05:45"),
        ("day", "UTC", "2026-01-31"),
        ("day", "Europe/Berlin", "2026-02-01"),
        ("week", "UTC", "2026-W05"),
        ("month", "America/St_Johns", "2026-01"),
    ],
)
def test_names(step, zone, name):
    assert write(step, at("2026-01-31T23:59:59.999"), ZoneInfo(zone)) == name


def test_days_have_the_hours_that_clocks_give_them():
    berlin = ZoneInfo("Europe/Berlin")
    found = begins("day", at("2026-03-28", berlin), at("2026-03-31", berlin), berlin)
    assert [(b - a) // HOUR_MS for a, b in pairwise(found)] == [24, 23]
    found = begins("hour", at("2026-10-25", berlin), at("2026-10-26", berlin), berlin)
    assert len(found) == 25
    assert [write("hour", ms, berlin) for ms in found[2:4]] == [
        "2026-10-25T02:00+02:00",
        "2026-10-25T02:00+01:00",
    ]


@pytest.mark.parametrize(
    ("step", "longest_ms"),
    [("hour", MAX_STEPS * HOUR_MS), *((step, LONGEST_MS) for step in ("day", "week", "month"))],
)
def test_too_many_steps(step, longest_ms):
    with pytest.raises(UsageError, match=f"too many {step}s"):
        begins(step, 0, longest_ms + HOUR_MS, UTC)


def test_two_centuries_of_months():
    assert len(begins("month", at("1970-01-01"), at("2170-01-01"), UTC)) == 200 * 12


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12"])
@pytest.mark.parametrize("step", ["hour", "day", "week", "month"])
def test_the_last_step_that_a_question_may_have(step, zone):
    until = parse_time("9999-12-30", datetime(2026, 1, 1, tzinfo=UTC))
    found = begins(step, to_ms(until) - 50 * 24 * HOUR_MS, to_ms(until), ZoneInfo(zone))
    assert found[-1] < to_ms(until)
    assert write(step, found[-1], ZoneInfo(zone)) == write(step, to_ms(until) - 1, ZoneInfo(zone))


@given(ms=st.integers(0, 10**14))
def test_milliseconds_are_exact(ms):
    assert to_ms(from_ms(ms)) == ms
    assert from_ms(ms) - datetime(1970, 1, 1, tzinfo=UTC) == timedelta(milliseconds=ms)
