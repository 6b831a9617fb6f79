"""Pieces of log files: copied into a backup, and laid out again to be read from where one left off.

A piece keeps its place: laid out, it begins as many bytes into its file as it did, behind a hole.
Requests that nobody decided on are known by their line and its offset, and so come out the same.
"""

import gzip
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ledger.snapshot import LogPart, digest
from ledger.tail import identify, rotations_of

_MASK = b'{"type":""}'
"""A line that says nothing, for those that are not to be read."""
_PACKING = 1
"""Level of gzip: 100 MB a second, to a tenth of the size."""
_BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LogFile:
    """A log file that is held open, so that it cannot go away."""

    path: Path
    file_id: str
    file: BinaryIO

    @property
    def size(self) -> int:
        return os.fstat(self.file.fileno()).st_size


@contextmanager
def opened(access_log: Path) -> Generator[dict[str, LogFile]]:
    """Open the log and what rotation made of it, by id. Raises OSError."""
    matches = rotations_of(access_log.name)
    present = access_log.parent.iterdir() if access_log.parent.exists() else ()
    found: dict[str, LogFile] = {}
    files: list[BinaryIO] = []
    try:
        for path in sorted(each for each in present if matches(each.name)):
            file: BinaryIO = path.open("rb")
            files.append(file)
            file_id = identify(file.fileno())
            if file_id is not None:
                found[file_id] = LogFile(path, file_id, file)
        yield found
    finally:
        for file in files:
            file.close()


def pack(log: LogFile, begin: int, end: int, directory: Path) -> LogPart:
    """Copy a piece into a backup. Raises OSError."""
    name = f"log/{log.file_id}-{begin}.gz"
    path = directory / name
    path.parent.mkdir(exist_ok=True)
    log.file.seek(begin)
    with gzip.open(path, "wb", compresslevel=_PACKING) as packed:
        for some in _blocks(log.file, end - begin):
            packed.write(some)
    return LogPart(name, log.file_id, begin, end, digest(path))


def unpack(part: LogPart, directory: Path) -> gzip.GzipFile:
    return gzip.GzipFile(directory / part.file)


def lay_out(
    lines: Iterable[bytes], begin: int, path: Path, is_wanted: Callable[[bytes], bool]
) -> None:
    """Write lines to a new file, `begin` bytes into it; those not wanted only take their room."""
    with path.open("wb") as file:
        file.seek(begin)
        for line in lines:
            file.write(line if is_wanted(line) else _MASK.ljust(len(line) - 1) + b"\n")


def lines_from(log: LogFile, begin: int) -> Iterator[bytes]:
    """Read the whole lines behind `begin`."""
    log.file.seek(begin)
    return (line for line in log.file if line.endswith(b"\n"))


def _blocks(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0 and (some := file.read(min(size, _BLOCK_BYTES))):
        size -= len(some)
        yield some
