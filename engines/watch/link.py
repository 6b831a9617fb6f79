"""The other end of the hub: a connection that is made again whenever it is lost."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import cast

from engines.watch import messages
from engines.watch.frames import FrameError, Frames

RETRY_S = (0.05, 1.0)
"""First and longest pause before the next attempt; it doubles in between."""
GATHER_S = 0.005
"""What a worker tells waits so long for more: it wakes two other processes, which must not be while Envoy
carries the very request it is about. Looks come every 200 ms, so others know soon enough."""

BEHIND_BYTES = 4 * 1024 * 1024
"""What the hub may leave unread: at 17 kB for a pick, seconds of a worker that is busy. One that leaves more
hangs, and is connected to again: then it is told all that is under way."""


class Ear(asyncio.Protocol):
    """One connection to the hub."""

    def __init__(self, hear: Callable[[messages.Any], None]) -> None:
        self._hear = hear
        self._frames = Frames()
        self.transport: asyncio.Transport | None = None
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by its type

    def data_received(self, data: bytes) -> None:
        try:
            for message, _ in self._frames.feed(data):
                self._hear(message)
        except FrameError:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.transport = None
        self.closed.set()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class Link:
    """Hears what the hub tells, and may tell it something. `run` keeps it."""

    def __init__(
        self,
        path: Path,
        hear: Callable[[messages.Any], None],
        changed: Callable[[bool], None] = lambda _up: None,
    ) -> None:
        """`hear` gets every message; `changed` is told when the hub is there, and when it is gone."""
        self._path = path
        self._hear = hear
        self._changed = changed
        self._ear: Ear | None = None
        self._pending: list[bytes] = []

    @property
    def is_up(self) -> bool:
        return self._ear is not None

    def send(self, piece: bytes) -> None:
        """Send a frame, together with others of the next milliseconds. Without a hub it is lost."""
        if self._ear is None:
            return
        if not self._pending:
            asyncio.get_running_loop().call_later(GATHER_S, self._flush)
        self._pending.append(piece)

    async def run(self) -> None:
        """Stay connected for ever; cancel to stop."""
        pause_s = RETRY_S[0]
        while True:
            if (ear := await self._connect()) is not None:
                pause_s = RETRY_S[0]
                self._ear = ear
                self._changed(True)
                try:
                    await ear.closed.wait()
                finally:
                    ear.close()
                    self._ear = None
                    self._pending.clear()
                    self._changed(False)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, RETRY_S[1])

    async def _connect(self) -> Ear | None:
        ear = Ear(self._hear)
        loop = asyncio.get_running_loop()
        try:
            await loop.create_unix_connection(lambda: ear, str(self._path))
        except OSError:
            return None
        return ear

    def _flush(self) -> None:
        ear, told = self._ear, b"".join(self._pending)
        self._pending.clear()
        if ear is None or ear.transport is None or not told:
            return
        if ear.transport.get_write_buffer_size() > BEHIND_BYTES:
            ear.close()
        else:
            ear.transport.write(told)
