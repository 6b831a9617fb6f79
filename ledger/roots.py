"""Roots: signed statements of where every chain stood, each with the hash of the one before.

A chain proves that nothing within it was changed; only a root kept elsewhere proves that not all
of it was written anew. So each root is also appended to a file that is easily copied away.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import msgspec
from sqlalchemy import Connection, Table, insert, select

from ledger.database import Database
from ledger.signing import Signer
from ledger.store import LedgerError
from ledger.tables import CHAIN, LEDGER, ROOT
from ledger.trimmed import Trimmed, read_trimmed
from telemetry.logs import Event, EventLog

INTERVAL_S = 3600.0
"""Longest time that an entry stands unsigned."""

FILE_NAME = "ledger-roots.jsonl"

_encode = msgspec.json.Encoder().encode
_log = EventLog(__name__)


class Tables(msgspec.Struct, frozen=True):
    """Where chains and roots are kept."""

    chain: Table = CHAIN
    root: Table = ROOT
    lock: Table = LEDGER
    """Has one row; whoever changes chains holds it."""


LEDGERS = Tables()


class Standing(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where one chain stood."""

    tenant: str
    length: int
    head: str
    """Hexadecimal, as all hashes here."""
    begin: int
    """`chain_seq` of the last entry that retention deleted; 0: none."""
    begin_hash: str
    begin_ms: int
    trimmed: Trimmed | None = None
    """Sums of all entries that it deleted."""


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is signed: this, as JSON, in this order and without white space."""

    id: int
    at_ms: int
    key_id: str
    previous: str
    """SHA-256 of the document before; empty for the first."""
    entries: int
    """Entries ever booked: the `seq` of the last."""
    chains: tuple[Standing, ...]
    """By tenant, in the order of their UTF-8 bytes."""


class Root(msgspec.Struct, frozen=True):
    """One root, as it is stored; in the file, a line of JSON."""

    id: int
    at_ms: int
    document: str
    signature: bytes
    """In the file: base64."""
    key_id: str


def read_document(text: str) -> Document:
    """Read what was signed. Raises LedgerError when it is anything but that."""
    try:
        document = msgspec.json.decode(text, type=Document)
    except (ValueError, RecursionError) as fault:
        raise LedgerError(f"no root document: {fault}") from fault
    if _encode(document).decode() != text:
        raise LedgerError("no root document: not in its canonical form")
    return document


def document_hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def standing(columns: Sequence[object]) -> Standing:
    """Read a row of the table `chain`. Raises ValueError when it makes no sense."""
    tenant, length, head, begin, begin_hash, begin_ms, trimmed = columns
    hashes = [b"" if column is None else column for column in (head, begin_hash)]
    if not all(isinstance(hash_, bytes) for hash_ in hashes):
        raise ValueError("a hash is of another type")
    head_, begin_hash_ = (bytes(cast("bytes", hash_)).hex() for hash_ in hashes)
    return msgspec.convert(
        {
            "tenant": tenant,
            "length": length,
            "head": head_,
            "begin": begin,
            "begin_hash": begin_hash_,
            "begin_ms": begin_ms,
            "trimmed": None if trimmed is None else read_trimmed(str(trimmed)),
        },
        Standing,
    )


def standings(connection: Connection, tables: Tables = LEDGERS) -> tuple[Standing, ...]:
    """Tell where every chain stands now."""
    found = [standing(columns) for columns in connection.execute(select(tables.chain))]
    return tuple(sorted(found, key=lambda chain: chain.tenant.encode()))


def signed_entries(connection: Connection, tables: Tables = LEDGERS) -> int:
    """Tell up to which `seq` entries are signed; 0: none is."""
    last = _last(connection, tables.root)
    return 0 if last is None else read_document(last.document).entries


def add_root(
    connection: Connection, signer: Signer, now_ms: int, tables: Tables = LEDGERS
) -> Root | None:
    """Sign where the chains stand; None when that is what the last root says."""
    # Only one at a time, and none between two statements of a commit (SQLite sees to that itself).
    connection.execute(select(tables.lock).with_for_update())
    chains = standings(connection, tables)
    last = _last(connection, tables.root)
    if last is None and not chains:
        return None
    if last is not None and read_document(last.document).chains == chains:
        return None
    document = Document(
        id=1 if last is None else last.id + 1,
        at_ms=now_ms,
        key_id=signer.key_id,
        previous="" if last is None else document_hash(last.document),
        entries=sum(chain.length for chain in chains),
        chains=chains,
    )
    text = _encode(document).decode()
    root = Root(document.id, now_ms, text, signer.sign(text), signer.key_id)
    connection.execute(insert(tables.root).values(msgspec.structs.asdict(root)))
    return root


class Rooting:
    """The duty: sign when anything has changed, and keep the file up with the database."""

    name = "roots"
    at_stop = True

    def __init__(
        self,
        database: Database,
        signer: Signer,
        file: Path,
        *,
        every_s: float = INTERVAL_S,
        clock: Callable[[], float] = time.time,
        tables: Tables = LEDGERS,
    ) -> None:
        self.every_s = every_s
        self._tables = tables
        self._database = database
        self._signer = signer
        self._file = file
        self._clock = clock
        self._written: int | None = None
        """Id of the last root in the file."""

    def run(self) -> None:
        """Raises LedgerError, OSError."""
        with self._database.transaction() as connection:
            now_ms = round(self._clock() * 1000)
            root = add_root(connection, self._signer, now_ms, self._tables)
        if root is not None:
            _log.info(Event.ROOT_SIGNED, root=root.id)
        self._catch_up()

    def _catch_up(self) -> None:
        """Write what the file lacks: roots that retention signed, or that a kill kept from it."""
        if self._written is None:
            self._written = max((root.id for root in read_roots(self._file)), default=0)
        with self._database.transaction() as connection:
            missing = roots_after(connection, self._written, self._tables)
        append(self._file, missing)
        self._written = max((root.id for root in missing), default=self._written)


def roots_after(connection: Connection, id_: int, tables: Tables = LEDGERS) -> list[Root]:
    """Read the roots that came after one; all of them after 0."""
    root = tables.root
    query = select(root).where(root.c.id > id_).order_by(root.c.id)
    return [_root(row) for row in connection.execute(query)]


def append(file: Path, roots: Sequence[Root]) -> None:
    """Write roots behind what is there, also behind a line that was torn. Raises OSError."""
    with file.open("ab+") as lines:
        size = lines.seek(0, os.SEEK_END)
        if size:
            lines.seek(size - 1)
            lines.write(b"" if lines.read(1) == b"\n" else b"\n")
        lines.writelines(_encode(root) + b"\n" for root in roots)


def read_roots(file: Path) -> Iterator[Root]:
    """Read the roots in a file, if there is one; lines that are none are passed over."""
    if not file.exists():
        return
    with file.open("rb") as lines:
        for line in lines:
            try:
                yield msgspec.json.decode(line, type=Root)
            except ValueError:  # torn by a full disk: the root is written again behind it
                continue


def _last(connection: Connection, table: Table) -> Root | None:
    row = connection.execute(select(table).order_by(table.c.id.desc()).limit(1)).first()
    return None if row is None else _root(row)


def _root(row: Sequence[Any]) -> Root:
    id_, at_ms, document, signature, key_id = row
    return Root(id_, at_ms, document, bytes(signature), key_id)
