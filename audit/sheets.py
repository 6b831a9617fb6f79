"""Records in files: a line of JSON each, or Parquet; written, and read as they were stored."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import cast

import msgspec

from audit.manifest import Form
from audit.tables import COLUMNS
from ledger.files import Column, Value

Values = tuple[object, ...]
"""A record's columns in their order."""

AT_ONCE = 10_000

_NUMBERS = frozenset({"seq", "collected_ms", "place", "at_ms"})
_COLUMNS = [
    Column(name, "count" if name in _NUMBERS else "bytes" if name == "hash" else "text")
    for name in COLUMNS
]


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The columns of `audit_entry`, in their order."""

    seq: int
    collected_ms: int
    writer: str
    place: int
    at_ms: int
    action: str
    actor: str
    object: str
    outcome: str
    tenant: str
    request_id: str
    settle_key: str
    members: msgspec.Raw
    """As it is stored, to the byte: the hash is over that."""
    hash: str


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Line).decode


def write(path: Path, form: Form, rows: Iterable[Values]) -> None:
    """Write records to a new file. Raises OSError."""
    if form == "jsonl":
        with path.open("wb") as out:
            out.writelines(_write_line(row) for row in rows)
        return
    from ledger.parquet import ParquetWriter  # noqa: PLC0415 - see `ledger.files.writing`

    left = iter(rows)
    with closing(ParquetWriter(path, _COLUMNS)) as table:
        while some := list(islice(left, AT_ONCE)):
            table.write(cast("Sequence[Sequence[Value]]", some))


def read(path: Path, form: Form) -> Iterator[Values]:
    """Read them again. Raises ValueError when they are none, OSError."""
    if form == "jsonl":
        with path.open("rb") as lines:
            yield from map(_read_line, lines)
        return
    from pyarrow import parquet  # noqa: PLC0415 - see `ledger.files.writing`

    try:
        with closing(parquet.ParquetFile(path)) as file:
            for some in file.iter_batches(AT_ONCE):
                for row in some.to_pylist():
                    yield tuple(row[name] for name in COLUMNS)
    except OSError as fault:
        if fault.errno is not None:
            raise
        raise ValueError(str(fault)) from fault  # so pyarrow calls what it cannot decode


def _write_line(row: Values) -> bytes:
    *columns, members, hash_ = row
    assert isinstance(members, str)
    assert isinstance(hash_, bytes)
    raw = msgspec.Raw(members.encode())
    return _encode(dict(zip(COLUMNS, (*columns, raw, hash_.hex()), strict=True))) + b"\n"


def _read_line(line: bytes) -> Values:
    *columns, members, hash_ = msgspec.structs.astuple(_decode(line))
    return *columns, bytes(members).decode(), bytes.fromhex(hash_)
