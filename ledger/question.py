"""A question to the ledger: who used how much of what, and when. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from ledger import tables

Step = Literal["hour", "day", "week", "month"]
STEPS: tuple[Step, ...] = get_args(Step)
"""Time as a dimension, in the question's zone. Weeks are those of ISO 8601."""

DIMENSIONS = tuple("group" if name == "groups" else name for name in tables.DIMENSIONS)
"""What usage can be grouped by, besides time. A request of a user in several groups counts in each
of them, so that the rows of `group` may add up to more than the total."""

Order = Literal["tokens", "cost", "requests"]
ORDERS: tuple[Order, ...] = get_args(Order)

MAX_TOP = 10_000

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(r"(\d{1,6})([smhdw])", re.ASCII)
_CONDITION = re.compile(r"([a-z_]+)(!?=)(.*)", re.DOTALL)
_EARLIEST, _LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
"""A day within what every zone can write."""


class UsageError(ValueError):
    """A question that makes no sense; the message says which would."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Requests count whose dimension has one of the values, or with `negated` none of them."""

    dimension: str
    values: tuple[str | None, ...]
    """None is unknown."""
    negated: bool = False

    def __post_init__(self) -> None:
        """Raises UsageError."""
        _check_dimension(self.dimension, DIMENSIONS)
        if self.dimension == "status":
            for value in self.values:
                if value is not None and not re.fullmatch(r"[0-9]{1,3}", value):
                    raise UsageError(f"status is a number such as 200, not {value!r}")


@dataclass(frozen=True, slots=True)
class Question:
    """Sums over the requests that started in [since, until)."""

    by: tuple[str, ...] = ("tenant", "model")
    """Dimensions, and at most one of STEPS."""
    since: datetime | None = None
    """None: from the first entry on. Both are aware of their zone, and exact to the millisecond."""
    until: datetime | None = None
    where: tuple[Condition, ...] = ()
    """All of them hold."""
    top: int | None = None
    """How many groups are told one by one; the others are summed up in one row."""
    order: Order = "tokens"
    """What makes a group come first: more of this in the whole period."""
    zone: tzinfo = UTC
    """Where steps begin."""
    fill: bool = False
    """With a step: also tell the steps of a group in which nothing happened."""
    most: int | None = None
    """More places than these, groups times steps, are too many to add up; None: as memory goes."""
    compare: bool = False
    """Also ask for the period of equal length before this one. Needs `since` and `until`."""

    def __post_init__(self) -> None:
        """Raises UsageError."""
        for name in self.by:
            _check_dimension(name, (*DIMENSIONS, *STEPS))
        if len(set(self.by)) < len(self.by):
            raise UsageError(f"each dimension once, please: {', '.join(self.by)}")
        if sum(name in STEPS for name in self.by) > 1:
            raise UsageError(f"one of {', '.join(STEPS)} at a time")
        if self.top is not None and not 1 <= self.top <= MAX_TOP:
            raise UsageError(f"the top 1 to {MAX_TOP}, not {self.top}")
        if self.since and self.until and self.since >= self.until:
            raise UsageError(f"nothing lies between {self.since} and {self.until}")
        if self.compare and not (self.since and self.until):
            raise UsageError("to compare with the period before, say since when and until when")

    @property
    def step(self) -> Step | None:
        return next((name for name in STEPS if name in self.by), None)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Those of `by` that are not time."""
        return tuple(name for name in self.by if name not in STEPS)


def parse_by(text: str) -> tuple[str, ...]:
    """Read `tenant,model`."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def parse_where(texts: Sequence[str]) -> tuple[Condition, ...]:
    """Read `tenant=acme` and `status!=200`; nothing behind the sign is "unknown".

    Several values for one dimension are alternatives. Raises UsageError.
    """
    found: dict[tuple[str, bool], list[str | None]] = {}
    for text in texts:
        match = _CONDITION.fullmatch(text)
        if match is None:
            raise UsageError(f"cannot read {text!r}; write tenant=acme or status!=200")
        found.setdefault((match[1], match[2] == "!="), []).append(match[3] or None)
    return tuple(
        Condition(name, tuple(values), negated) for (name, negated), values in found.items()
    )


def parse_zone(name: str) -> tzinfo:
    """Find a time zone by its IANA name. Raises UsageError."""
    if name.upper() in ("UTC", "Z"):
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, no name at all, a directory
        raise UsageError(f"there is no time zone {name!r}; write Europe/Berlin") from None


def parse_time(text: str, now: datetime, zone: tzinfo = UTC) -> datetime:
    """Read a point in time: `90m` or `7d` before `now`, or an ISO date or time, in `zone` if unsaid.

    Raises UsageError.
    """
    match = _DURATION.fullmatch(text)
    try:
        if match:
            time = now - timedelta(**{_UNITS[match[2]]: int(match[1])})
        else:
            time = datetime.fromisoformat(text)
            time = time if time.tzinfo else time.replace(tzinfo=zone)
        if _EARLIEST <= time <= _LATEST:
            return time.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise UsageError(
        f"cannot read {text!r} as a time; write 30m, 1h, 7d, 2026-01-31 or 2026-01-31T12:00Z"
    )


def _check_dimension(name: str, choices: Sequence[str]) -> None:
    if name not in choices:
        raise UsageError(f"there is no {name!r}; choose from {', '.join(choices)}")
