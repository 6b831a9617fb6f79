"""One request, as the ledger has it."""

import msgspec
from sqlalchemy import select

from ledger.database import Database
from ledger.row import Row
from ledger.tables import REQUEST

_FIELDS = [REQUEST.c[name] for name in Row.__struct_fields__]


def look_up(database: Database, settle_key: str) -> Row | None:
    """Find the entry in force of a settle key; None: there is none, or none yet. Raises LedgerError."""
    query = select(*_FIELDS).where(REQUEST.c.settle_key == settle_key)
    with database.transaction() as connection:
        found = connection.execute(query).first()
    if found is None:
        return None
    return msgspec.convert(dict(zip(Row.__struct_fields__, found, strict=True)), Row, strict=False)
