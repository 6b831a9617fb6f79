"""What Envoy told a worker that died, read again from the log on disk, which outlives every worker.

Envoy tells an end once, to one worker. If that one is killed in the same moment nobody has heard it:
the places of the request stay taken until its lease is over, and what was reserved for it counts for
as long as its limits remember. So a worker that starts settles once more what ended shortly before,
with those filters that may hear of an end twice.
"""

import os
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from extproc.decision import Outcome
from extproc.request import Scalar
from ledger.tail import rotations_of
from telemetry.logs import Event, EventLog

log = EventLog(__name__)

RECENT_S = 35.0
"""How far back: a lease (`filters/limits.py`). A worker is back within a second; one that fails to start
again and again is tried every 5 s."""
MOST_BYTES = 4 * 1024 * 1024
"""Of each file, at its end: 4 000 requests, a second of settling."""


class Line(msgspec.Struct):
    """What is read of a line of the log; `ledger/witness.py` reads more."""

    type: str
    time: datetime
    """When the request came."""
    latency_us: int | None = None
    status: int | None = None
    attempts: int | None = None
    headgate: dict[str, Scalar | None] | None = None
    usage: dict[str, Scalar | None] | None = None


READER = msgspec.json.Decoder(Line)


async def reread(
    access_log: Path, now_s: float, settle_again: Callable[[Outcome], Awaitable[None]]
) -> None:
    """Settle what ended lately, one after the other. Without a log on this host there is nothing to do.
    `now_s` is seconds since the epoch."""
    count = 0
    try:
        for outcome in recent_ends(access_log, now_s - RECENT_S):
            await settle_again(outcome)
            count += 1
    except OSError as exc:
        log.warning(Event.ENDS_NOT_REREAD, error=str(exc))
    if count:
        log.info(Event.ENDS_REREAD, requests=count)


def recent_ends(access_log: Path, since_s: float) -> Iterator[Outcome]:
    """Find who ended since then, in the log and in what was just set aside of it. Lines that cannot be
    read are passed over. Raises: OSError."""
    matches = rotations_of(access_log.name)
    beside = access_log.parent.iterdir() if access_log.parent.exists() else ()
    for path in sorted(each for each in beside if matches(each.name)):
        if path.stat().st_mtime < since_s:
            continue
        for text in last_lines(path):
            try:
                line = READER.decode(text)
            except msgspec.DecodeError:
                continue
            if line.type == "DownstreamEnd" and line.headgate and ended_s(line) >= since_s:
                yield make_outcome(line, line.headgate)


def last_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines at the end of a file; the first may be half of one."""
    with path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - MOST_BYTES))
        yield from file


def ended_s(line: Line) -> float:
    return line.time.timestamp() + (line.latency_us or 0) / 1e6


def make_outcome(line: Line, known: dict[str, Scalar | None]) -> Outcome:
    return Outcome(
        witness={name: value for name, value in known.items() if value is not None},
        status=line.status or 0,
        attempts=line.attempts or 0,
        failed=(),
        usage={name: told for name, told in (line.usage or {}).items() if told is not None},
    )
