"""The access log and what rotation made of it: how old, and which of it may go.

Logs hold people's names. They also hold requests: while one of them tells of a request, the
request's entries stay, so that no line that is ever read again can count a second time.
"""

import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from ledger.tail import COMPRESSED, is_finished, rotations_of

SETTLED_S = 3600.0
"""A log that was written to within this is not touched: Envoy may not have let go of it yet."""

_HEAD_BYTES = 1024 * 1024
_TIME = re.compile(rb'"time":\s*"([^"]{1,40})"')


def rotated(access_log: Path) -> list[Path]:
    """List what rotation has set aside, compressed or not."""
    beside = (f"{access_log.name}.", f"{access_log.name}-")
    if not access_log.parent.exists():
        return []
    return sorted(each for each in access_log.parent.iterdir() if each.name.startswith(beside))


def begins_ms(path: Path) -> int:
    """Tell when the first request in a log arrived; if it cannot be read, when it was last written.

    Raises OSError.
    """
    if path.suffix not in COMPRESSED:
        with path.open("rb") as file:
            for found in _TIME.finditer(file.read(_HEAD_BYTES)):
                if (ms := _epoch_ms(found[1])) is not None:
                    return ms
    return round(path.stat().st_mtime * 1000)


def oldest(access_log: Path) -> tuple[Path, int] | None:
    """Find the log that goes back furthest, among those that the ledger reads. Raises OSError."""
    if not access_log.parent.exists():
        return None
    matches = rotations_of(access_log.name)
    read = [each for each in access_log.parent.iterdir() if matches(each.name)]
    begins = [(path, begins_ms(path)) for path in read if path.stat().st_size]
    return min(begins, key=lambda each: each[1], default=None)


def throw_out(
    access_log: Path,
    before_ms: int,
    offsets: Mapping[str, int],
    clock: Callable[[], float] = time.time,
) -> list[Path]:
    """Delete the rotated logs that go back further than `before_ms`, and return which.

    Those that the ledger has not read to their end by `offsets` stay. Raises OSError.
    """
    gone = [
        path
        for path in rotated(access_log)
        if begins_ms(path) < before_ms
        and clock() - path.stat().st_mtime >= SETTLED_S
        and (path.suffix in COMPRESSED or is_finished(path, offsets))
    ]
    for path in gone:
        path.unlink()
    return gone


def _epoch_ms(text: bytes) -> int | None:
    try:
        time_ = datetime.fromisoformat(text.decode())
    except ValueError:
        return None
    return None if time_.tzinfo is None else round(time_.timestamp() * 1000)
