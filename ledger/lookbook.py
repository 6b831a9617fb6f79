"""Where looks are kept: the last of each quarter of an hour, for reports and for the next start."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from ledger.looks import Entry, Look, Running
from ledger.sighting import Departure, Renewal
from ledger.store import LedgerError
from ledger.tables import ENGINE_LOOK, ENTRY, MARK, OPEN_REQUEST, QUARTER_MS

KEEP_MS = 40 * 86_400_000
"""Longer than a month, so that its bill can be compared when it is written."""

_columns = [ENTRY.c[name] for name in Entry._fields]
_encode = msgspec.json.Encoder().encode
_decode_look = msgspec.json.Decoder(Look).decode
_decode_seen = msgspec.json.Decoder(Departure | Renewal).decode


def read_latest(connection: Connection) -> Mapping[str, Look]:
    """Find the last look at each endpoint that ever was."""
    at_ms = func.max(ENGINE_LOOK.c.at_ms).label("at_ms")
    last = select(ENGINE_LOOK.c.endpoint, at_ms).group_by(ENGINE_LOOK.c.endpoint).subquery()
    same = (ENGINE_LOOK.c.endpoint == last.c.endpoint) & (ENGINE_LOOK.c.at_ms == last.c.at_ms)
    texts = connection.execute(select(ENGINE_LOOK.c.look).join(last, same)).scalars()
    return {look.era.endpoint: look for look in map(read_look, texts)}


def read_since(connection: Connection, since_ms: int) -> Mapping[str, Sequence[Look]]:
    """Find the looks since then, oldest first, and before them the last one earlier, if there is."""
    earlier = func.max(ENGINE_LOOK.c.at_ms).label("at_ms")
    before = (
        select(ENGINE_LOOK.c.endpoint, earlier)
        .where(ENGINE_LOOK.c.at_ms <= since_ms)
        .group_by(ENGINE_LOOK.c.endpoint)
        .subquery()
    )
    same = before.c.endpoint == ENGINE_LOOK.c.endpoint
    found = connection.execute(
        select(ENGINE_LOOK.c.look)
        .join(before, same, isouter=True)
        .where(ENGINE_LOOK.c.at_ms >= func.coalesce(before.c.at_ms, since_ms))
        .order_by(ENGINE_LOOK.c.at_ms)
    ).scalars()
    looks: dict[str, list[Look]] = {}
    for look in map(read_look, found):
        looks.setdefault(look.era.endpoint, []).append(look)
    return looks


def keep(connection: Connection, looks: Iterable[Look]) -> None:
    """Keep looks in place of earlier ones in their quarter, and forget those that are too old."""
    kept = list(looks)
    if not kept:
        return
    oldest_ms = max(look.at_ms for look in kept) - KEEP_MS
    rows = [
        {
            "endpoint": look.era.endpoint,
            "era_ms": look.era.before_ms,
            "bucket_ms": look.at_ms - look.at_ms % QUARTER_MS,
            "at_ms": look.at_ms,
            "look": _encode(look).decode(),
        }
        for look in kept
    ]
    statement = _insert(connection)(ENGINE_LOOK)
    new = {name: statement.excluded[name] for name in ("at_ms", "look")}
    connection.execute(
        statement.on_conflict_do_update(index_elements=list(ENGINE_LOOK.primary_key), set_=new),
        rows,
    )
    connection.execute(delete(ENGINE_LOOK).where(ENGINE_LOOK.c.bucket_ms < oldest_ms))


def read_look(text: str) -> Look:
    """Raises LedgerError when it is none."""
    try:
        return _decode_look(text)
    except (ValueError, RecursionError) as fault:
        raise LedgerError(f"a look that cannot be read: {fault}") from fault


def last_seq(connection: Connection, booked_ms: int | None = None) -> int:
    """Tell the number of the last entry, or of the last booked before `booked_ms`; 0: there is none."""
    query = select(func.max(ENTRY.c.seq))
    if booked_ms is not None:
        query = query.where(ENTRY.c.booked_ms < booked_ms)
    return connection.execute(query).scalar() or 0


def read_entries(connection: Connection, after: int, to: int) -> Iterable[Entry]:
    """Read the entries in (after, to]."""
    rows = connection.execute(select(*_columns).where(ENTRY.c.seq > after, ENTRY.c.seq <= to))
    return map(Entry._make, rows)


def read_running(connection: Connection) -> Sequence[Running]:
    """Read the requests that are open: those in the journal whose end nobody has told."""
    found = connection.execute(select(OPEN_REQUEST.c.seen)).scalars()
    seen = map(_decode_seen, found)
    return [
        Running(
            start_ms=each.start_ms,
            pool=each.origin.pool,
            endpoint=each.endpoint,
            n=each.origin.n or 1,
            prompt_tokens=each.usage.prompt_tokens,
            attempts=each.attempts,
        )
        for each in seen
    ]


def read_mark(connection: Connection, name: str) -> int | None:
    """Tell how far a search has come; None when it has never begun."""
    return connection.execute(select(MARK.c.seq).where(MARK.c.name == name)).scalar()


def set_mark(connection: Connection, name: str, seq: int) -> None:
    statement = _insert(connection)(MARK).values(name=name, seq=seq)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[MARK.c.name], set_={"seq": statement.excluded.seq}
        )
    )


def _insert(connection: Connection) -> type[sqlite.Insert | postgresql.Insert]:
    return sqlite.Insert if connection.dialect.name == "sqlite" else postgresql.Insert
