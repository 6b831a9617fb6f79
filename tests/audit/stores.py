"""Filling audit stores and looking into them, for tests."""

import contextlib
import sqlite3

from prometheus_client import CollectorRegistry
from sqlalchemy import select

from audit.collect import Collector
from audit.journal import DIRECTORY, AuditJournal
from audit.record import Record
from audit.rooting import FILE_NAME, AuditRooting
from audit.store import open_audit, prepare
from audit.tables import ENTRY
from ledger.database import new_database
from ledger.roots import read_roots
from ledger.signing import PUBLIC_NAME, load_signer, load_verifier
from telemetry.metrics import SettleMetrics

START_MS = 1_760_000_000_000
DAY_MS = 86_400_000


def record(n, **members):
    return Record(
        START_MS + n,
        ("pii.masked", "key.revoked", "firewall.denied")[n % 3],
        f"key-{n % 4}",
        f"rule-{n}",
        "done",
        ("acme", "globex", "")[n % 3],
        f"r{n}",
        f"s{n}",
        members or {"count": n, "type": "EMAIL é\n"},
    )


class Auditing:
    """A store in a state directory, with whatever writes and signs; the clock stands where it is put."""

    def __init__(self, where, state):
        self.where, self.state = where, state
        self.now_s = START_MS / 1000
        self.database = new_database(where)
        self.registry = CollectorRegistry()
        metrics = SettleMetrics(self.registry)
        self.collector = Collector(self.database, state / DIRECTORY, metrics, self.clock)
        self.signer = load_signer(state)
        self.rooting = AuditRooting(
            self.database, self.signer, state / FILE_NAME, every_s=60, clock=self.clock
        )
        prepare(self.database)

    def clock(self):
        return self.now_s

    def write(self, *numbers):
        journal = AuditJournal(self.state, roll_bytes=1 << 20)
        for n in numbers:
            journal.write(record(n))
        journal.close()
        self.collector.run()

    def close(self):
        self.database.close()


@contextlib.contextmanager
def auditing(where, state):
    made = Auditing(where, state)
    try:
        yield made
    finally:
        made.close()


def fill(where, state):
    """Thirty records in five days, five roots, and three records behind the last."""
    with auditing(where, state) as audit:
        for day in range(5):
            audit.now_s = START_MS / 1000 + day * 86_400
            audit.write(*range(day * 6, day * 6 + 6))
            audit.rooting.run()
        audit.write(30, 31, 32)


@contextlib.contextmanager
def reading(where):
    database = open_audit(where)
    try:
        yield database
    finally:
        database.close()


def entries(where):
    with reading(where) as database, database.transaction() as connection:
        rows = connection.execute(select(ENTRY).order_by(ENTRY.c.seq)).mappings()
        return [dict(row) for row in rows]


def verifier_of(state):
    return load_verifier(state / PUBLIC_NAME)


def roots_of(state):
    return list(read_roots(state / FILE_NAME))


def unguarded(path):
    """The database of somebody who may write the file and does not have the key."""
    db = sqlite3.connect(path, isolation_level=None)
    db.text_factory = bytes
    for trigger in ("audit_entry_is_final", "audit_entry_stays"):
        db.execute(f"DROP TRIGGER {trigger}")
    return db
