"""What Envoy told a worker that died or hung, read again from the log on disk, which outlives both.

Envoy tells an end once, to one worker. If that one is killed in the same moment, or stands still for so
long that Envoy gives it up, nobody has heard it: the places of the request stay taken until its lease is
over, and what was reserved for it counts for as long as its limits remember. So whoever is told instead,
and every worker that starts, settles once more what ended shortly before, with those filters that may
hear of an end twice.
"""

import asyncio
import os
import time
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
"""How far back: a lease (`filters/limits.py`). Envoy turns to another worker with the next thing that it has
to tell: in a second under load, and in ten where there is only a request that waits."""
WRITTEN_S = 0.1
"""Envoy writes its log every 10 ms (`cli/processes.py`): what another worker was told is there by then."""
MOST_BYTES = 4 * 1024 * 1024
"""Of each file, at its end: some 5 000 requests. Settling them takes 0.4 s beside a Valkey on the same
machine, and 0.17 s of CPU."""


class Line(msgspec.Struct):
    """What is read of a line of the log; `ledger/witness.py` reads more."""

    type: str
    time: datetime
    """When the request came."""
    latency_us: int | None = None
    """None: its client left before the end."""
    status: int | None = None
    attempts: int | None = None
    headgate: dict[str, Scalar | None] | None = None
    usage: dict[str, Scalar | None] | None = None


READER = msgspec.json.Decoder(Line)


class Rereading:
    """That of one worker."""

    def __init__(
        self,
        access_log: Path,
        settle_again: Callable[[Outcome], Awaitable[None]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` tells seconds since the epoch."""
        self._access_log = access_log
        self._settle_again = settle_again
        self._clock = clock
        self._wanted = asyncio.Event()

    def ask(self) -> None:
        """Say that somebody else may have been told before."""
        self._wanted.set()

    async def run(self) -> None:
        """Read when it is asked for, until cancelled."""
        while True:
            await self._wanted.wait()
            await asyncio.sleep(WRITTEN_S)
            self._wanted.clear()
            await self._read()

    async def _read(self) -> None:
        """Settle what ended lately, one after the other. Without a log on this host there is nothing to
        do."""
        count = 0
        try:
            for outcome in recent_ends(self._access_log, self._clock() - RECENT_S):
                await self._settle_again(outcome)
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
            except (ValueError, RecursionError):  # a full disk may also have cut a letter in two
                continue
            if line.type == "DownstreamEnd" and line.headgate and may_end_since(line, since_s):
                yield make_outcome(line, line.headgate)


def last_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines at the end of a file; the first may be half of one."""
    with path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - MOST_BYTES))
        yield from file


def may_end_since(line: Line, since_s: float) -> bool:
    """Of a client that left midway nobody says when: it may have been just now."""
    if line.latency_us is None:
        return True
    return line.time.timestamp() + line.latency_us / 1e6 >= since_s


def make_outcome(line: Line, known: dict[str, Scalar | None]) -> Outcome:
    return Outcome(
        witness={name: value for name, value in known.items() if value is not None},
        status=line.status or 0,
        attempts=line.attempts or 0,
        failed=(),
        usage={name: told for name, told in (line.usage or {}).items() if told is not None},
    )
