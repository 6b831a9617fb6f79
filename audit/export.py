"""Records as files that are written once: for an archive that nobody can change.

    DIR/2026-01-31-0000.jsonl            what was collected that day, for reading only
    DIR/2026-01-31-0000.manifest.json    its hash, where it lies in the chain, and a signature

A run goes on where the last one stopped. It may be killed at any moment; what it left half done is
hidden, and no manifest tells of it.
"""

import fcntl
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, func, select

from audit import sheets
from audit.manifest import SUFFIX, Form, Sheet, load, once, sign, written
from audit.tables import CHAIN, ENTRY
from ledger.chain import Link
from ledger.database import Database
from ledger.manifest import ExportError, fingerprint
from ledger.raw import stream
from ledger.retention import DAY_MS
from ledger.signing import Signer

OVER_MS = 5 * 60 * 1000
"""A day is over so long after its end: a commit that waited for a lock says when it was asked to."""
MOST_ROWS = 500_000
"""In one file: some 150 MB of JSON."""

Told = Callable[[Sheet], None]


@dataclass(frozen=True, slots=True)
class Export:
    """`headgate audit export`, understood."""

    directory: Path
    form: Form = "jsonl"
    partial: bool = False
    """Also what there is of the day that is not over; its rest goes into another file then."""
    now_ms: int = 0


def export(database: Database, signer: Signer, wish: Export, told: Told) -> Sequence[Sheet]:
    """Write what is not yet there, and return all that is.

    Raises: ExportError, LedgerError, OSError.
    """
    wish.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(wish.directory):
        done = [sheet for _, sheet in load(wish.directory)]
        while True:
            with database.transaction() as connection:
                sheet = _write_next(connection, wish, done)
            if sheet is None:
                return done
            with once(wish.directory / f"{Path(sheet.file).stem}{SUFFIX}") as draft:
                draft.write_bytes(written(sign(sheet, signer)))
            done.append(sheet)
            told(sheet)


@dataclass(frozen=True, slots=True)
class _Piece:
    """What goes into one file."""

    day: str
    first_seq: int
    last_seq: int


def _write_next(connection: Connection, wish: Export, done: Sequence[Sheet]) -> Sheet | None:
    piece = _next_piece(connection, wish, done[-1].last_seq if done else None)
    if piece is None:
        return None
    number = sum(sheet.day == piece.day for sheet in done)
    path = wish.directory / f"{piece.day}-{number:04}.{wish.form}"
    query = select(ENTRY).where(ENTRY.c.seq.between(piece.first_seq, piece.last_seq))
    with once(path) as draft:
        sheets.write(draft, wish.form, stream(connection, query.order_by(ENTRY.c.seq)))
    size, sha256 = fingerprint(path)
    return Sheet(
        file=path.name,
        format=wish.form,
        day=piece.day,
        rows=piece.last_seq - piece.first_seq + 1,
        bytes=size,
        sha256=sha256,
        first_seq=piece.first_seq,
        last_seq=piece.last_seq,
        previous=_hash(connection, piece.first_seq - 1),
        head=_hash(connection, piece.last_seq),
        at_ms=wish.now_ms,
    )


def _next_piece(connection: Connection, wish: Export, last_seq: int | None) -> _Piece | None:
    """Find the next day with records behind `last_seq`. Raises ExportError."""
    begin = connection.execute(select(CHAIN.c.begin)).scalar_one()
    if last_seq is not None and begin > last_seq:
        raise ExportError(
            f"records {last_seq + 1} to {begin} were deleted before they came here: "
            "go on in another directory"
        )
    behind = begin if last_seq is None else last_seq
    seq, collected = ENTRY.c.seq, ENTRY.c.collected_ms
    first = connection.execute(select(collected).where(seq == behind + 1)).scalar_one_or_none()
    if first is None:
        return None
    day_ms = first - first % DAY_MS
    if wish.now_ms < day_ms + DAY_MS + OVER_MS and not wish.partial:
        return None
    within = select(func.max(seq)).where(seq.between(behind + 1, behind + MOST_ROWS))
    last = connection.execute(within.where(collected < day_ms + DAY_MS)).scalar_one()
    day = datetime.fromtimestamp(day_ms / 1000, UTC).date().isoformat()
    return _Piece(day, behind + 1, last)


def _hash(connection: Connection, seq: int) -> str:
    """Tell the hash of a record, of the last deleted one as well."""
    if seq == 0:
        return Link().head.hex()
    found = connection.execute(select(ENTRY.c.hash).where(ENTRY.c.seq == seq)).scalar()
    if found is None:
        found = connection.execute(select(CHAIN.c.begin_hash)).scalar_one()
    return bytes(found).hex()


@contextmanager
def _alone(directory: Path) -> Generator[None]:
    """Wait for another export into the same directory."""
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
