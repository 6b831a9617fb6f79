"""Where `headgate scan` looks: files, tables, and keys of Redis, as pieces of text."""

import codecs
import gzip
import json
import os
import re
import stat
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import cast

from sqlalchemy import MetaData, select

from extproc.safety.scan import Piece, Report, Scanner, printable, windows
from extproc.stores.counters_redis import PREFIX, Caller, check
from ledger.database import Database

CHUNK = 1024 * 1024
"""Bytes read at once."""
HEAD = 8 * 1024
"""Bytes of a file that say whether it is text: with a NUL in them it is not."""
FREE_BYTES, MOST_RATIO = 64 * 1024 * 1024, 200
"""Of what is packed: as much is read in any case, and then so many times its size. Logs pack to a tenth or
a thirtieth; what packs to a thousandth was made to fill disks."""
PAGE = 500
"""Rows, and names of keys, that are fetched at once."""
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
GZIP = b"\x1f\x8b"
MADE_UP = re.compile(
    r'(?<=,"StreamId":")[0-9]{1,20}(?="\])'
    r"|(?<![0-9a-f-])[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}(?![0-9a-f-])"
)
"""Numbers of streams in what Envoy logs, and random UUIDs (RFC 9562 5.4), which are what it names requests by: made up by
chance, so one in a hundred of the former is the number of a card, and one in four thousand of the latter that of a phone."""


class UnreadError(Exception):
    """It could not be read, or not to its end. Says why."""


def find_files(path: Path, report: Report, scanner: Scanner) -> Iterator[Path]:
    """List regular files. Links are followed only where one was named: they may lead in circles."""
    if not path.is_dir():
        yield path
        return

    def note(fault: OSError) -> None:
        report.unread[scanner.shown(str(fault.filename))] = fault.strerror or "cannot be listed"

    for directory, below, names in os.walk(path, onerror=note):
        below.sort()
        for name in sorted(names):
            found = Path(directory) / name
            if not found.is_symlink():
                yield found


def read_file(path: Path, where: str, report: Report) -> Iterator[Piece]:
    """Read a text, packed or not. Raises: OSError, UnreadError."""
    descriptor = os.open(
        path, os.O_RDONLY | os.O_NONBLOCK
    )  # what has no reader would wait for ever
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnreadError("is no file")
        packed = file.peek(2)[:2] == GZIP
        limit = max(FREE_BYTES, MOST_RATIO * status.st_size) if packed else status.st_size
        chunks = read_chunks(
            gzip.GzipFile(fileobj=file) if packed else file, limit, report, stops=packed
        )
        try:
            first = next(chunks, b"")
            if b"\0" in first[:HEAD] and not first.startswith(UTF16):
                report.skipped.append(where)
                return
            report.read["files"] += 1
            yield from pieces(where, decode(first, chunks))
        except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
            raise UnreadError(f"is damaged: {exc}") from None


def read_chunks(
    file: BufferedReader | gzip.GzipFile, limit: int, report: Report, *, stops: bool
) -> Iterator[bytes]:
    """Read so many bytes at most: a log may grow as fast as it is read. Raises: UnreadError where there
    is more, if it `stops` there."""
    left = limit
    while chunk := file.read1(CHUNK):
        report.read["bytes"] += len(chunk)
        if stops and len(chunk) > left:
            raise UnreadError(f"unpacks to more than {limit:,} bytes; the rest was not read")
        yield chunk[:left]
        left -= len(chunk)
        if left <= 0 and not stops:
            return


def pieces(where: str, chunks: Iterable[str], name: str = "") -> Iterator[Piece]:
    """Cut it up, with nothing left of numbers that were made up but their length."""
    made = (MADE_UP.sub(lambda found: "-" * len(found[0]), chunk) for chunk in chunks)
    return windows(where, made, name)


def decode(first: bytes, rest: Iterator[bytes]) -> Iterator[str]:
    """Bytes that are no text stand as one replacement character each."""
    name = "utf-16" if first.startswith(UTF16) else "utf-8"
    decoder = codecs.getincrementaldecoder(name)("replace")
    yield decoder.decode(first)
    for chunk in rest:
        yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


def read_database(database: Database, report: Report, scanner: Scanner) -> Iterator[Piece]:
    """Read every column that holds text, of every table, in one consistent state. Raises: LedgerError."""
    with database.transaction() as connection:
        tables = MetaData()
        tables.reflect(connection)
        for table in tables.sorted_tables:
            keys = [column.name for column in table.primary_key]
            rows = connection.execution_options(yield_per=PAGE).execute(select(table))
            for number, row in enumerate(rows.mappings(), 1):
                report.read["rows"] += 1
                values = cast("dict[str, object]", dict(row))
                named = ",".join(str(values[key]) for key in keys)
                known = scanner.shown(named) if keys else f"#{number}"
                for column, value in values.items():
                    if text := write_value(value):
                        report.read["bytes"] += len(text)
                        where = f"{table.name}[{known}].{column}"
                        yield from pieces(where, [text], column)


def write_value(value: object) -> str:
    """Write what a column holds as text; empty: it is none, such as a number."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else ""


async def read_keys(
    line: Caller, report: Report, scanner: Scanner
) -> AsyncIterator[Sequence[Piece]]:
    """Read every key of ours, with its name. Raises: CountersFaultError."""
    cursor, seen = b"0", set[bytes]()
    while True:
        page = await ask(line, "SCAN", cursor, "MATCH", f"{PREFIX}*", "COUNT", PAGE)
        cursor, keys = cast("tuple[bytes, list[bytes]]", page)
        for key in keys:
            if key not in seen:
                seen.add(key)
                report.read["keys"] += 1
                name = key.decode("utf-8", "replace")
                where = scanner.shown(name)
                yield [Piece(f"{where} (its name)", name)]
                async for chunk in read_key(line, key):
                    report.read["bytes"] += len(chunk)
                    yield list(pieces(where, [chunk.decode("utf-8", "replace")]))
        if cursor == b"0":
            return


async def read_key(line: Caller, key: bytes) -> AsyncIterator[bytes]:
    """Read what a key holds, whatever its type, piece by piece. What ends meanwhile is empty."""
    kind = cast("bytes", await ask(line, "TYPE", key))
    if kind == b"string":
        at = 0
        while chunk := cast("bytes", await ask(line, "GETRANGE", key, at, at + CHUNK - 1)):
            yield chunk
            at += CHUNK
    elif kind == b"list":
        at = 0
        while items := cast("list[bytes]", await ask(line, "LRANGE", key, at, at + PAGE - 1)):
            yield b"\n".join(items)
            at += PAGE
    elif (command := {b"hash": "HSCAN", b"set": "SSCAN", b"zset": "ZSCAN"}.get(kind)) is not None:
        cursor = b"0"
        while True:
            page = await ask(line, command, key, cursor, "COUNT", PAGE)
            cursor, items = cast("tuple[bytes, list[bytes]]", page)
            yield b"\n".join(items)
            if cursor == b"0":
                return


async def ask(line: Caller, *command: str | bytes | int) -> object:
    """Raises: CountersFaultError."""
    return check(await line.call(command))


def name_piece(path: Path, where: str) -> Piece:
    """The name of a file may itself be personal data."""
    return Piece(f"{where} (its name)", printable(path.name))
