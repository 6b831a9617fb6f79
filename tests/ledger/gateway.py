"""What a gateway leaves in its state directory, and a settle process that can stop at any moment."""

import contextlib
import itertools

from prometheus_client import CollectorRegistry
from sqlalchemy import select

from ledger.backup import back_up
from ledger.database import open_database
from ledger.journal import JournalEntry, JournalWriter
from ledger.restore import Wish, restore
from ledger.roots import FILE_NAME, Rooting, read_roots
from ledger.settle import Pace, Settler
from ledger.signing import PUBLIC_NAME, load_signer, load_verifier
from ledger.snapshot import choose
from ledger.sql import open_ledger
from ledger.tables import REQUEST
from ledger.verify import verify
from telemetry.metrics import SettleMetrics
from tests.ledger import books
from tests.ledger.lines import START_MS, anonymous, end

IN_FORCE = [column for column in REQUEST.c if column.name not in ("seq", "revision", "booked_ms")]


class Gateway:
    """One state directory; its clock goes on by a second with each request."""

    def __init__(self, state, where=None):
        self.state = state
        self.where = where or state / "ledger.sqlite"
        self.log = state / "log" / "access.jsonl"
        self.log.parent.mkdir(parents=True)
        (state / "journal").mkdir()
        self.now_ms = START_MS
        self.numbers = itertools.count()
        self.journal = JournalWriter(state / "journal", start_ns=1, pid=1)
        self.settler = None
        load_signer(state)

    def clock(self):
        return self.now_ms / 1000

    def begin(self, **members):
        """A request leaves for an engine; returns its key."""
        self.now_ms += 1000
        key = f"s{next(self.numbers):04}"
        entry = JournalEntry(at=self.clock(), settle_key=key, tenant="acme", user="u1", **members)
        self.journal.append(entry)
        return key

    def end(self, key, **members):
        said = {"settle_key": key, "tenant": "acme", "user": "u1", "operation": "chat"}
        self.now_ms += 1000
        start_ms, latency_us = self.now_ms - 500, 500_000
        self.write(end(key, said=said, start_ms=start_ms, latency_us=latency_us, **members))

    def serve(self, count=1):
        for _ in range(count):
            self.end(self.begin())

    def refuse(self):
        """A request that nobody decided on: only its line and where it stands tell it from others."""
        self.write(anonymous(start_ms=self.now_ms))

    def write(self, line):
        with self.log.open("ab") as log:
            log.write(line + b"\n")

    def rotate(self):
        self.now_ms += 1  # no two files begin with the same line: it has a time and a request id
        self.log.rename(self.log.with_name(f"access.jsonl.{self.now_ms:019}"))

    def step(self):
        """Settle one batch, as far as it goes."""
        if self.settler is None:
            self.ledger = open_ledger(self.where)
            metrics = SettleMetrics(CollectorRegistry())
            self.settler = Settler(
                self.log, self.state / "journal", self.ledger, metrics, clock=self.clock
            )
        return self.settler.step()

    def settle(self):
        while self.step() is not Pace.CAUGHT_UP:
            pass

    def stop(self):
        """As if it had been killed."""
        if self.settler is not None:
            self.settler.close()
            self.ledger.close()
            self.settler = None

    def sign(self):
        with contextlib.closing(open_database(self.where, writes=True)) as database:
            file = self.state / FILE_NAME
            Rooting(database, load_signer(self.state), file, clock=self.clock).run()

    def back_up(self, directory, **members):
        self.now_ms += 1
        return back_up(self.where, self.state, directory, clock=self.clock, **members)

    def restore(self, directory, at_ms=None, state=None, **members):
        state = state or self.state
        backup, later = choose(directory, at_ms)
        ledger = state / "ledger.sqlite"
        return restore(Wish(backup, later, ledger, state, at_ms, clock=self.clock, **members))

    def rows(self, state=None):
        """What is in force, but for when it was booked."""
        where = state / "ledger.sqlite" if state else self.where
        statement = select(*IN_FORCE).order_by(REQUEST.c.settle_key)
        return books.query(where, statement)

    def faults(self, state=None):
        where = state / "ledger.sqlite" if state else self.where
        with contextlib.closing(open_database(where)) as database:
            verifier = load_verifier((state or self.state) / PUBLIC_NAME)
            outside = read_roots((state or self.state) / FILE_NAME)
            return verify(database, verifier, outside).faults

    def close(self):
        self.stop()
        self.journal.close()
