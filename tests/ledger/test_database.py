import subprocess
import sys

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from ledger.database import new_database, open_database
from ledger.sql import open_ledger
from ledger.store import LedgerError


def test_a_path_and_its_url_are_the_same_ledger(tmp_path):
    path = tmp_path / "ledger.sqlite"
    open_ledger(path).close()
    for where in (path, str(path), f"sqlite:///{path}", f"sqlite+pysqlite:///{path}"):
        database = open_database(where)
        assert database.name == str(path)
        database.close()


def test_there_must_be_a_ledger_to_read(tmp_path):
    with pytest.raises(LedgerError, match=r"no ledger at .*gone"):
        open_database(tmp_path / "gone")


@pytest.mark.parametrize("where", ["mysql://host/name", "sqlite://", "://", "x://y"])
def test_what_is_no_place_for_a_ledger(where):
    with pytest.raises(LedgerError):
        new_database(where)


def test_names_tell_no_password():
    database = new_database("postgresql+psycopg://me:hush@127.0.0.1:1/name")
    assert database.name == "postgresql+psycopg://me:***@127.0.0.1:1/name"
    with pytest.raises(LedgerError) as raised, database.transaction():
        pass
    assert "hush" not in str(raised.value)
    database.close()


def test_a_transaction_is_all_or_nothing(where):
    open_ledger(where).close()
    database = open_database(where, writes=True)
    insert = text("INSERT INTO source (file_id, read_to) VALUES ('a', 1)")
    with pytest.raises(RuntimeError), database.transaction() as connection:
        connection.execute(insert)
        raise RuntimeError
    with database.transaction() as connection:
        connection.execute(insert)
        assert connection.execute(text("SELECT count(*) FROM source")).scalar_one() == 1
    database.close()


def test_a_mistake_of_ours_stays_what_it_is(where):
    open_ledger(where).close()
    database = open_database(where)
    with pytest.raises(DBAPIError, match="nonsense"), database.transaction() as connection:
        connection.execute(text("SELECT * FROM nonsense"))
    database.close()


def test_only_a_ledger_in_postgres_imports_psycopg():
    """A fifth of a second in each process that opens a ledger."""
    code = "import sys, ledger.database, ledger.settle; sys.exit('psycopg' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
