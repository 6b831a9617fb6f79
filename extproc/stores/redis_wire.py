"""One connection to Redis: commands go out as they come, replies come back in the same order.

All callers share it, so many calls travel in one packet; the server is one thread anyhow. A call that
has waited too long is given up, but not the connection: its reply is dropped when it comes, and what is
sent after it is done after it.
"""

import asyncio
from collections import deque
from typing import cast

import hiredis

from extproc.errors import CountersFaultError

HUNG_S = 3.0
"""After so long without the reply that is due, nobody is there any more."""
MOST_WAITING = 10_000
"""Calls under way. A server that answers keeps it near the number of requests in flight."""

Command = tuple[str | bytes | int, ...]
Reply = bytes | int | None | list["Reply"] | hiredis.ReplyError


class LostError(CountersFaultError):
    """The connection ended. Calls that were under way may have been done."""


class Wire(asyncio.Protocol):
    """Made by `loop.create_connection`. `lost` is done when it has ended."""

    def __init__(self, hung_s: float = HUNG_S) -> None:
        self._hung_s = hung_s
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        self._waiting: deque[tuple[asyncio.Future[Reply], float]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self.lost: asyncio.Future[None] = self._loop.create_future()

    def call(self, command: Command, deadline_s: float) -> asyncio.Future[Reply]:
        """Send it. The future ends with the reply, also when that is an error of the server's.

        Raises:
            CountersFaultError: by the future: no reply within the deadline, or no connection.
        """
        if self._transport is None or self.lost.done():
            raise LostError("the connection has ended")
        if len(self._waiting) >= MOST_WAITING:
            raise CountersFaultError("too many calls are under way")
        due_s = self._loop.time() + deadline_s
        future: asyncio.Future[Reply] = self._loop.create_future()
        self._waiting.append((future, due_s))
        self._transport.write(hiredis.pack_command(command))
        if self._timer is None or self._timer.when() > due_s:
            if self._timer is not None:  # it waits for a hung server, which this call must not
                self._timer.cancel()
            self._timer = self._loop.call_at(due_s, self._expire)
        return future

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                future, _ = self._waiting.popleft()
                if not future.done():
                    future.set_result(reply)
        except (hiredis.HiredisError, IndexError):
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer:
            self._timer.cancel()
        for future, _ in self._waiting:
            if not future.done():
                future.set_exception(LostError(f"the connection has ended: {exc or 'closed'}"))
        self._waiting.clear()
        if not self.lost.done():
            self.lost.set_result(None)

    def _expire(self) -> None:
        """Give up what is overdue; runs no more often than replies are late."""
        self._timer = None
        now_s = self._loop.time()
        for future, due_s in self._waiting:
            if due_s > now_s:
                self._timer = self._loop.call_at(due_s, self._expire)
                break
            if not future.done():
                future.set_exception(CountersFaultError("no answer in time"))
        if not self._waiting:
            return
        hung_s = self._waiting[0][1] + self._hung_s
        if hung_s <= now_s:
            self.close()
        elif self._timer is None:
            self._timer = self._loop.call_at(hung_s, self._expire)
