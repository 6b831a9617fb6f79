"""What is on the bill: sums by tenant, project, model and price, in hours or days, by billing month.

A month's bill is written some time after the month is over. What is booked by then is on it. What is
booked later, a correction or a request that was settled late, is on the bill of the month in which
it was booked, as a correction of the time it belongs to. So a bill never changes once it is written,
every entry is on exactly one, and all of them together are the ledger.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from itertools import pairwise
from typing import Literal

from sqlalchemy import Connection, func, select

from ledger import steps
from ledger.figures import Figures, figures_of
from ledger.question import Condition
from ledger.rollup import Tally
from ledger.spans import Span, known_span
from ledger.tables import ENTRY
from ledger.totals import Place, Wanted, add_up

BASE = ("tenant", "project", "model", "region", "price")
"""What charges are told apart by, at least."""

DAY_MS = 86_400_000
BILLED_AFTER_MS = DAY_MS
"""How long after its end a month's bill is written, unless said otherwise: the last requests of a
month settle within minutes, and late ends come within the hour in which Envoy's log is read again."""
LONGEST_AFTER_MS = 27 * DAY_MS
"""A bill is written before the next month ends."""


@dataclass(frozen=True, slots=True)
class Bill:
    """Which charges are wanted."""

    since_ms: int
    """Of requests their start; of corrections, when they were booked."""
    until_ms: int
    step: Literal["hour", "day"] = "day"
    zone: tzinfo = UTC
    """Where days and months begin."""
    more: Sequence[str] = ()
    """Dimensions to tell charges apart by besides BASE, as they are stored."""
    where: Sequence[Condition] = ()
    billed_after_ms: int = BILLED_AFTER_MS

    @property
    def names(self) -> Sequence[str]:
        return [*BASE, *self.more]


@dataclass(frozen=True, slots=True)
class Charge:
    """Tokens of one kind of request in one step, and what they cost."""

    period: tuple[int, int]
    """When they were used: milliseconds, the end exclusive."""
    billing: tuple[int, int]
    """The month on whose bill they are."""
    is_correction: bool
    """Of a month whose bill was written before."""
    values: Mapping[str, str | None]
    """By dimension."""
    figures: Figures


def charges(connection: Connection, bill: Bill) -> Iterator[Charge]:
    """Tell all charges of [since, until), month by month."""
    months = steps.begins("month", bill.since_ms, bill.until_ms, bill.zone)
    after = steps.begins("month", months[-1], months[-1] + 32 * DAY_MS, bill.zone)[1]
    for month in pairwise([*months, after]):
        yield from _regular(connection, bill, month)
        yield from _corrections(connection, bill, month)


def _regular(connection: Connection, bill: Bill, month: tuple[int, int]) -> Iterator[Charge]:
    """Tell what started in this month, without what was booked after its bill was written."""
    begin, end = max(month[0], bill.since_ms), min(month[1], bill.until_ms)
    begins = steps.begins(bill.step, begin, end, bill.zone)
    found = _add_up(connection, bill, begins, (begin, end), (None, None))
    written = month[1] + bill.billed_after_ms
    last = connection.execute(select(func.max(ENTRY.c.booked_ms))).scalar_one()
    if last is not None and last >= written:
        late = _add_up(connection, bill, begins, (begin, end), (written, None))
        for place, tally in late.items():
            rest = found.setdefault(place, Tally())
            rest.sums = [all_ - out for all_, out in zip(rest.sums, tally.sums, strict=True)]
    yield from _tell(bill, begins, month, found, is_correction=False)


def _corrections(connection: Connection, bill: Bill, month: tuple[int, int]) -> Iterator[Charge]:
    """Tell what was booked in this month for months whose bill had been written by then."""
    first, _ = known_span(connection) or month
    if first >= month[0]:
        return
    begins = steps.begins(bill.step, first, month[0], bill.zone)
    before = steps.begins("month", month[0] - 1, month[0], bill.zone)[0]
    written = month[0] + bill.billed_after_ms
    # Until the bill of the month before is written, only what is older is late.
    for end_of_billed, since, until in ((before, month[0], written), (month[0], written, month[1])):
        booked = max(since, bill.since_ms), min(until, bill.until_ms)
        if booked[0] < booked[1] and first < end_of_billed:
            found = _add_up(connection, bill, begins, (None, end_of_billed), booked)
            yield from _tell(bill, begins, month, found, is_correction=True)


def _add_up(
    connection: Connection, bill: Bill, begins: Sequence[int], span: Span, booked: Span
) -> dict[Place, Tally]:
    stretches = steps.stretches(begins)
    wanted = Wanted(bill.names, bill.where, span, stretches, ttft=False, booked=booked)
    return add_up(connection, wanted)


def _tell(
    bill: Bill,
    begins: Sequence[int],
    month: tuple[int, int],
    found: Mapping[Place, Tally],
    *,
    is_correction: bool,
) -> Iterator[Charge]:
    after = steps.begins(bill.step, begins[-1], begins[-1] + 26 * 3_600_000, bill.zone)[1]
    ends = [*begins[1:], after]
    for (number, values), tally in sorted(found.items(), key=_in_order):
        if any(tally.sums):
            texts = (None if value is None else str(value) for value in values)
            yield Charge(
                (begins[number], ends[number]),
                month,
                is_correction,
                dict(zip(bill.names, texts, strict=True)),
                figures_of(tally),
            )


def _in_order(found: tuple[Place, Tally]) -> tuple[int, tuple[str, ...]]:
    (number, values), _ = found
    return number, tuple("" if value is None else str(value) for value in values)
