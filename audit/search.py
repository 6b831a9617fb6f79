"""Finding records: `headgate audit search`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import ColumnElement, Connection, or_, select

from audit.record import Member
from audit.tables import ENTRY

_decode = msgspec.json.Decoder(dict[str, Member]).decode


class Hit(msgspec.Struct, frozen=True):
    """A stored record."""

    seq: int
    at_ms: int
    action: str
    actor: str
    object: str
    outcome: str
    tenant: str
    request_id: str
    settle_key: str
    members: Mapping[str, Member]


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for; whatever is not said matches everything."""

    since_ms: int | None = None
    until_ms: int | None = None
    """Not including."""
    tenant: str | None = None
    actor: str | None = None
    action: str | None = None
    """`pii.masked`, or all that begin so: `pii`."""
    object: str | None = None
    request_id: str | None = None
    """The client's, or ours: the settle key."""
    limit: int = 50


def find(connection: Connection, search: Search) -> Sequence[Hit]:
    """Find the newest records that match, oldest first."""
    columns = [ENTRY.c[name] for name in Hit.__struct_fields__]
    query = select(*columns).where(*_conditions(search))
    newest = connection.execute(query.order_by(ENTRY.c.seq.desc()).limit(search.limit))
    rows = [(*row[:-1], _decode(row[-1])) for row in newest]
    named = [dict(zip(Hit.__struct_fields__, row, strict=True)) for row in rows[::-1]]
    return msgspec.convert(named, list[Hit])


def _conditions(search: Search) -> Iterator[ColumnElement[bool]]:
    if search.since_ms is not None:
        yield ENTRY.c.at_ms >= search.since_ms
    if search.until_ms is not None:
        yield ENTRY.c.at_ms < search.until_ms
    for name in ("tenant", "actor", "object"):
        wanted = getattr(search, name)
        if wanted is not None:
            yield ENTRY.c[name] == wanted
    if search.action is not None:
        group = search.action.removesuffix("*").removesuffix(".")
        begins = ENTRY.c.action.startswith(f"{group}.", autoescape=True)
        yield or_(ENTRY.c.action == group, begins)
    if search.request_id is not None:
        ours = ENTRY.c.settle_key == search.request_id
        yield or_(ENTRY.c.request_id == search.request_id, ours)
