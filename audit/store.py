"""The audit store: where it is, opening it, and the triggers that guard its records."""

from pathlib import Path

from sqlalchemy import Connection, insert, inspect, select, text

from audit.tables import AUDIT, CHAIN, CHAIN_NAME, METADATA, SCHEMA_VERSION
from ledger.chain import Link
from ledger.database import Database, find_database
from ledger.store import LedgerError

FILE_NAME = "audit.sqlite"

_LOCK = 0x61756474
"""Advisory lock of PostgreSQL while tables are made: "audt"."""


def audit_place(state: Path, ledger: str | Path | None) -> str | Path:
    """Say where records are kept: beside the ledger where that is a server, else in a file."""
    is_server = ledger is not None and str(ledger).startswith("postgresql")
    return str(ledger) if is_server else state / FILE_NAME


def open_audit(where: str | Path, *, writes: bool = False) -> Database:
    """Open a store that is there. Raises LedgerError."""
    if isinstance(where, Path) and not where.exists():
        raise _nothing(where)
    database = find_database(where, writes=writes)
    try:
        with database.transaction() as connection:
            _check(connection, database.name)
    except BaseException:
        database.close()
        raise
    return database


def prepare(database: Database) -> None:
    """Make the tables, if there are none. Raises LedgerError."""
    with database.transaction() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        if _is_there(connection):
            _check(connection, database.name)
            return
        METADATA.create_all(connection)
        for statement in _TRIGGERS[connection.dialect.name]:
            connection.exec_driver_sql(statement)
        connection.execute(insert(AUDIT).values(version=SCHEMA_VERSION, trimming=0))
        start = {"length": 0, "head": Link().head, "begin": 0, "begin_ms": 0}
        connection.execute(insert(CHAIN).values(name=CHAIN_NAME, **start))


def _is_there(connection: Connection) -> bool:
    return AUDIT.name in inspect(connection).get_table_names()


def _nothing(where: str | Path) -> LedgerError:
    return LedgerError(f"no audit records at {where}: nothing has been collected there yet")


def _check(connection: Connection, where: str) -> None:
    if not _is_there(connection):
        raise _nothing(where)
    found = connection.execute(select(AUDIT.c.version)).scalar_one_or_none()
    if found != SCHEMA_VERSION:
        raise LedgerError(
            f"{where} has audit records of version {found}; this program reads {SCHEMA_VERSION}"
        )


_TRIGGERS = {
    "sqlite": (
        """
        CREATE TRIGGER audit_entry_is_final BEFORE UPDATE ON audit_entry
        BEGIN SELECT RAISE(ABORT, 'audit records are never changed'); END""",
        """
        CREATE TRIGGER audit_entry_stays BEFORE DELETE ON audit_entry
        WHEN (SELECT trimming FROM audit) = 0
        BEGIN SELECT RAISE(ABORT, 'audit records are never deleted, but by retention'); END""",
    ),
    "postgresql": (
        """
        CREATE OR REPLACE FUNCTION audit_entry_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP <> 'DELETE' OR (SELECT trimming FROM audit) = 0 THEN
                RAISE EXCEPTION 'audit records are never changed, and deleted by retention only';
            END IF;
            RETURN NULL;
        END $$""",
        """
        CREATE OR REPLACE TRIGGER audit_entry_is_final
        BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry
        FOR EACH STATEMENT EXECUTE FUNCTION audit_entry_is_final()""",
    ),
}
