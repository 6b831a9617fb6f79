"""Looking into ledgers, for tests."""

import contextlib

from msgspec.structs import replace
from sqlalchemy import select

from ledger.database import open_database
from ledger.raw import stream
from ledger.row import Row, close
from ledger.sighting import Origin
from ledger.tables import AMOUNTS, COUNTS, DIMENSIONS, ENTRY, USAGE_KEY, USAGE_QUARTER
from ledger.witness import read_line
from tests.ledger.lines import START_MS, WHAT, WHO, end

COLUMNS = [column.name for column in ENTRY.c]
PRICE = "0.15/0.075/0.6"


def row(key="s1", line=None, **said):
    """A settled row; `said` replaces members of the headgate metadata."""
    if line is None:
        line = end(key, said={"settle_key": key, **WHO, **WHAT, "price": PRICE, **said})
    return close(Origin(), read_line(line, "f:0", START_MS))


def at(time_ms, row):
    """The same request, at another time."""
    return replace(row, start_ms=time_ms)


def rows(count, first=0):
    return [Row(settle_key=f"s{n}", start_ms=n) for n in range(first, first + count)]


@contextlib.contextmanager
def reading(where):
    database = open_database(where)
    try:
        with database.transaction() as connection:
            yield connection
    finally:
        database.close()


def query(where, statement):
    with reading(where) as connection:
        return [tuple(row) for row in connection.execute(statement)]


def entries(where):
    """All entries, as tuples of their columns."""
    with reading(where) as connection:
        return list(stream(connection, select(ENTRY).order_by(ENTRY.c.seq)))


def named(entry):
    return dict(zip(COLUMNS, entry, strict=True))


def usage(where):
    """`usage_quarter` as {(dimensions, bucket): (sums, histogram)}."""
    joined = USAGE_KEY.c.id == USAGE_QUARTER.c.key
    dimensions = [USAGE_KEY.c[name] for name in DIMENSIONS]
    sums = [USAGE_QUARTER.c[name] for name in (*COUNTS, *AMOUNTS, "ttft")]
    statement = select(*dimensions, USAGE_QUARTER.c.bucket_ms, *sums).join_from(
        USAGE_KEY, USAGE_QUARTER, joined
    )
    n = len(DIMENSIONS)
    return {(r[:n], r[n]): (list(r[n + 1 : -1]), r[-1]) for r in query(where, statement)}
