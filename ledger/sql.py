"""The ledger in a database, the writing side: SQLite or PostgreSQL, by SQLAlchemy Core.

What the writer knows of the stored state (where chains stand, who has which pseudonym) it keeps in
memory, for it is the only one who changes that. After any fault it forgets all and reads again.
"""

from collections.abc import Collection, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from sqlalchemy import Connection, RowMapping, bindparam, func, select, update
from sqlalchemy.exc import DBAPIError

from ledger import subjects
from ledger.booking import Books, Person, book, people
from ledger.chain import Link
from ledger.database import Database, new_database
from ledger.recent import Recent
from ledger.rollup import add_up
from ledger.row import Row
from ledger.schema import prepare
from ledger.sighting import Departure, Renewal
from ledger.statements import Statements
from ledger.store import Booked, Change, LedgerMovedError, Open
from ledger.sums import Sums
from ledger.tables import CHAIN, ENTRY, FLAGS, LEDGER, OPEN_REQUEST, SOURCE, SUBJECT

_PEOPLE_KEPT = 100_000
"""Pseudonyms remembered, some 30 MB if all were used; others are looked up."""
_AT_ONCE = 5_000
"""Keys in one query; both databases take at least 32 000."""

_FIELDS = [ENTRY.c[name] for name in Row.__struct_fields__]
_LATER = ENTRY.alias("later")
_IN_FORCE = (
    select(ENTRY.c.revision, SUBJECT.c.name, *_FIELDS)
    .outerjoin_from(ENTRY, SUBJECT, SUBJECT.c.pseudonym == ENTRY.c.user)
    .where(
        ENTRY.c.settle_key.in_(bindparam("keys", expanding=True)),
        ENTRY.c.requests == 1,
        ~select(_LATER.c.seq)
        .where(
            _LATER.c.revision > 0,
            _LATER.c.settle_key == ENTRY.c.settle_key,
            _LATER.c.revision > ENTRY.c.revision,
        )
        .exists(),
    )
)

# Prepared once: SQLAlchemy takes longer to put a statement together than SQLite to run it.
_COUNT_COMMIT = update(LEDGER).values(commits=LEDGER.c.commits + 1).returning(LEDGER.c.erasures)
_COUNT_COMMIT_AFTER = _COUNT_COMMIT.where(LEDGER.c.commits == bindparam("after"))

_encode_seen = msgspec.json.Encoder().encode
_decode_seen = msgspec.json.Decoder(Departure | Renewal).decode


@dataclass(slots=True)
class _Known:
    """What is stored, as the writer knows it."""

    seq: int
    booked_ms: int
    chains: dict[str, Link]
    erasures: int
    sums: Sums
    pseudonyms: Recent[Person, str] = field(default_factory=lambda: Recent(_PEOPLE_KEPT))


