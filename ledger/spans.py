"""Stretches of time that are asked for, and what is known of them."""

from sqlalchemy import ColumnElement, Connection, func, select

from ledger.tables import QUARTER_MS, USAGE_QUARTER

Span = tuple[int | None, int | None]
"""[since, until) in milliseconds; None is without end."""


def split(span: Span) -> tuple[Span | None, list[Span]]:
    """Split a span into whole quarters, if there are any, and what is left at its ends."""
    since, until = span
    begin = None if since is None else since + -since % QUARTER_MS
    end = None if until is None else until - until % QUARTER_MS
    if begin is not None and end is not None and begin >= end:
        return None, [span]
    rest: list[Span] = []
    if begin != since:
        rest.append((since, begin))
    if end != until:
        rest.append((end, until))
    return (begin, end), rest


def within(time: ColumnElement[int], span: Span) -> list[ColumnElement[bool]]:
    """Write it as conditions."""
    since, until = span
    bounds = [
        None if since is None else time >= since,
        None if until is None else time < until,
    ]
    return [bound for bound in bounds if bound is not None]


def known_span(connection: Connection) -> tuple[int, int] | None:
    """Tell from when until when anything was booked for, in whole quarters; None: nothing was."""
    bucket = USAGE_QUARTER.c.bucket_ms
    first = connection.execute(select(func.min(bucket))).scalar_one()
    last = connection.execute(select(func.max(bucket))).scalar_one()
    return None if first is None or last is None else (first, last + QUARTER_MS)
