"""Which page of which question is asked for, by whom."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from fastapi import Request

from sidecars.common.identity import Identity
from sidecars.ledger.cursor import Cursor, Place, bind, read_cursor, write_cursor
from sidecars.ledger.parameters import Parameters, Period, read_period

PER_PAGE = frozenset({"cursor", "limit", "format"})
"""Parameters that may differ from page to page."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a question."""

    period: Period
    limit: int
    after: Place | None
    """The last row of the page before; None on the first page."""
    bound: str

    def cursor_after(self, place: Place) -> str:
        """Write the cursor for the page behind the row at `place`."""
        return write_cursor(Cursor(self.bound, self.period.since_ms, self.period.until_ms, place))


def read_page(request: Request, who: Identity, asked: Parameters, now: datetime) -> Page:
    """Raises: Refusal."""
    period = read_period(asked, now)
    bound = bind(who, request.url.path, question(request))
    if asked.cursor is None:
        return Page(period, asked.limit, None, bound)
    cursor = read_cursor(asked.cursor, bound)
    first = replace(period, since_ms=cursor.since_ms, until_ms=cursor.until_ms)
    return Page(first, asked.limit, cursor.after, bound)


def question(request: Request) -> Iterable[tuple[str, str]]:
    sent = request.query_params.multi_items()
    return [(name, value) for name, value in sent if name not in PER_PAGE]
