"""The calendar of budgets: when a day, a week or a month begins somewhere."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from extproc.limits.base import Calendar

SECOND_US = 1_000_000


class Periods:
    """The periods of one calendar in one time zone. Remembers the last one it was asked for."""

    def __init__(self, calendar: Calendar, zone: str) -> None:
        """Raises: ValueError: There is no such zone."""
        try:
            self._zone = ZoneInfo(zone)
        except (OSError, ValueError, KeyError):
            raise ValueError(f"no time zone is called {zone!r}") from None
        self._calendar = calendar
        self._edges = (0, 0, 0, 0)

    def around(self, now_us: int) -> tuple[int, int, int, int]:
        """The edges of three periods, with now in the middle one. For whoever has another clock."""
        if not self._edges[1] <= now_us < self._edges[2]:
            self._edges = self._find(now_us)
        return self._edges

    def at(self, now_us: int) -> tuple[int, int]:
        """Begin and end of the period that now is in."""
        edges = self.around(now_us)
        return edges[1], edges[2]

    def _find(self, now_us: int) -> tuple[int, int, int, int]:
        day = datetime.fromtimestamp(now_us / SECOND_US, self._zone).date()
        first = begin(self._calendar, day)
        # Where a zone left out a whole day (Apia, 30 December 2011), it begins and ends at once.
        edges = [self._midnight(one) for one in (before(self._calendar, first), first)]
        while len(edges) < 4:
            first = after(self._calendar, first)
            if (edge := self._midnight(first)) > edges[-1]:
                edges.append(edge)
        return edges[0], edges[1], edges[2], edges[3]

    def _midnight(self, day: date) -> int:
        """Where the clock skips midnight or shows it twice, the first moment of the day."""
        moment = datetime(day.year, day.month, day.day, tzinfo=self._zone)
        return int(moment.timestamp()) * SECOND_US


def begin(calendar: Calendar, day: date) -> date:
    """First day of the period that a day is in."""
    match calendar:
        case Calendar.DAY:
            return day
        case Calendar.WEEK:
            return day - timedelta(days=day.weekday())
        case Calendar.MONTH:
            return day.replace(day=1)


def after(calendar: Calendar, first: date) -> date:
    """First day of the next period."""
    match calendar:
        case Calendar.DAY:
            return first + timedelta(days=1)
        case Calendar.WEEK:
            return first + timedelta(days=7)
        case Calendar.MONTH:
            return begin(calendar, first + timedelta(days=31))


def before(calendar: Calendar, first: date) -> date:
    """First day of the previous period."""
    return begin(calendar, first - timedelta(days=1))
