"""One call: messages in and out, each no faster than the other side takes them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

from extproc.rpc.frames import (
    DATA,
    END_HEADERS,
    FLOW_CONTROL_ERROR,
    FRAME_BYTES,
    HEADERS,
    WINDOW_MOST,
    PeerError,
    frame,
    head,
    window_update,
)
from extproc.rpc.messages import PREFIX, Inbox
from extproc.rpc.status import OPENING_BLOCK, CallError

In = TypeVar("In")
Out = TypeVar("Out")

WINDOW_BYTES = 1024 * 1024
"""What a peer may send of one call before we have read it. A message that is not complete does not
count, or 16 MiB would never be; a decision's body is one message, so this bounds streamed ones."""


class Outlet:
    """The way out of one connection, which its calls share. What is sent in one turn of the loop goes
    out in one system call when it ends: at 16 requests at once that is one instead of thirty."""

    def __init__(self, transport: asyncio.WriteTransport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._parts: list[bytes] = []
        self._waiting: set[asyncio.Future[None]] = set()
        self.window = 65_535  # RFC 9113 6.9.2
        self.first_window = 65_535
        """Of each call that begins; the peer's setting."""
        self.frame_bytes = FRAME_BYTES
        self.is_full = False
        """More is waiting in the transport than it likes to hold."""

    def send(self, *parts: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts += parts

    def flush(self) -> None:
        parts, self._parts = self._parts, []
        if parts and not self._transport.is_closing():
            self._transport.write(b"".join(parts))

    def room(self, window: int) -> int:
        """How much one frame of a call with that window may hold now."""
        return 0 if self.is_full else min(window, self.window, self.frame_bytes)

    async def wait(self) -> None:
        """Wait until there may be more room."""
        waiting = self._loop.create_future()
        self._waiting.add(waiting)
        try:
            await waiting
        finally:
            self._waiting.discard(waiting)

    def wake(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)


class Call(Generic[In, Out]):
    """What a method is given. It reads and writes; only the connection uses the rest."""

    __slots__ = (
        *("_fault", "_inbox", "_is_over", "_method", "_outlet", "_reading", "_unread", "ended"),
        *("gone", "number", "opened", "task", "window"),
    )

    def __init__(self, number: int, method: "Method[In, Out]", outlet: Outlet, most: int) -> None:
        self.number = number
        self._method = method
        self._outlet = outlet
        self._inbox = Inbox(most)
        self._reading: asyncio.Future[None] | None = None
        self._fault: CallError | None = None
        self._unread = 0
        self._is_over = False
        self.window = outlet.first_window
        self.opened = False
        self.ended = False
        """The peer will send no more."""
        self.gone = False
        """The peer wants no more of it: what is written goes nowhere."""
        self.task: asyncio.Task[None] | None = None

    async def read(self) -> In | None:
        """Return the next message, or None when the peer has ended its side.

        Raises:
            CallError: The peer sent what cannot be a message, or too large a one.
        """
        while not self._inbox.messages:
            if self._fault is not None:
                raise self._fault
            if self.ended or self._is_over:
                return None
            self._reading = asyncio.get_running_loop().create_future()
            await self._reading
        raw = self._inbox.messages.popleft()
        self._credit()
        return self._method.decode(raw)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> In:
        message = await self.read()
        if message is None:
            raise StopAsyncIteration
        return message

    async def write(self, message: Out) -> None:
        """Send a message; wait while the peer has no room for it."""
        if self.gone:
            return
        raw = self._method.encode(message)
        if not self.opened:
            self.opened = True
            self._outlet.send(frame(HEADERS, END_HEADERS, self.number, OPENING_BLOCK))
        size = PREFIX.size + len(raw)
        if size <= self._outlet.room(self.window):
            self._spend(size)
            prefix = PREFIX.pack(0, len(raw))
            self._outlet.send(head(DATA, 0, self.number, size), prefix, raw)
        else:
            await self._write_slowly(PREFIX.pack(0, len(raw)) + raw)

    async def _write_slowly(self, data: bytes) -> None:
        at = 0
        while at < len(data) and not self.gone:
            size = min(len(data) - at, self._outlet.room(self.window))
            if size <= 0:
                await self._outlet.wait()
                continue
            self._spend(size)
            self._outlet.send(head(DATA, 0, self.number, size), data[at : at + size])
            at += size

    def end(self) -> None:
        """Wait for no more: what has come is still read, and then there is nothing."""
        self._is_over = True
        self.wake()

    def _spend(self, size: int) -> None:
        self.window -= size
        self._outlet.window -= size

    # ---- for the connection ------------------------------------------------------------------

    def receive(self, data: bytes, size: int) -> None:
        """Take a DATA frame; `size` is with padding. Raises: PeerError."""
        self._unread += size
        if self._unread > WINDOW_BYTES:
            raise PeerError(FLOW_CONTROL_ERROR, "more was sent than there is room for")
        if self._fault is None:
            try:
                self._inbox.feed(data)
            except CallError as exc:
                self._fault = exc
        self._credit()
        self.wake()

    def give_up(self) -> bool:
        """The peer wants no more of it. Return whether it goes on all the same."""
        self.gone = True
        if self._method.hears_out:
            self.end()
            self._outlet.wake()
        elif self.task is not None:
            self.task.cancel()
        return self._method.hears_out

    def wake(self) -> None:
        """Tell a waiting `read` that something has changed."""
        if self._reading is not None and not self._reading.done():
            self._reading.set_result(None)

    def widen(self, more: int) -> None:
        """Raises: PeerError."""
        self.window = widened(self.window, more)
        self._outlet.wake()

    def _credit(self) -> None:
        """Give back what was used of the window, unless a message is waiting to be read."""
        if self._unread >= WINDOW_BYTES // 2 and not self._inbox.messages:
            self._outlet.send(window_update(self.number, self._unread))
            self._unread = 0


@dataclass(frozen=True, slots=True)
class Method(Generic[In, Out]):
    """One method of a service. It ends well by returning, and otherwise by a CallError. It is
    cancelled when the peer gives up, unless it hears it out."""

    serve: Callable[[Call[In, Out]], Awaitable[None]]
    decode: Callable[[bytes], In]
    encode: Callable[[Out], bytes]
    hears_out: bool = False
    """What the peer has said counts though it has gone: it is read to its end."""


def widened(window: int, more: int) -> int:
    """Raises: PeerError."""
    if window + more > WINDOW_MOST:
        raise PeerError(FLOW_CONTROL_ERROR, "a window of more than 2**31 - 1 bytes")
    return window + more
