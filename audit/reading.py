"""Journal files, read on from where the store has them.

A file is known by its name, which is unique for good and survives a copy of the state directory. How
far it was read is the place of its last record in the store: nothing else is remembered, so nothing
can get out of step.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import msgspec

from audit.journal import BadRecordError, read_record
from audit.record import Member, Record
from ledger.journal import JOURNAL_SUFFIX, is_complete, is_journal

READ_BYTES = 1024 * 1024
"""From one file at once: twice the longest record, so a piece without an end of line is none."""
UNREADABLE = "audit.unreadable"
"""The action of what stands for a line that is no record: that there was one is worth knowing."""
OURSELVES = "headgate"


class Found(msgspec.Struct, frozen=True):
    """A record, and what makes it one of a kind."""

    writer: str
    """Name of the file."""
    place: int
    """Where its line ends."""
    record: Record
    is_bad: bool = False


class Read(msgspec.Struct, frozen=True):
    """What was new in one file."""

    found: list[Found]
    end: int
    """How far it was read."""
    has_all: bool
    """Nothing was left that could be read now."""
    is_over: bool
    """Everything is read, and nobody will write more."""


def list_journals(directory: Path) -> dict[str, int]:
    """Name the files, and say how long each is: those of one process in the order it wrote them."""
    names = os.listdir(directory) if directory.is_dir() else []  # noqa: PTH208 - several times a second; Path.iterdir costs four times as much
    found: dict[str, int] = {}
    for name in sorted(filter(is_journal, names), key=process_of):
        with suppress(FileNotFoundError):  # collected by somebody else meanwhile
            found[name] = (directory / name).stat().st_size
    return found


def process_of(name: str) -> tuple[str, int]:
    """Tell what process wrote a file, and which of its files this is."""
    process, _, number = name.removesuffix(JOURNAL_SUFFIX).rpartition("-")
    return process, int(number) if number.isascii() and number.isdecimal() else 0


def read_on(path: Path, start: int, now_ms: int) -> Read:
    """Read whole lines from `start` on, at most READ_BYTES. Raises OSError."""
    with path.open("rb") as file:
        fd = file.fileno()
        complete = is_complete(fd)  # asked before reading: what is complete stays so
        data = os.pread(fd, READ_BYTES, start)
        size = os.fstat(fd).st_size
    whole = data.rfind(b"\n") + 1
    is_torn = complete and start + len(data) >= size
    if is_torn or (not whole and len(data) == READ_BYTES):
        whole = len(data)
    found: list[Found] = []
    place = start
    for text in data[:whole].removesuffix(b"\n").split(b"\n"):
        place = min(place + len(text) + 1, start + whole)
        if text:
            found.append(_find(path.name, place, text, now_ms))
    has_all = start + len(data) >= size
    if (
        not found and not has_all
    ):  # nothing but ends of lines: without a record it would be read again
        found.append(_find(path.name, place, b"", now_ms))
    return Read(found, place, has_all, complete and place >= size)


def count_waiting(directory: Path, read_to: Callable[[str], int]) -> int:
    """Count lines that are not in the store yet. `read_to` says how far a file was read."""
    waiting = 0
    for name in list_journals(directory):
        try:
            with (directory / name).open("rb") as file:
                file.seek(read_to(name))
                waiting += sum(1 for line in file if line.strip())
        except FileNotFoundError:
            continue
    return waiting


def _find(writer: str, place: int, text: bytes, now_ms: int) -> Found:
    try:
        return Found(writer, place, read_record(text))
    except BadRecordError:
        members: dict[str, Member] = {"bytes": len(text), "sha256": sha256(text).hexdigest()}
        stands_for = Record(now_ms, UNREADABLE, OURSELVES, writer, members=members)
        return Found(writer, place, stands_for, is_bad=True)
