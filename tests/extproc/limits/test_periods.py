"""When days, weeks and months begin, wherever that is."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.limits.base import Calendar
from extproc.limits.periods import Periods

HOUR = 3600 * 1_000_000


def moment(text):
    return int(datetime.fromisoformat(text).timestamp() * 1_000_000)


@pytest.mark.parametrize(
    ("calendar", "zone", "now", "start", "end"),
    [
        ("day", "UTC", "2026-02-10T12:00:00Z", "2026-02-10T00:00:00Z", "2026-02-11T00:00:00Z"),
        ("week", "UTC", "2026-02-10T12:00:00Z", "2026-02-09T00:00:00Z", "2026-02-16T00:00:00Z"),
        ("month", "UTC", "2026-02-10T12:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
        ("month", "UTC", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("month", "Asia/Shanghai", "2026-01-31T16:00:00Z", "2026-01-31T16:00:00Z", "2026-02-28T16:00:00Z"),
        ("week", "America/New_York", "2026-03-09T03:59:59Z", "2026-03-02T05:00:00Z", "2026-03-09T04:00:00Z"),
        # Clocks go forward: a day of 23 hours. And back: of 25.
        ("day", "Europe/Berlin", "2026-03-29T10:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
        ("day", "Europe/Berlin", "2026-10-25T10:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        # Midnight itself is skipped, or comes twice: the day begins with its first moment.
        ("day", "Africa/Cairo", "2026-04-24T10:00:00Z", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"),
        ("day", "America/Havana", "2026-11-01T10:00:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"),
        # A whole day that never was, the 30th.
        ("day", "Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"),
        ("day", "Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"),
    ],
)  # fmt: skip
def test_the_period_that_a_moment_is_in(calendar, zone, now, start, end):
    periods = Periods(Calendar(calendar), zone)
    assert periods.at(moment(now)) == (moment(start), moment(end))


def test_the_neighbours_are_known():
    edges = Periods(Calendar.MONTH, "UTC").around(moment("2026-03-31T12:00:00Z"))
    months = ("02", "03", "04", "05")
    assert edges == tuple(moment(f"2026-{month}-01T00:00:00Z") for month in months)


def test_a_zone_that_is_none():
    for zone in ("Europe/Atlantis", "../etc/passwd", "", "/etc/localtime"):
        with pytest.raises(ValueError, match="no time zone"):
            Periods(Calendar.DAY, zone)


ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia"]
)
MOMENTS = st.integers(moment("2001-01-01T00:00:00Z"), moment("2040-01-01T00:00:00Z"))


@settings(deadline=None)
@given(st.sampled_from(Calendar), ZONES, MOMENTS)
def test_periods_follow_each_other(calendar, zone, now_us):
    periods = Periods(calendar, zone)
    before, start, end, after = periods.around(now_us)
    assert before < start <= now_us < end < after
    assert Periods(calendar, zone).at(end) == (end, after)
    assert Periods(calendar, zone).at(start - 1) == (before, start)


@settings(deadline=None)
@given(ZONES, MOMENTS)
def test_a_day_is_the_day_on_the_wall(zone, now_us):
    start, end = Periods(Calendar.DAY, zone).at(now_us)
    wall = [datetime.fromtimestamp(us / 1_000_000, ZoneInfo(zone)).date() for us in (start, now_us)]
    last = datetime.fromtimestamp((end - 1) / 1_000_000, ZoneInfo(zone)).date()
    assert wall == [last, last]
    assert 22 * HOUR <= end - start <= timedelta(hours=26) / timedelta(microseconds=1)
