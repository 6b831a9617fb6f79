"""What the ledger costs: `python -m bench.ledger [--entries 100000] [--ledger URL]`.

Books made-up requests of a month in batches of 1, 20 and 1000 (20 is a settle process at 400
requests a second), then says how much room an entry takes and how long it takes to verify. The
ledger is a new SQLite file, or what stands at URL: an empty database.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import text

from bench.usage import rows
from ledger.database import Database, open_database
from ledger.roots import add_root
from ledger.row import Row
from ledger.signing import PUBLIC_NAME, load_signer, load_verifier
from ledger.sql import SqlLedger, open_ledger
from ledger.store import Change
from ledger.verify import verify

BATCHES = (1, 20, 1000)
MOST_COMMITS = 1000
"""Of each size: enough to tell, and batches of one take long."""


def main() -> None:
    options = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="ledger-") as directory:
        state = Path(directory)
        where: str | Path = options.ledger or state / "ledger.sqlite"
        made = list(rows(options.entries, random.Random(1)))  # noqa: S311 - made up, not secret
        ledger = open_ledger(where)
        for size in BATCHES:
            book(ledger, made, size)
        ledger.close()
        database = open_database(where, writes=True)
        measure_room(database)
        measure_verify(database, state)
        database.close()


def book(ledger: SqlLedger, made: list[Row], size: int) -> None:
    """Book a third of the rows that are left, or so many commits, and the last size all."""
    commits = (
        len(made) // size if size == BATCHES[-1] else min(MOST_COMMITS, len(made) // 3 // size)
    )
    batches: Sequence[Sequence[Row]] = [made[n * size : (n + 1) * size] for n in range(commits)]
    begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
    for batch in batches:
        ledger.commit(Change(rows=batch, booked_ms=batch[-1].start_ms + 1000))
    wall_s, cpu_s = time.perf_counter() - begin_s, time.process_time() - begin_cpu_s
    booked = commits * size
    del made[:booked]
    each = f"{cpu_s / booked * 1e6:6.0f} us CPU each, {wall_s / commits * 1e3:6.2f} ms a commit"
    print(f"batches of {size:4}: {booked / wall_s:8,.0f} entries/s, {each}")


def measure_room(database: Database) -> None:
    with database.transaction() as connection:
        entries = connection.execute(text("SELECT count(*) FROM entry")).scalar_one()
        sums = connection.execute(text("SELECT count(*) FROM usage_quarter")).scalar_one()
        if connection.dialect.name == "postgresql":
            room = (
                "SELECT CASE WHEN relname LIKE 'usage%' THEN 'sums' ELSE 'entries' END, "
                "sum(pg_total_relation_size(oid)) FROM pg_class "
                "WHERE relkind = 'r' AND relname IN ('entry', 'usage_key', 'usage_quarter') GROUP BY 1"
            )
        else:
            room = (
                "SELECT CASE WHEN tbl_name LIKE 'usage%' THEN 'sums' ELSE 'entries' END, "
                "sum(pgsize) FROM dbstat JOIN sqlite_master USING (name) "
                "WHERE tbl_name IN ('entry', 'usage_key', 'usage_quarter') GROUP BY 1"
            )
        bytes_of = {kind: int(size) for kind, size in connection.execute(text(room))}
    each = {kind: f"{size / entries:.0f} bytes" for kind, size in bytes_of.items()}
    print(f"room: {entries:,} entries, {each['entries']} each with its indexes")
    print(f"      {sums:,} sums, {each['sums']} for each entry")


def measure_verify(database: Database, state: Path) -> None:
    signer = load_signer(state)
    with database.transaction() as connection:
        add_root(connection, signer, 0)
    begin_s = time.perf_counter()
    verdict = verify(database, load_verifier(state / PUBLIC_NAME))
    each_us = (time.perf_counter() - begin_s) / verdict.entries * 1e6
    print(f"verified: {len(verdict.faults)} faults, {each_us:.0f} us for each entry")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.ledger", description="Write cost and room."
    )
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--ledger", help="URL of an empty PostgreSQL database (a new SQLite file)")
    return parser


if __name__ == "__main__":
    main()
