"""Questions to the ledger: who used how much of what, and when."""

import math
import re
from array import array
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ledger.sqlite import open_reader

_HOUR = "strftime('%Y-%m-%dT%H:00Z', start_ms / 1000, 'unixepoch')"
_DAY = "strftime('%Y-%m-%d', start_ms / 1000, 'unixepoch')"

DIMENSIONS: Mapping[str, str] = {
    # The plus keeps SQLite from walking an index in this order, at one random read per row:
    # 1.0 s instead of 1.6 s for a million rows.
    **{
        name: f"+{name}"
        for name in (
            "tenant",
            "project",
            "user",
            "key_id",
            "model",
            "pool",
            "endpoint",
            "operation",
            "status",
            "deny_reason",
            "policy",
        )
    },
    "hour": _HOUR,
    "day": _DAY,
}
"""What usage can be grouped by, and its SQL. Hours and days are UTC."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(r"(\d{1,6})([smhdw])")


class UsageError(ValueError):
    """A question that makes no sense; the message says which would."""


@dataclass(frozen=True, slots=True)
class UsageRow:
    """The sums of one group."""

    group: tuple[str | None, ...]
    """One value per dimension asked for; None is unknown."""
    requests: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    """A part of prompt_tokens."""
    denied: int
    unsettled: int
    ttft_p50_ms: float | None
    """Over successful answers; None when there were none."""
    ttft_p95_ms: float | None


def usage(
    ledger: Path,
    by: Sequence[str] = ("tenant", "model"),
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[UsageRow]:
    """Sum up the requests that started in [since, until), biggest users of tokens first.

    Unknown tokens (`estimated` rows) add nothing. Raises UsageError for an unknown dimension and
    LedgerError when there is no ledger. Reads while the settle process writes.
    """
    check_dimensions(by)
    query, values = _query(by, since, until)
    with closing(open_reader(ledger)) as db:
        # typeshed wants a class whose step takes any number of arguments; SQLite gives one here.
        db.create_aggregate("percentiles", 1, _Percentiles)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        return [_usage_row(values, len(by)) for values in db.execute(query, values)]


def check_dimensions(by: Sequence[str]) -> None:
    """Raises UsageError, listing the choices, when one of `by` is no dimension or comes twice."""
    for name in by:
        if name not in DIMENSIONS:
            choices = ", ".join(DIMENSIONS)
            raise UsageError(f"cannot group by {name!r}; choose from {choices}")
    if len(set(by)) < len(by):
        raise UsageError(f"each dimension once, please: {', '.join(by)}")


def parse_time(text: str, now: datetime) -> datetime:
    """Read a point in time: `90m` or `7d` before `now`, or an ISO date or time (UTC if unsaid).

    Raises UsageError.
    """
    match = _DURATION.fullmatch(text)
    try:
        if match:
            return now - timedelta(**{_UNITS[match[2]]: int(match[1])})
        time = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise UsageError(
            f"cannot read {text!r} as a time; write 30m, 1h, 7d, 2026-01-31 or 2026-01-31T12:00Z"
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _query(
    by: Sequence[str], since: datetime | None, until: datetime | None
) -> tuple[str, list[int]]:
    bounds = [("start_ms >= ?", since), ("start_ms < ?", until)]
    given = [(clause, time) for clause, time in bounds if time is not None]
    where = " AND ".join(clause for clause, _ in given) or "TRUE"
    groups = [DIMENSIONS[name] for name in by]
    query = f"""
        SELECT {"".join(f"{group}, " for group in groups)}
            count(*),
            coalesce(sum(prompt_tokens), 0) AS prompt,
            coalesce(sum(completion_tokens), 0) AS completion,
            coalesce(sum(cached_tokens), 0),
            count(deny_reason),
            coalesce(sum(unsettled), 0),
            percentiles(CASE WHEN status BETWEEN 200 AND 299 THEN ttft_us END)
        FROM request
        WHERE {where}
        {"GROUP BY " + ", ".join(groups) if groups else ""}
        ORDER BY prompt + completion DESC, count(*) DESC
    """  # noqa: S608 - only SQL of ours is put together; values are bound
    return query, [round(time.timestamp() * 1000) for _, time in given]


def _usage_row(values: Sequence[str | int | None], dimensions: int) -> UsageRow:
    group = tuple(None if value is None else str(value) for value in values[:dimensions])
    *sums, percentiles = values[dimensions:]
    requests, prompt, completion, cached, denied, unsettled = (int(v or 0) for v in sums)
    p50, p95 = (int(us) / 1000 for us in str(percentiles).split()) if percentiles else (None, None)
    return UsageRow(group, requests, prompt, completion, cached, denied, unsettled, p50, p95)


class _Percentiles:
    """SQL aggregate: `p50 p95` of its argument by nearest rank, as text; NULLs do not count."""

    def __init__(self) -> None:
        self._values = array("q")

    def step(self, value: int | None) -> None:
        if value is not None:
            self._values.append(value)

    def finalize(self) -> str | None:
        ordered = sorted(self._values)
        if not ordered:
            return None
        ranks = (math.ceil(share * len(ordered)) - 1 for share in (0.50, 0.95))
        return " ".join(str(ordered[rank]) for rank in ranks)
