"""Taking a person's name out of access logs, in place.

`"user": "alice"` becomes `"user": ""     `: as many bytes, so that every offset stays right and Envoy
may go on writing behind; and still JSON, in which nobody is named. Only what the ledger has read is
touched. A file whose first line changes is read again from its start, which counts nothing twice,
because retention keeps the entries of every request that a log tells of.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from ledger.booking import Person
from ledger.sighting import clean
from ledger.tail import identify, rotations_of

_STRING = rb'"(?:[^"\\]|\\.)*"'
_USER = re.compile(rb'"user":\s*(' + _STRING + rb")")
_TENANT = re.compile(rb'"tenant":\s*(' + _STRING + rb")")


class Scrubbed(msgspec.Struct, frozen=True):
    """One log file."""

    file: str
    lines: int
    """Lines that name the person no more."""
    unread: int
    """Lines that the ledger has not read yet, so that they still do."""


def scrub(access_log: Path, offsets: Mapping[str, int], person: Person) -> Iterator[Scrubbed]:
    """Go through the log and what rotation made of it; some 100 MB a second. Raises OSError."""
    matches = rotations_of(access_log.name)
    present = access_log.parent.iterdir() if access_log.parent.exists() else ()
    for path in sorted(each for each in present if matches(each.name)):
        found = _scrub(path, offsets, person)
        if found.lines or found.unread:
            yield found


def _scrub(path: Path, offsets: Mapping[str, int], person: Person) -> Scrubbed:
    lines = unread = start = 0
    with path.open("rb") as file, path.open("r+b", buffering=0) as writable:
        read_to = offsets.get(identify(file.fileno()) or "", 0)
        for line in file:
            place = find(line, person)
            end = start + len(line)
            if place is not None and end <= read_to:
                begin, length = place
                os.pwrite(writable.fileno(), b'""'.ljust(length), start + begin)
                lines += 1
            elif place is not None:
                unread += 1
            start = end
        os.fsync(writable.fileno())
    return Scrubbed(path.name, lines, unread)


def find(line: bytes, person: Person) -> tuple[int, int] | None:
    """Find the user's name in a line, quotes included: where and how long; None when it is another's."""
    tenant, user = person
    for found in _USER.finditer(line):
        if _read(found[1]) == user:
            named = _TENANT.search(line)
            if (_read(named[1]) if named else "") == tenant:
                return found.start(1), len(found[1])
    return None


def _read(token: bytes) -> str | None:
    """Read a JSON string as the ledger does."""
    try:
        return clean(msgspec.json.decode(token, type=str))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
