import pytest
from sqlalchemy import update

from audit.store import audit_place, open_audit, prepare
from audit.tables import AUDIT
from ledger.database import new_database, open_database
from ledger.sql import open_ledger
from ledger.store import LedgerError
from tests.audit.stores import auditing, entries


@pytest.mark.parametrize("ledger", [None, "x.sqlite", "sqlite:///x.sqlite"])
def test_it_is_a_file_in_the_state_directory(tmp_path, ledger):
    assert audit_place(tmp_path, ledger) == tmp_path / "audit.sqlite"


def test_it_is_beside_a_ledger_on_a_server(tmp_path):
    assert audit_place(tmp_path, "postgresql://h/db") == "postgresql://h/db"


def test_it_can_stand_beside_a_ledger(where, tmp_path):
    open_ledger(where).close()
    with auditing(where, tmp_path) as audit:
        audit.write(1)
        prepare(audit.database)
    open_database(where).close()
    assert len(entries(where)) == 1


def test_nothing_there_is_said_so(where):
    with pytest.raises(LedgerError, match="no audit records at"):
        open_audit(where)


def test_a_database_of_something_else_is_nothing(where):
    open_ledger(where).close()
    with pytest.raises(LedgerError, match="no audit records at"):
        open_audit(where)


def test_another_version_is_left_alone(where):
    database = new_database(where)
    prepare(database)
    with database.transaction() as connection:
        connection.execute(update(AUDIT).values(version=99))
    with pytest.raises(LedgerError, match="version 99"):
        prepare(database)
    database.close()
    with pytest.raises(LedgerError, match="version 99"):
        open_audit(where)
