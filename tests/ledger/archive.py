"""A ledger with the key that signs it, and a clock that tests move: for what deletes and keeps."""

import contextlib

from ledger.database import open_database
from ledger.retaining import Retainer
from ledger.roots import add_root
from ledger.signing import PUBLIC_NAME, load_signer, load_verifier
from ledger.sql import open_ledger
from ledger.store import Change
from ledger.verify import verify
from tests.ledger import books
from tests.ledger.lines import START_MS

DAY_MS = 86_400_000


class Archive:
    """Opened for writing by us, as by the settle process."""

    def __init__(self, where, state):
        self.where, self.state = where, state
        self.now_ms = START_MS - START_MS % DAY_MS
        self.ledger = open_ledger(where)
        self.database = open_database(where, writes=True)
        self.reader = open_database(where)
        self.signer = load_signer(state)

    def book(self, *keys, days=0, **members):
        """Book requests that arrive now, or correct them, some days later."""
        self.now_ms += days * DAY_MS
        rows = [books.at(self.now_ms, books.row(key, **members)) for key in keys]
        change = Change(rows=rows, replaced=self.ledger.rows(keys), booked_ms=self.now_ms)
        self.ledger.commit(change)

    def sign(self):
        with self.database.transaction() as connection:
            return add_root(connection, self.signer, self.now_ms)

    def retainer(self, **members):
        usual = {"reader": self.reader, "writer": self.database, "signer": self.signer}
        return Retainer(
            **(usual | members), access_log=self.state / "log" / "access.jsonl",
            clock=lambda: self.now_ms / 1000, sleep=lambda _: None,
        )  # fmt: skip

    def verdict(self):
        database = open_database(self.where)
        with contextlib.closing(database):
            return verify(database, load_verifier(self.state / PUBLIC_NAME))

    def faults(self):
        return [(fault.chain, fault.what) for fault in self.verdict().faults]

    def seqs(self):
        return [entry[0] for entry in books.entries(self.where)]

    def close(self):
        self.ledger.close()
        self.database.close()
        self.reader.close()
