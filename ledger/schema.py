"""Making the tables, the views over them and the triggers that guard them; the schema's version."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing

from sqlalchemy import Connection, Table, inspect, select

from ledger.store import LedgerError
from ledger.tables import DIMENSIONS, LEDGER, METADATA, REQUEST, SCHEMA_VERSION, USAGE


def version(connection: Connection) -> int | None:
    """Tell which schema version is there; None when there is nothing yet."""
    names = inspect(connection).get_table_names()
    if LEDGER.name in names:
        return connection.execute(select(LEDGER.c.version)).scalar_one_or_none()
    return 1 if REQUEST.name in names else None


def check(connection: Connection, where: str) -> None:
    """Raises LedgerError when there is no ledger of this version."""
    found = version(connection)
    if found is None:
        raise LedgerError(f"no ledger at {where}: nothing has been settled there yet")
    if found != SCHEMA_VERSION:
        raise LedgerError(
            f"{where} has ledger version {found}; this program reads {SCHEMA_VERSION}. "
            "Keep that ledger for the program that wrote it and start with a new one"
        )


def prepare(connection: Connection, where: str) -> None:
    """Create the ledger if there is none. Raises LedgerError when there is another version."""
    if version(connection) is not None:
        check(connection, where)
        return
    METADATA.create_all(connection)
    for statement in _statements(connection.dialect.name):
        connection.exec_driver_sql(statement)


def views_as_made() -> Mapping[str, str]:
    """The text of each view, as SQLite keeps it."""
    with closing(sqlite3.connect(":memory:")) as fresh:
        for statement in _views("CREATE VIEW IF NOT EXISTS"):
            fresh.execute(statement)
        return dict(fresh.execute("SELECT name, sql FROM sqlite_master").fetchall())


def _statements(dialect: str) -> Sequence[str]:
    if dialect == "sqlite":
        return (
            *_views("CREATE VIEW IF NOT EXISTS"),
            *_SQLITE_TRIGGERS,
            _FIRST_ROW,
        )
    return (
        *_views("CREATE OR REPLACE VIEW"),
        *_POSTGRESQL_TRIGGERS,
        _FIRST_ROW,
    )


_FIRST_ROW = f"""
    INSERT INTO ledger (version, commits, erasures, trimming)
    SELECT {SCHEMA_VERSION}, 0, 0, 0 WHERE NOT EXISTS (SELECT 1 FROM ledger)"""  # noqa: S608 - a number of ours

# Only corrections can supersede, and they are few: their index stays in memory whatever the size
# of the ledger, so the view costs little more than the table.
_REQUEST_FROM = """
    entry AS e LEFT JOIN subject AS s ON s.pseudonym = e."user"
    WHERE e.requests = 1 AND NOT EXISTS (
        SELECT 1 FROM entry AS later
        WHERE later.revision > 0 AND later.settle_key = e.settle_key AND later.revision > e.revision
    )"""

_USAGE_FROM = """
    usage_quarter AS e JOIN usage_key AS k ON k.id = e.key
    LEFT JOIN subject AS s ON s.pseudonym = k."user" """


def _views(create_view: str) -> Sequence[str]:
    return (
        _view(create_view, REQUEST, _REQUEST_FROM),
        _view(create_view, USAGE, _USAGE_FROM),
    )


def _view(create_view: str, view: Table, source: str) -> str:
    dimensions = "k" if view is USAGE else "e"

    def column(name: str) -> str:
        if name == "user":
            return f'coalesce(s.name, {dimensions}."user") AS "user"'
        table = dimensions if name in DIMENSIONS else "e"
        return f'{table}."{name}" AS "{name}"'

    columns = ", ".join(column(name) for name in view.c.keys())  # noqa: SIM118 - SQLAlchemy iterates over columns, not names
    return f"{create_view} {view.name} AS SELECT {columns} FROM {source}"  # noqa: S608 - names of ours


_SQLITE_TRIGGERS = (
    """
    CREATE TRIGGER IF NOT EXISTS entry_is_final BEFORE UPDATE ON entry
    BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END""",
    """
    CREATE TRIGGER IF NOT EXISTS entry_stays BEFORE DELETE ON entry
    WHEN (SELECT trimming FROM ledger) = 0
    BEGIN SELECT RAISE(ABORT, 'entries are never deleted, but by retention'); END""",
)

_POSTGRESQL_TRIGGERS = (
    """
    CREATE OR REPLACE FUNCTION entry_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP <> 'DELETE' OR (SELECT trimming FROM ledger) = 0 THEN
            RAISE EXCEPTION 'entries are never changed, and deleted by retention only';
        END IF;
        RETURN NULL;
    END $$""",
    """
    CREATE OR REPLACE TRIGGER entry_is_final BEFORE UPDATE OR DELETE OR TRUNCATE ON entry
    FOR EACH STATEMENT EXECUTE FUNCTION entry_is_final()""",
)
