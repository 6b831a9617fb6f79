import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import select

from ledger.database import open_database
from ledger.raw import UnreadableError, doubting, stream
from ledger.sql import open_ledger
from ledger.store import Change, LedgerError, LedgerUnavailableError
from ledger.tables import ENTRY, SOURCE
from tests.ledger.books import reading, rows


def test_rows_come_one_after_the_other_and_parameters_are_bound(where):
    ledger = open_ledger(where)
    ledger.commit(Change(rows=rows(5_000)))
    ledger.close()
    query = select(ENTRY.c.seq, ENTRY.c.hash).where(ENTRY.c.seq > 2_000).order_by(ENTRY.c.seq)
    with reading(where) as connection:
        one, other = stream(connection, query), stream(connection, query)
        pairs = list(zip(one, other, strict=True))
    assert [pair[0][0] for pair in pairs] == list(range(2_001, 5_001))
    assert all(one == other for one, other in pairs)


def test_nothing_is_converted(tmp_path):
    path = tmp_path / "ledger.sqlite"
    open_ledger(path).close()
    db = sqlite3.connect(path)
    db.execute("INSERT INTO source VALUES (x'00ff', 'text')")
    db.commit()
    with reading(path) as connection:
        assert list(stream(connection, select(SOURCE))) == [(b"\x00\xff", "text")]
    db.execute("INSERT INTO source VALUES (CAST(x'00ff' AS TEXT), 1)")
    db.commit()
    db.close()
    with reading(path) as connection, pytest.raises(UnreadableError, match="UTF-8"):
        list(stream(connection, select(SOURCE)))


def test_what_cannot_be_read_is_blamed_and_what_can_later_is_not(tmp_path):
    path = tmp_path / "ledger.sqlite"
    open_ledger(path).close()
    db = sqlite3.connect(path)
    db.execute("INSERT INTO source VALUES (CAST(x'00ff' AS TEXT), 1)")
    db.commit()
    db.close()
    blamed = []
    with closing(open_database(path)) as database:
        with doubting(database, blamed.append) as connection:
            list(stream(connection, select(SOURCE)))
        with doubting(database, blamed.append):
            raise LedgerError("no sense")
        with (
            pytest.raises(LedgerUnavailableError, match="busy"),
            doubting(database, blamed.append),
        ):
            raise LedgerUnavailableError("busy")
    unread, said = blamed
    assert unread.startswith("what is stored cannot be read: ")
    assert said == "no sense"