class SqlLedger:
    """Used by one thread at a time. Nobody else can be one for the same ledger."""

    def __init__(self, database: Database) -> None:
        """Open or create. Raises LedgerError: another writer, another version, not a ledger."""
        self._database = database
        self._statements = Statements(database.engine.dialect)
        self._connection: Connection | None = None
        self._known: _Known | None = None
        try:
            with self._transaction() as connection:
                prepare(connection, database.name)
        except BaseException:
            self.close()
            raise

    def position(self) -> int:
        with self._transaction() as connection:
            return int(connection.execute(select(LEDGER.c.commits)).scalar_one())

    def open_requests(self) -> dict[str, Open]:
        with self._transaction() as connection:
            found = connection.execute(select(OPEN_REQUEST)).all()
        return {key: Open(_decode_seen(seen), leased_at_s) for key, leased_at_s, seen in found}

    def offsets(self) -> dict[str, int]:
        with self._transaction() as connection:
            return dict(connection.execute(select(SOURCE)).all())

    def rows(self, keys: Collection[str]) -> dict[str, Booked]:
        wanted = list(keys)
        found: dict[str, Booked] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            some = {"keys": wanted[start : start + _AT_ONCE]}
            with self._transaction() as connection:
                for columns in connection.execute(_IN_FORCE, some).mappings():
                    booked = _booked(columns)
                    found[booked.row.settle_key] = booked
        return found

    def commit(self, change: Change) -> None:
        with self._transaction() as connection:
            known = self._advance(connection, change.after)
            if change.rows:
                self._book(connection, change, known)
            run = self._statements
            run.close.run(connection, [(key,) for key in change.closed])
            run.open.run(
                connection,
                [
                    (k, o.leased_at_s, _encode_seen(o.seen).decode())
                    for k, o in change.opened.items()
                ],
            )
            run.move_source.run(connection, list(change.offsets.items()))
            run.forget_source.run(connection, [(file_id,) for file_id in change.forgotten])

    def close(self) -> None:
        self._disconnect()
        self._database.claim.release()
        self._database.close()

    def _advance(self, connection: Connection, after: int | None) -> _Known:
        """Number this commit, first of all: a second one after the same is turned away here."""
        counted = (
            connection.execute(_COUNT_COMMIT)
            if after is None
            else connection.execute(_COUNT_COMMIT_AFTER, {"after": after})
        )
        erasures = counted.scalar_one_or_none()
        if erasures is None:
            raise LedgerMovedError(f"the ledger is not at commit {after}")
        if self._known is None:
            self._known = self._learn(connection, erasures)
        if self._known.erasures != erasures:
            self._known.pseudonyms.clear()
            self._known.erasures = erasures
        return self._known

    def _learn(self, connection: Connection, erasures: int) -> _Known:
        chains = select(CHAIN.c.tenant, CHAIN.c.length, CHAIN.c.head)
        links = {t: Link(n, bytes(head)) for t, n, head in connection.execute(chains)}
        last = select(func.coalesce(func.max(ENTRY.c.booked_ms), 0))
        return _Known(
            seq=sum(link.length for link in links.values()),
            booked_ms=connection.execute(last).scalar_one(),
            chains=links,
            erasures=erasures,
            sums=Sums(self._statements),
        )

    def _book(self, connection: Connection, change: Change, known: _Known) -> None:
        pseudonyms = self._name(connection, people(change.rows, change.replaced), known)
        books = Books(known.seq, known.booked_ms, known.chains, pseudonyms)
        booked = book(change.rows, change.replaced, books, change.booked_ms)
        self._statements.book.run(connection, booked.entries)
        self._statements.move_chain.run(
            connection,
            [(chain, link.length, link.head) for chain, link in booked.chains.items()],
        )
        known.sums.add(connection, add_up(booked.entries))
        known.seq += len(booked.entries)
        known.booked_ms = max(known.booked_ms, change.booked_ms)
        known.chains.update(booked.chains)

    def _name(
        self, connection: Connection, wanted: Collection[Person], known: _Known
    ) -> dict[Person, str]:
        """Find or draw a pseudonym for everybody."""
        remembered = {person: known.pseudonyms.get(person) for person in wanted}
        names = {person: pseudonym for person, pseudonym in remembered.items() if pseudonym}
        if len(names) < len(wanted):
            names |= subjects.find(connection, wanted - names.keys())
            names |= subjects.introduce(connection, wanted - names.keys())
        for person, pseudonym in names.items():
            known.pseudonyms.put(person, pseudonym)
        return names

    @contextmanager
    def _transaction(self) -> Generator[Connection]:
        try:
            with self._database.faults():
                connection = self._connected()
                with connection.begin():
                    yield connection
        except BaseException:
            self._known = None
            if self._connection is not None and self._connection.invalidated:
                self._disconnect()
            raise

    def _connected(self) -> Connection:
        if self._connection is None:
            connection = self._database.engine.connect()
            try:
                with connection.begin():
                    self._database.claim.take(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(DBAPIError):
                connection.close()


def open_ledger(where: str | Path) -> SqlLedger:
    """Open or create the ledger at `where`: a path, or a URL as in `database.py`. Raises LedgerError."""
    return SqlLedger(new_database(where))


def _booked(columns: RowMapping) -> Booked:
    fields = {name: columns[name] for name in Row.__struct_fields__}
    fields |= {flag: bool(fields[flag]) for flag in FLAGS}
    pseudonym, name = columns["user"], columns["name"]
    fields["user"] = pseudonym if name is None else name
    return Booked(msgspec.convert(fields, Row), columns["revision"], pseudonym)
