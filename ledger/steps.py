"""Hours, days, weeks and months of a time zone, as stretches of time. Pure.

Everything is in milliseconds since the epoch and begins at a quarter of an hour: every zone in use
differs from UTC by a multiple of it. A day may have 23 or 25 hours; where clocks go back, two hours
of the same name are two steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise

from ledger.question import Step, UsageError
from ledger.tables import QUARTER_MS

MAX_STEPS = 100_000
"""In one question: eleven years of hours."""

_HOUR_MS = 3_600_000
_LONGEST_MS = {
    "hour": _HOUR_MS,
    "day": 26 * _HOUR_MS,
    "week": 8 * 24 * _HOUR_MS,
    "month": 32 * 24 * _HOUR_MS,
}
"""Nothing of a step is left after so long, whatever clocks do meanwhile."""
LONGEST_MS = 200 * 366 * 24 * _HOUR_MS
"""Of a period in days, weeks or months: a second of CPU. Each month is a stretch of its own in the
query, and a thousand of them take as long as all else."""
_END_MS = 253_402_214_400_000
"""The last day of the year 9999, which every zone can still write; no question goes beyond."""

_EPOCH, _MS = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Steps of equal width, one after the other."""

    begin_ms: int
    width_ms: int
    first: int
    """Number of its first step."""


def to_ms(time: datetime) -> int:
    return (time - _EPOCH) // _MS


def from_ms(ms: int, zone: tzinfo = UTC) -> datetime:
    return (_EPOCH + ms * _MS).astimezone(zone)


def begins(step: Step, since_ms: int, until_ms: int, zone: tzinfo) -> list[int]:
    """List when each step begins that has a part in [since_ms, until_ms).

    The first may begin before `since_ms`. Raises UsageError when there are too many.
    """
    if (until_ms - since_ms) // _HOUR_MS > MAX_STEPS and step == "hour":
        raise UsageError("so long a period has too many hours; ask by day, week or month")
    if until_ms - since_ms > LONGEST_MS:
        raise UsageError(f"so long a period has too many {step}s; ask for two centuries at most")

    def name(ms: int) -> str:
        return write(step, ms, zone) if ms <= _END_MS else ""

    longest = _LONGEST_MS[step] // QUARTER_MS
    since_ms -= since_ms % QUARTER_MS
    own = name(since_ms)
    back = _first(longest, lambda quarters: name(since_ms - quarters * QUARTER_MS) != own)
    found = [since_ms - (back - 1) * QUARTER_MS]
    while True:
        last = found[-1]
        own = name(last)
        quarters = _first(longest, lambda n: name(last + n * QUARTER_MS) != own)  # noqa: B023 - called at once
        if last + quarters * QUARTER_MS >= until_ms:
            return found
        found.append(last + quarters * QUARTER_MS)


def stretches(begins: Sequence[int]) -> list[Stretch]:
    """Describe steps by as few stretches as possible: two or three for the days of a year."""
    found: list[Stretch] = []
    for number, (begin, end) in enumerate(pairwise(begins)):
        if not found or found[-1].width_ms != end - begin:
            found.append(Stretch(begin, end - begin, number))
    # The last step is as wide as need be: nothing lies behind it.
    last = Stretch(begins[-1], _LONGEST_MS["month"], len(begins) - 1)
    return [*found, last]


def write(step: Step, ms: int, zone: tzinfo) -> str:
    """Name the step that a time lies in: 2026-01-31T12:00+01:00, 2026-01-31, 2026-W05, 2026-01."""
    time = from_ms(ms, zone)
    match step:
        case "hour":
            hour = time.replace(minute=0, second=0, microsecond=0)
            return hour.isoformat(timespec="minutes").replace("+00:00", "Z")
        case "day":
            return time.date().isoformat()
        case "week":
            year, week, _ = time.isocalendar()
            return f"{year:04}-W{week:02}"
        case "month":
            return f"{time.year:04}-{time.month:02}"


def _first(limit: int, holds: Callable[[int], bool]) -> int:
    """Find the first of 1...limit from which on `holds`; it does so at `limit`."""
    low, high = 0, limit
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
