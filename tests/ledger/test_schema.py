import sqlite3

import pytest
from sqlalchemy import inspect, text

from ledger.database import open_database
from ledger.schema import version
from ledger.sql import open_ledger
from ledger.store import LedgerError
from ledger.tables import METADATA, SCHEMA_VERSION
from tests.ledger.books import reading


def test_everything_is_there_and_a_second_opening_changes_nothing(where):
    for _ in range(2):
        open_ledger(where).close()
        with reading(where) as connection:
            assert version(connection) == SCHEMA_VERSION
            assert set(inspect(connection).get_table_names()) == set(METADATA.tables)
            assert set(inspect(connection).get_view_names()) == {"request", "usage"}


def test_another_version_is_not_touched(where):
    open_ledger(where).close()
    database = open_database(where, writes=True)
    with database.transaction() as connection:
        connection.execute(text("UPDATE ledger SET version = 99"))
    database.close()
    for attempt in (open_ledger, open_database):
        with pytest.raises(LedgerError, match="version 99; this program reads 2"):
            attempt(where)


def test_the_first_version_is_refused_too(tmp_path):
    path = tmp_path / "ledger.sqlite"
    old = sqlite3.connect(path)
    old.execute("CREATE TABLE request (id INTEGER PRIMARY KEY, settle_key TEXT)")
    old.close()
    for attempt in (open_ledger, open_database):
        with pytest.raises(LedgerError, match="version 1; this program reads 2"):
            attempt(path)


def test_an_empty_database_has_no_ledger(postgres):
    with pytest.raises(LedgerError, match="nothing has been settled"):
        open_database(postgres.new_schema())
