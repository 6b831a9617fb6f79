"""What the audit store looks like in a database.

    audit_entry   one record; never changed, deleted by retention only
    audit_chain   one row: how many records there were ever, and the hash of the last
    audit_root    signed statements of where the chain stood
    audit         one row: schema version

They have names of their own, so that they may stand beside a ledger's tables.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

from ledger import tables
from ledger.roots import Tables

SCHEMA_VERSION = 1
CHAIN_NAME = "headgate:audit"
"""What roots call the chain. No tenant can be called so: a root of the ledger is none of ours, and
the other way round, though the same key signs both."""

METADATA = MetaData()

_INT = BigInteger().with_variant(Integer(), "sqlite")

ENTRY = Table(
    "audit_entry",
    METADATA,
    Column("seq", _INT, primary_key=True, autoincrement=False),
    Column("collected_ms", _INT, nullable=False),
    Column("writer", Text, nullable=False),
    Column("place", _INT, nullable=False),
    Column("at_ms", _INT, nullable=False),
    *(
        Column(name, Text, nullable=False)
        for name in (
            *("action", "actor", "object", "outcome"),
            *("tenant", "request_id", "settle_key", "members"),
        )
    ),
    Column("hash", LargeBinary, nullable=False),
    UniqueConstraint("writer", "place"),
)
"""`seq` counts 1, 2, 3..., and `collected_ms` ascends with it. `writer` and `place`: the journal file,
and where the record's line ended in it. `members`: a JSON object. `hash`: `ledger/chain.py`, over all
columns before it."""

Index("audit_entry_by_time", ENTRY.c.at_ms)
Index("audit_entry_by_collection", ENTRY.c.collected_ms)
Index("audit_entry_by_request", ENTRY.c.request_id)

CHAIN = Table(
    "audit_chain",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("length", _INT, nullable=False),
    Column("head", LargeBinary, nullable=False),
    Column("begin", _INT, nullable=False),
    Column("begin_hash", LargeBinary),
    Column("begin_ms", _INT, nullable=False),
    Column("trimmed", Text),
)
"""As the ledger's `chain`: `begin` is the `seq` of the last record that retention deleted (0: none),
`begin_hash` its hash, `begin_ms` when it was collected. `trimmed` stays empty: there are no sums."""

ROOT = tables.ROOT.to_metadata(METADATA, name="audit_root")

AUDIT = Table(
    "audit",
    METADATA,
    Column("version", _INT, primary_key=True, autoincrement=False),
    Column("trimming", _INT, nullable=False),
)
"""One row. `trimming` is 1 only inside a transaction of `trim.py`: the trigger lets a DELETE pass."""

TABLES = Tables(CHAIN, ROOT, AUDIT)

COLUMNS = tuple(column.name for column in ENTRY.c)
