"""What the ledger looks like in a database: tables and views.

    entry          one booking; never changed. A correction is a reversal and a new entry
    chain          one per tenant: how many entries, and the hash of the last
    root           signed statements of where every chain stood
    subject        which person a pseudonym stands for; erasing a person deletes this row
    erasure        that a person was erased: when, by whom, which pseudonym
    usage_key      a combination of dimensions that occurred
    usage_quarter  sums of entries, by usage_key and quarter of an hour
    open_request   requests that were seen and have not ended
    source         how far each log and journal file has been read
    engine_look    an engine's token counters beside what was booked for it, once a quarter of an hour
    mark           how far each search through the entries has come
    ledger         one row: schema version and the number of commits

    request        view: the entries in force, one per request, with people's names
    usage          view: usage_quarter with its dimensions spelled out, with people's names

Every amount is an integer: tokens, microseconds, millijoules, and `_pusd`, 1e-12 US dollars. A
period's total of `_pusd` may exceed 64 bits. Add up two halves instead, which never do, and put
them together in Python: `sum(x / 1000000)` and `sum(x % 1000000)` (`halves` writes them).
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)

SCHEMA_VERSION = 2

METADATA = MetaData()
"""Every table of the ledger; `schema.create` makes those that are missing."""
VIEWS = MetaData()
"""The views, as tables to select from; they are never created from this."""

_INT = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits in both: SQLite calls that INTEGER, and only INTEGER can be its row id."""

QUARTER_MS = 15 * 60 * 1000
"""Width of a bucket: every time zone in use differs from UTC by a multiple of it."""

DIMENSIONS = (
    "tenant", "project", "user", "groups", "region", "key_id", "model", "track", "version", "pool",
    "cluster", "gpu", "endpoint", "operation", "status", "deny_reason", "policy", "price",
)  # fmt: skip
"""What usage can be grouped by, besides time. `status` is a number, all others are text."""

COSTS = ("uncached_pusd", "cached_pusd", "completion_pusd")
"""What a request costs its tenant, by class of token."""

AMOUNTS = (
    "prompt_tokens", "completion_tokens", "cached_tokens", *COSTS, "gpu_us", "energy_mj", "own_pusd",
)  # fmt: skip
"""What a request used; NULL is unknown. A reversal has them negated."""

FLAGS = ("unsettled", "estimated", "cut")
"""0 or 1; negated in reversals too, so that they add up like amounts."""

COUNTS = ("requests", "denied", "unpriced", *FLAGS)
"""What usage counts. `denied`: refused by Headgate. `unpriced`: cost unknown, for want of a price
or of tokens."""


def _texts(*names: str) -> list[Column[str | None]]:
    return [Column(name, Text) for name in names]


def _ints(*names: str) -> list[Column[int | None]]:
    return [Column(name, _INT) for name in names]


def _row_columns() -> list[Column[str | None] | Column[int | None] | Column[int]]:
    """List the columns that are fields of `row.Row`, in their order, behind the settle key."""
    return [
        Column("start_ms", _INT, nullable=False),
        *_texts("request_id", "trace_id", "operation", "tenant", "project", "user", "groups"),
        *_texts("region", "key_id", "model", "track", "version", "pool", "cluster", "gpu"),
        *_texts("endpoint"),
        *_ints("n", "prompt_tokens", "completion_tokens", "cached_tokens"),
        *_texts("price"),
        *_ints("uncached_pusd", "cached_pusd", "completion_pusd"),
        *_ints("gpu_us", "energy_mj", "own_pusd"),
        *_ints("status"),
        *_texts("deny_reason"),
        *_ints("ttft_us", "latency_us", "attempts"),
        *(Column(name, _INT, nullable=False) for name in FLAGS),
        *_texts("policy"),
    ]


