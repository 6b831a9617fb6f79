"""The access log neither ends nor grows for ever: room is taken ahead of it, one that is full or a day
old is set aside, and the oldest ones go when the ledger has all of them.

A file is renamed, then Envoy is asked to open a new one. The settle process reads a renamed file to
its end before it goes on with the next, so nothing is lost in between.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path

from ledger.logfiles import begins_ms
from ledger.room import reserve
from ledger.store import LedgerError
from telemetry.logs import Event, EventLog

ROTATE_BYTES = 256 * 1024 * 1024
"""About 300 000 requests."""
ROTATE_S = 86_400.0
"""A log may go when all of it is older than the policy's retention, so it must come to an end."""
KEPT_BYTES = 4 * ROTATE_BYTES
KEPT = 60
"""Files set aside: a gigabyte, or two months of a quiet gateway, for those who look for a request by
hand. There are more only when the ledger is behind: what is not in it yet is not thrown away."""
ROOM_BYTES = 32 * 1024 * 1024
"""Taken ahead of the log: about 38 000 requests are written down even when the disk is full."""
LOOK_S = 5.0
NANOSECONDS = "[0-9]" * 19
"""When a file was set aside: its suffix, as a pattern of names."""

log = EventLog(__name__)


@dataclass(frozen=True, slots=True)
class AccessLog:
    """Envoy's log, and what is needed to look after it."""

    path: Path
    reopen: Callable[[], Awaitable[None]]
    """Lets Envoy open it anew. Raises OSError."""
    finished: Callable[[Sequence[Path]], Sequence[Path]]
    """Chooses what the ledger does not need any more. Raises LedgerError, OSError."""
    clock: Callable[[], float] = time.time

    async def keep(self) -> None:
        """Look after it, for ever."""
        while True:
            try:
                self.take_room()
                await self.rotate()
            except OSError as exc:
                log.error(Event.LOG_NOT_ROTATED, error=str(exc))
            await asyncio.sleep(LOOK_S)

    def take_room(self) -> bool:
        """Take room for what comes next, of a small disk a part; False when there is none.

        Raises: OSError.
        """
        try:
            fd = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return reserve(fd, min(ROOM_BYTES, free_bytes(self.path) // 4))
        finally:
            os.close(fd)

    async def rotate(self, limit_bytes: int = ROTATE_BYTES) -> bool:
        """Set it aside if it is full or old; tell whether it was. Raises: OSError.

        On a full disk it stays: the next one would find no room.
        """
        aside = self._aside()
        if not self.path.exists():
            if aside:  # Envoy did not listen last time, and writes on into what we renamed
                await self.reopen()
            return False
        if not self._is_due(limit_bytes) or free_bytes(self.path) < ROOM_BYTES:
            return False
        self.path.rename(self.path.with_name(f"{self.path.name}.{time.time_ns()}"))
        await self.reopen()
        for old in aside:
            os.truncate(old, old.stat().st_size)  # gives back the room it did not need
        await asyncio.to_thread(self._throw_out)
        return True

    def _is_due(self, limit_bytes: int) -> bool:
        size = self.path.stat().st_size
        oldest_ms = (self.clock() - ROTATE_S) * 1000
        return size >= limit_bytes or (size > 0 and begins_ms(self.path) < oldest_ms)

    def _aside(self) -> list[Path]:
        """List what we set aside, oldest first."""
        return sorted(self.path.parent.glob(f"{self.path.name}.{NANOSECONDS}"))

    def _throw_out(self) -> None:
        if old := self._too_many():
            try:
                finished = self.finished(old)
            except LedgerError as fault:
                log.warning(Event.LOG_KEPT, files=len(old), error=str(fault))
                return
            for path in finished:
                path.unlink()
            if len(finished) < len(old):
                log.warning(Event.LOG_KEPT, files=len(old) - len(finished))

    def _too_many(self) -> list[Path]:
        aside = self._aside()
        room = accumulate(path.stat().st_size for path in reversed(aside))
        kept = sum(so_far <= KEPT_BYTES for so_far in islice(room, KEPT))
        return aside[: len(aside) - max(kept, 1)]


def free_bytes(path: Path) -> int:
    room = os.statvfs(path)
    return room.f_bavail * room.f_frsize
