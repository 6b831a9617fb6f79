"""What a tenant's day or month usually costs, and where this one is heading. Pure.

The usual for a day is the median of the same weekday in the four weeks before, times how much the last
week was above its own usual: a holiday or a runaway job among them changes nothing, and growth is
followed. It is never taken below the median: after a week of holidays, work is no surprise.

Where a day is heading: what is spent, and the rest of the usual by the time of day at which it is
usually spent, the more in proportion to today's pace the later it is. In the morning a burst counts
for what it cost; in the evening the pace is known.

A month is the sum of its days: those that are over as they were, this one as above, the rest as
usual; compared with the usual as it was when the month began.

With less than three weeks of history there is no usual and nothing is said.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from itertools import accumulate
from statistics import median

WEEKS = 4
LEAST_WEEKS = 3
"""Weeks a tenant must have been there. With three, one odd week is still outvoted."""
HIGHEST_GROWTH = 3.0
"""Of a week over its usual. More is no growth but what alerts are for."""
HISTORY_DAYS = 31 + 7 * (2 * WEEKS) + 7
"""How far back the series has to go: a month, the weeks before it, and those that tell its growth."""

_WEEK = timedelta(days=7)
_HOURS = 24


@dataclass(frozen=True, slots=True)
class Forecast:
    """In the unit of the series."""

    spent: float
    """So far in this period."""
    usual: float
    """For the whole period."""
    projected: float
    """For the whole period, as it is going."""


class History:
    """What a tenant spent, by day and hour of one time zone."""

    def __init__(self, series: Mapping[int, float], zone: tzinfo) -> None:
        """`series`: sums by the start of their time slot (an hour or less), in milliseconds."""
        self._days: dict[date, list[float]] = {}
        self._zone = zone
        for at_ms, amount in series.items():
            local = datetime.fromtimestamp(at_ms / 1000, zone)
            hours = self._days.setdefault(local.date(), [0.0] * _HOURS)
            hours[local.hour] += amount
        self._first = min(self._days, default=date.max)

    def forecast_day(self, now: datetime) -> Forecast | None:
        """Look at the day that `now`, with a time zone, is in; None when there is no usual."""
        today, hour = self._place(now)
        usual = self._usual(today, today)
        if usual is None:
            return None
        spent = self._total(today)
        done = _share(self._profile(today), hour)
        return Forecast(spent, usual, spent + _rest(spent, usual, done))

    def forecast_month(self, now: datetime) -> Forecast | None:
        """Look at the month that `now` is in; None when there was no usual before it."""
        today, _ = self._place(now)
        days = list(_days_of_month(today))
        usual = [self._usual(day, days[0]) for day in days]
        day = self.forecast_day(now)
        if day is None or any(each is None for each in usual):
            return None
        before = sum(self._total(each) for each in days if each < today)
        rest = sum(self._usual(each, today) or 0.0 for each in days if each > today)
        return Forecast(
            spent=before + day.spent,
            usual=sum(each or 0.0 for each in usual),
            projected=before + day.projected + rest,
        )

    def _place(self, now: datetime) -> tuple[date, float]:
        local = now.astimezone(self._zone)
        return local.date(), local.hour + local.minute / 60 + local.second / 3600

    def _total(self, day: date) -> float:
        return sum(self._days.get(day, ()))

    def _usual(self, day: date, seen_from: date) -> float | None:
        """Say what `day` usually costs, by what was known in the morning of `seen_from`."""
        totals = self._same_weekdays(day, seen_from)
        if len(totals) < LEAST_WEEKS:
            return None
        return median(totals) * self._growth(seen_from)

    def _same_weekdays(self, day: date, seen_from: date) -> Sequence[float]:
        """Totals of the last days before `seen_from` that are the same weekday as `day`."""
        last = seen_from - timedelta(days=1 + (seen_from.weekday() - day.weekday() - 1) % 7)
        days = (last - _WEEK * number for number in range(WEEKS))
        return [self._total(each) for each in days if each >= self._first]

    def _growth(self, seen_from: date) -> float:
        """How much the last seven days were above their own usual; at least 1."""
        ratios: list[float] = []
        for back in range(1, 8):
            day = seen_from - timedelta(days=back)
            totals = self._same_weekdays(day, day)
            if len(totals) >= LEAST_WEEKS - 1 and (usual := median(totals)) > 0:
                ratios.append(self._total(day) / usual)
        return min(max(median(ratios), 1.0), HIGHEST_GROWTH) if len(ratios) >= 3 else 1.0

    def _profile(self, day: date) -> Sequence[float]:
        """Share of a day's total that is spent by the end of each hour: the same weekdays' median."""
        last = day - _WEEK
        spent = [self._days.get(last - _WEEK * number, []) for number in range(WEEKS)]
        shares = [
            [sofar / sum(hours) for sofar in accumulate(hours)] for hours in spent if any(hours)
        ]
        if not shares:
            return [(hour + 1) / _HOURS for hour in range(_HOURS)]
        medians = [median(column) for column in zip(*shares, strict=True)]
        return [each / medians[-1] for each in medians]


def _share(profile: Sequence[float], hour: float) -> float:
    """How much of a usual day is spent by `hour`, between the hours in a straight line."""
    points = [0.0, *profile]
    whole = min(int(hour), _HOURS - 1)
    return points[whole] + (points[whole + 1] - points[whole]) * (hour - whole)


def _rest(spent: float, usual: float, done: float) -> float:
    """What the rest of the day will cost."""
    pace = spent / (usual * done) if usual * done > 0 else 1.0
    return usual * (1 - done) * (1 + (max(pace, 1.0) - 1) * done)


def _days_of_month(day: date) -> Iterable[date]:
    first = day.replace(day=1)
    each = first
    while each.month == first.month:
        yield each
        each += timedelta(days=1)
