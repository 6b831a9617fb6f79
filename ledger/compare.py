"""Are the sums in `usage_quarter` those of the entries? One quarter of an hour after the other.

Entries are added up as the writer does it, so that nothing but an equal result will do. Memory is
bounded by what happened in one quarter.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime

from msgspec.structs import astuple
from sqlalchemy import BigInteger, Connection, bindparam, func, literal_column, select

from ledger.booking import Values
from ledger.raw import Query, stream
from ledger.rollup import SUMS, Tallies, Tally, add, digest, read_histogram
from ledger.tables import DIMENSIONS, ENTRY, QUARTER_MS, USAGE_KEY, USAGE_QUARTER
from ledger.trimmed import CHAIN_OF, NOTHING, SUMMED, Trimmed, read_sums, sums
from ledger.walk import Fault

_TENANT = DIMENSIONS.index("tenant")
_BEGINNING_MS = -(2**62)
"""Before any request: clocks may be wrong, and years before 1970 are numbers too."""


def compare(
    connection: Connection, begins_ms: Mapping[str, int], progress: Callable[[int], None]
) -> Iterator[Fault]:
    """Find sums that are not those of the entries.

    `begins_ms` says from which bucket on a chain has all its entries; `progress` is told how many
    entries were added up, a quarter at a time. About 10 us for each. Raises UnreadableError.
    """
    yield from _bad_keys(connection)
    quarters = _Quarters(connection)
    bucket_ms = quarters.first(_BEGINNING_MS)
    while bucket_ms is not None:
        entries = quarters.entries(bucket_ms)
        expected = {dimensions: tally for (dimensions, _), tally in _add_up(entries).items()}
        stored = quarters.sums(bucket_ms)
        for dimensions in expected.keys() | stored.keys():
            chain = str(dimensions[_TENANT] or "")
            if bucket_ms >= begins_ms.get(chain, _BEGINNING_MS):
                what = _difference(expected.get(dimensions, Tally()), stored.get(dimensions))
                if what is not None:
                    yield Fault(f"sums of {_time(bucket_ms)}, {_name(dimensions)}: {what}", chain)
        progress(len(entries))
        bucket_ms = quarters.first(bucket_ms + QUARTER_MS)


def compare_totals(connection: Connection, trimmed: Mapping[str, Trimmed]) -> Iterator[Fault]:
    """Find chains whose sums are not those of the entries that are left and of those deleted.

    `trimmed` says of chains what was deleted of them. Two passes over what is stored, 2 us for
    each entry. Raises UnreadableError.
    """
    if not trimmed:
        return
    left = select(CHAIN_OF).add_columns(*sums(ENTRY)).group_by(CHAIN_OF)
    chain = func.coalesce(USAGE_KEY.c.tenant, literal_column("''"))
    stored = (
        select(chain)
        .add_columns(*sums(USAGE_QUARTER))
        .join_from(USAGE_QUARTER, USAGE_KEY, USAGE_KEY.c.id == USAGE_QUARTER.c.key)
        .group_by(chain)
    )
    expected, found = (
        {str(name): read_sums(sums_) for name, *sums_ in stream(connection, query)}
        for query in (left, stored)
    )
    for name, deleted in trimmed.items():
        entries = astuple(deleted + expected.get(name, NOTHING))
        for field, should, is_ in zip(
            SUMMED, entries, astuple(found.get(name, NOTHING)), strict=True
        ):
            if is_ != should:
                what = f"{field} is {is_}, entries deleted and entries left make {should}"
                yield Fault(f"sums of all times: {what}", name)


class _Quarters:
    """What is stored of one quarter of an hour."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        dialect = connection.dialect
        from_ms, to_ms = (
            bindparam("from_ms", type_=BigInteger),
            bindparam("to_ms", type_=BigInteger),
        )
        start, bucket = ENTRY.c.start_ms, USAGE_QUARTER.c.bucket_ms
        self._first = [
            Query(select(func.min(time)).where(time >= from_ms), dialect)
            for time in (start, bucket)
        ]
        self._entries = Query(select(ENTRY).where(start >= from_ms, start < to_ms), dialect)
        # A sum whose combination of dimensions is gone comes without dimensions.
        self._sums = Query(
            select(*(USAGE_KEY.c[name] for name in DIMENSIONS))
            .add_columns(*(USAGE_QUARTER.c[name] for name in (*SUMS, "ttft")))
            .outerjoin_from(USAGE_QUARTER, USAGE_KEY, USAGE_KEY.c.id == USAGE_QUARTER.c.key)
            .where(bucket >= from_ms, bucket < to_ms),
            dialect,
        )

    def first(self, from_ms: int) -> int | None:
        """Find the first bucket at or after `from_ms` that has entries or sums."""
        found: list[int] = []
        for query in self._first:
            ((ms,),) = query.stream(self._connection, from_ms=from_ms)
            if isinstance(ms, int):
                found.append(ms - ms % QUARTER_MS)
        return min(found, default=None)

    def entries(self, bucket_ms: int) -> list[Values]:
        return list(self._ask(self._entries, bucket_ms))

    def sums(self, bucket_ms: int) -> dict[Values, Values]:
        """By dimensions."""
        width = len(DIMENSIONS)
        return {row[:width]: row[width:] for row in self._ask(self._sums, bucket_ms)}

    def _ask(self, query: Query, bucket_ms: int) -> Iterator[Values]:
        return query.stream(self._connection, from_ms=bucket_ms, to_ms=bucket_ms + QUARTER_MS)


def _add_up(entries: Iterable[Values]) -> Tallies:
    tallies: Tallies = {}
    for entry in entries:
        try:
            add(tallies, entry)
        except (TypeError, AssertionError):  # a column of another type: its chain is blamed for it
            continue
    return tallies


def _bad_keys(connection: Connection) -> Iterator[Fault]:
    for id_, digest_, *dimensions in stream(connection, select(USAGE_KEY)):
        if digest_ != digest(tuple(dimensions)):
            chain = str(dimensions[_TENANT] or "")
            yield Fault(f"usage_key {id_!r} is not what its digest says", chain)


def _difference(expected: Tally, stored: Values | None) -> str | None:
    """Say what differs; a combination that nothing is left of need not be stored."""
    if stored is None:
        stored = (*[0] * len(SUMS), None)
    for name, should, is_ in zip(SUMS, expected.sums, stored[:-1], strict=True):
        if is_ != should:
            return f"{name} is {is_!r}, its entries make {should}"
    packed = stored[-1]
    try:
        found = read_histogram(packed if isinstance(packed, bytes) else None)
    except struct.error:
        return "ttft is no histogram"
    is_same = found == {slot: count for slot, count in expected.ttft.items() if count}
    return None if is_same else "ttft is not that of its entries"


def _time(bucket_ms: int) -> str:
    try:
        return datetime.fromtimestamp(bucket_ms / 1000, UTC).isoformat(timespec="minutes")
    except (ValueError, OverflowError, OSError):
        return f"{bucket_ms} ms"


def _name(dimensions: Values) -> str:
    named = zip(DIMENSIONS, dimensions, strict=True)
    return " ".join(f"{name}={value!r}" for name, value in named if value is not None)
