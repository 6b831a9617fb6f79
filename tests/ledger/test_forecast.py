"""Forecasts over series that were made up: dollars by the hour, Monday 2026-06-01 and on."""

import math
import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from ledger.forecast import History

MONDAY = datetime(2026, 6, 1, tzinfo=UTC)
WEEKDAYS = (100, 110, 120, 110, 100, 20, 10)


def office(hour):
    """A share of the day: mostly from 8 to 18 o'clock."""
    return 0.09 if 8 <= hour < 18 else 0.1 / 14


def made(days, *, start=MONDAY, total=lambda day: WEEKDAYS[day % 7], until=None, zone=UTC):
    """Dollars by hour for so many days; `total` says what a day costs, by its number."""
    series = {}
    for day in range(days):
        for hour in range(24):
            at = (start + timedelta(days=day)).replace(hour=hour, tzinfo=zone)
            if until is None or at < until:
                series[int(at.timestamp() * 1000)] = total(day) * office(hour)
    return series


def day_at(series, when, zone=UTC):
    return History(series, zone).forecast_day(when)


def at(days, hour=0, minute=0):
    return MONDAY + timedelta(days=days, hours=hour, minutes=minute)


@pytest.mark.parametrize("hour", [0, 3, 9, 13, 18, 23])
@pytest.mark.parametrize("weekday", range(7))
def test_a_week_like_any_other_is_on_its_way_to_the_usual(weekday, hour):
    now = at(28 + weekday, hour)
    said = day_at(made(40, until=now), now)
    assert said.usual == pytest.approx(WEEKDAYS[weekday])
    assert said.projected == pytest.approx(said.usual, rel=0.01)
    assert said.spent <= said.projected


def test_a_runaway_day_shows_while_it_runs():
    """Ten times the usual from nine o'clock on: seen before noon, and never after too little."""

    def total(day):
        return WEEKDAYS[day % 7] * (10 if day == 29 else 1)

    quiet = day_at(made(40, until=at(29, 8), total=total), at(29, 8))
    noon = day_at(made(40, until=at(29, 12), total=total), at(29, 12))
    assert quiet.projected < 2 * quiet.usual
    assert noon.projected > 3 * noon.usual
    evening = day_at(made(40, until=at(29, 23), total=total), at(29, 23))
    assert evening.projected == pytest.approx(1100, rel=0.05)


def test_a_burst_at_night_counts_for_what_it_cost():
    now = at(28, 2)
    series = made(28) | {int(at(28).timestamp() * 1000): 30.0}
    said = day_at(series, now)
    assert said.spent == 30
    assert 125 < said.projected < 160  # not 30 dollars in two hours, times twelve


@pytest.mark.parametrize("weekly", [1.05, 1.2, 1.3])
def test_growth_is_followed(weekly):
    for day in range(35, 49):
        now = at(day, 15)
        series = made(60, until=now, total=lambda day: WEEKDAYS[day % 7] * weekly ** (day / 7))
        said = day_at(series, now)
        assert 0.8 < said.projected / said.usual < 1.2


def test_a_holiday_today_is_no_alarm_and_one_before_changes_nothing():
    def total(day):
        return 5 if day in (14, 21, 28) else WEEKDAYS[day % 7]

    today = day_at(made(40, until=at(28, 15), total=total), at(28, 15))
    assert today.projected < today.usual
    after = day_at(made(40, until=at(29, 15), total=total), at(29, 15))
    assert after.usual == pytest.approx(110)

    one = day_at(made(40, total=lambda day: 5 if day == 21 else WEEKDAYS[day % 7]), at(28))
    assert one.usual == pytest.approx(100), "one Monday of four was a holiday"


def test_work_after_a_week_of_holidays_is_no_surprise():
    def total(day):
        return 2 if 21 <= day < 28 else WEEKDAYS[day % 7]

    for day in range(28, 33):
        now = at(day, 16)
        said = day_at(made(40, until=now, total=total), now)
        assert said.projected / said.usual < 1.2


def test_a_runaway_day_in_the_past_raises_nothing():
    said = day_at(made(40, total=lambda day: 5000 if day == 21 else WEEKDAYS[day % 7]), at(28))
    assert said.usual == pytest.approx(100)


@pytest.mark.parametrize("days", [0, 1, 7, 14, 20])
def test_short_history_says_nothing(days):
    start = at(28 - days)
    series = {slot: usd for slot, usd in made(29).items() if slot >= start.timestamp() * 1000}
    assert day_at(series, at(28, 12)) is None
    assert History(series, UTC).forecast_month(at(28, 12)) is None


def test_noise_stays_within_half_of_the_usual():
    noise = random.Random(7)
    factors = [noise.uniform(0.7, 1.3) for _ in range(60)]
    for day in range(28, 56):
        now = at(day, 20)
        series = made(60, until=now, total=lambda day: WEEKDAYS[day % 7] * factors[day])
        said = day_at(series, now)
        assert said.projected < 1.5 * said.usual


def test_a_weekday_that_never_costs_anything_has_a_usual_of_nothing():
    def total(day):
        return 0 if day % 7 >= 5 else 100

    now = at(33, 12)  # a Saturday
    said = day_at(made(33, total=total) | {int(at(33, 1).timestamp() * 1000): 40.0}, now)
    assert said.usual == 0
    assert said.projected >= 40


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York", "Asia/Kathmandu"])
def test_days_are_those_of_the_zone(zone):
    """Series are by quarters of an hour, so zones between the hours come out right too."""
    local = ZoneInfo(zone)
    start = datetime(2026, 6, 1, tzinfo=local)
    series = made(28, start=start, zone=local)
    said = day_at(series, datetime(2026, 6, 29, 12, tzinfo=local), local)
    assert said.usual == pytest.approx(100)


def test_days_of_23_and_25_hours():
    berlin = ZoneInfo("Europe/Berlin")
    for first, now in (
        (datetime(2026, 3, 2, tzinfo=berlin), datetime(2026, 3, 29, 12, tzinfo=berlin)),
        (datetime(2026, 9, 28, tzinfo=berlin), datetime(2026, 10, 25, 12, tzinfo=berlin)),
    ):
        said = day_at(made(28, start=first, zone=berlin, until=now), now, berlin)
        assert said.projected == pytest.approx(10, rel=0.35)
        assert math.isfinite(said.projected)


def month_at(series, when):
    return History(series, UTC).forecast_month(when)


@pytest.mark.parametrize("day", [61, 70, 85, 91])  # 1st to 31st of August
def test_a_month_like_the_weeks_before(day):
    now = at(day, 12)
    said = month_at(made(120, until=now), now)
    usual = sum(WEEKDAYS[each % 7] for each in range(61, 92))
    assert said.usual == pytest.approx(usual)
    assert said.projected == pytest.approx(usual, rel=0.01)


def test_a_month_that_gets_out_of_hand():
    def total(day):
        return WEEKDAYS[day % 7] * (4 if day >= 66 else 1)

    now = at(80, 12)
    said = month_at(made(120, until=now, total=total), now)
    assert said.projected > 1.5 * said.usual
    early = month_at(made(120, until=at(63, 12), total=total), at(63, 12))
    assert early.projected == pytest.approx(early.usual, rel=0.01)


def test_a_month_of_mild_growth_is_no_alarm():
    now = at(91, 20)
    series = made(120, until=now, total=lambda day: WEEKDAYS[day % 7] * 1.05 ** (day / 7))
    said = month_at(series, now)
    assert said.projected < 1.25 * said.usual