ENTRY = Table(
    "entry",
    METADATA,
    Column("seq", _INT, primary_key=True, autoincrement=False),
    Column("settle_key", Text, nullable=False),
    Column("revision", _INT, nullable=False),
    Column("requests", _INT, CheckConstraint("requests IN (1, -1)"), nullable=False),
    Column("booked_ms", _INT, nullable=False),
    *_row_columns(),
    Column("chain_seq", _INT, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    UniqueConstraint("settle_key", "revision"),
)
"""`seq` ascends over all chains, and `booked_ms` with it. `revision` of one settle key: 0 is the
first booking, 1 its reversal, 2 what is true instead, 3 the reversal of that, and so on. `user` is
a pseudonym. `chain_seq` counts 1, 2, 3... within a tenant; `hash`: see chain.py."""

Index("entry_by_start", ENTRY.c.start_ms)
Index("entry_by_tenant", ENTRY.c.tenant, ENTRY.c.start_ms)
Index("entry_by_booking", ENTRY.c.booked_ms)
_corrections = text("revision > 0")
Index(
    "entry_corrections",
    ENTRY.c.settle_key,
    ENTRY.c.revision,
    sqlite_where=_corrections,
    postgresql_where=_corrections,
)

CHAIN = Table(
    "chain",
    METADATA,
    Column("tenant", Text, primary_key=True),
    Column("length", _INT, nullable=False),
    Column("head", LargeBinary, nullable=False),
    Column("begin", _INT, nullable=False, server_default=text("0")),
    Column("begin_hash", LargeBinary),
    Column("begin_ms", _INT, nullable=False, server_default=text("0")),
    Column("trimmed", Text),
)
"""`tenant` is '' for requests of nobody known. `length`: entries ever booked; `head`: hash of the
last. Retention deletes entries from the start: `begin` is the `chain_seq` of the last one deleted
(0: none) and `begin_hash` its hash; from buckets that start at `begin_ms` on, no entry is missing.
`trimmed` has the sums of all that were deleted: trimmed.py."""

ROOT = Table(
    "root",
    METADATA,
    Column("id", _INT, primary_key=True, autoincrement=False),
    Column("at_ms", _INT, nullable=False),
    Column("document", Text, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("key_id", Text, nullable=False),
)
"""`id` counts 1, 2, 3... The document and its signature: see roots.py."""

SUBJECT = Table(
    "subject",
    METADATA,
    Column("pseudonym", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("name", Text, nullable=False),
    UniqueConstraint("tenant", "name"),
)
"""`tenant` is '' where none is known."""

ERASURE = Table(
    "erasure",
    METADATA,
    Column("pseudonym", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("at_ms", _INT, nullable=False),
    Column("by", Text, nullable=False),
)
"""Rows are only added. `by` is whoever asked for it; nothing here names the person."""

USAGE_KEY = Table(
    "usage_key",
    METADATA,
    Column("id", _INT, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    *(Column(name, _INT if name == "status" else Text) for name in DIMENSIONS),
)
"""`digest` makes the combination unique, NULLs included. `user` is a pseudonym."""

USAGE_QUARTER = Table(
    "usage_quarter",
    METADATA,
    Column("key", _INT, primary_key=True, autoincrement=False),
    Column("bucket_ms", _INT, primary_key=True, autoincrement=False),
    *(Column(name, _INT, nullable=False) for name in (*COUNTS, *AMOUNTS)),
    Column("ttft", LargeBinary),
    sqlite_with_rowid=False,
)
"""`key` is the `id` of a usage_key. Sums over the entries of one combination that arrived in [bucket_ms, bucket_ms + QUARTER_MS).
Unknown amounts add nothing. `ttft`: histogram of successful answers (rollup.py), NULL is empty."""

Index("usage_by_bucket", USAGE_QUARTER.c.bucket_ms)

OPEN_REQUEST = Table(
    "open_request",
    METADATA,
    Column("settle_key", Text, primary_key=True),
    Column("leased_at_s", Double, nullable=False),
    Column("seen", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""store.Open, the sighting as JSON."""

SOURCE = Table(
    "source",
    METADATA,
    Column("file_id", Text, primary_key=True),
    Column("read_to", _INT, nullable=False),
    sqlite_with_rowid=False,
)

ENGINE_LOOK = Table(
    "engine_look",
    METADATA,
    Column("endpoint", Text, primary_key=True),
    Column("era_ms", _INT, primary_key=True, autoincrement=False),
    Column("bucket_ms", _INT, primary_key=True, autoincrement=False),
    Column("at_ms", _INT, nullable=False),
    Column("look", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""looks.Look as JSON: the last one of each bucket, at `at_ms`. `era_ms`: when the engine's counters
began, `Era.before_ms`."""

MARK = Table(
    "mark",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("seq", _INT, nullable=False),
    sqlite_with_rowid=False,
)

LEDGER = Table(
    "ledger",
    METADATA,
    Column("version", _INT, primary_key=True, autoincrement=False),
    Column("commits", _INT, nullable=False),
    Column("erasures", _INT, nullable=False),
    Column("trimming", _INT, nullable=False),
)
"""One row. `commits` counts what the settle process committed, `erasures` the people erased (the
writer forgets its pseudonyms when it moves). `trimming` is 1 only inside a transaction that deletes
entries for retention: the trigger on `entry` lets a DELETE pass then."""

REQUEST = Table(
    "request",
    VIEWS,
    Column("seq", _INT, primary_key=True),
    Column("settle_key", Text),
    Column("revision", _INT),
    Column("booked_ms", _INT),
    *_row_columns(),
)
"""The entries in force. `user` is a name, or the pseudonym of somebody who was erased."""

USAGE = Table(
    "usage",
    VIEWS,
    Column("key", _INT, primary_key=True),
    Column("bucket_ms", _INT, primary_key=True),
    *(Column(name, _INT if name == "status" else Text) for name in DIMENSIONS),
    *(Column(name, _INT) for name in (*COUNTS, *AMOUNTS)),
    Column("ttft", LargeBinary),
)
"""Convenient; for speed group usage_quarter by `key` first and join usage_key to the result."""


def halves(amount: ColumnElement[int]) -> tuple[ColumnElement[int], ColumnElement[int]]:
    """Sum up in two columns what might overflow in one: total = first * 1_000_000 + second.

    Exact for negative amounts too: in both databases `/` truncates toward zero and `%` takes the
    sign of the amount.
    """
    million = text("1000000")
    return func.sum(amount.op("/")(million)), func.sum(amount.op("%")(million))
