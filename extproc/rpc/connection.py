"""One connection: frames to calls, and what belongs to all of them (RFC 9113, gRPC over HTTP/2).

Peers are those who may ask for decisions at all: an Envoy on the same machine or in the same mesh.
They are held to the protocol, to windows and to sizes, but not to a rate.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from extproc.rpc import frames
from extproc.rpc.call import WINDOW_BYTES, Call, Method, Outlet, widened
from extproc.rpc.frames import FRAME_BYTES, WINDOW_MOST, Frame, PeerError
from extproc.rpc.headers import BLOCK_BYTES, HeaderBlocks
from extproc.rpc.status import CallError, Status, closing
from telemetry.logs import Event, EventLog

log = EventLog(__name__)

Methods = Mapping[str, Method[Any, Any]]
"""By path: `/package.Service/Method`."""

HIGH_WATER_BYTES = 1024 * 1024
"""What may wait in the transport before writers wait: the replies of one turn of the loop, which are
written when it ends, are not yet a peer that does not read."""

MOST_CALLS = 10_000
"""Open at once; one that waits has 3 kB. A peer with more to ask opens another connection: an Envoy does so
of itself at 1024, and older ones, which may have that many requests waiting before they have read our
settings, at what we announce."""

OURS = {
    # Header blocks then mean the same wherever they come, and each is decoded once.
    frames.HEADER_TABLE_SIZE: 0,
    frames.MAX_CONCURRENT_STREAMS: MOST_CALLS,
    frames.INITIAL_WINDOW_SIZE: WINDOW_BYTES,
    frames.MAX_HEADER_LIST_SIZE: BLOCK_BYTES,
}
REPLENISH_BYTES = 1 << 29
"""Calls are held back by their own windows; that of the connection is as wide as can be."""


class Connection(asyncio.Protocol):
    """`everyone` is where it enters itself while it lasts; `most_bytes` bounds a message."""

    def __init__(self, methods: Methods, most_bytes: int, everyone: "set[Connection]") -> None:
        self._methods = methods
        self._most_bytes = most_bytes
        self._everyone = everyone
        self._rest = b""
        self._begun = False
        self._greeted = False
        self._headers = HeaderBlocks()
        self._block: Frame | None = None  # headers that are not complete
        self._last = 0
        self._received = 0
        self.calls: dict[int, Call[Any, Any]] = {}
        self._on = {
            frames.HEADERS: self._open,
            frames.CONTINUATION: self._continue,
            frames.WINDOW_UPDATE: self._widen,
            frames.RST_STREAM: self._reset,
            frames.SETTINGS: self._settings,
            frames.PING: self._ping,
        }

    # ---- asyncio -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self._outlet = Outlet(self._transport)
        self._everyone.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        for call in tuple(self.calls.values()):
            self._give_up(call)
        self.lost.set_result(None)
        self._forget()

    def pause_writing(self) -> None:
        """Read no more either: a peer that asks without reading the answers would fill our memory."""
        self._outlet.is_full = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._outlet.is_full = False
        self._outlet.wake()
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        received = self._rest + data if self._rest else data
        try:
            if not self._begun:
                received = self._begin(received)
            those, self._rest = frames.split(received) if self._begun else ([], received)
            for each in those:
                self._take(each)
        except PeerError as exc:
            log.error(Event.WIRE_FAULT, kind="http2", error=str(exc))
            self._end(exc.code, str(exc))

    def _begin(self, received: bytes) -> bytes:
        preface = frames.PREFACE
        if not received.startswith(preface[: len(received)]):
            raise PeerError(
                frames.PROTOCOL_ERROR,
                "this is no HTTP/2, which gRPC needs; TLS where there is none?",
            )
        if len(received) < len(preface):
            return received
        self._begun = True
        # Not before: to write to a peer that has spoken and gone would end this with its words unread.
        self._greet()
        return received[len(preface) :]

    def _greet(self) -> None:
        """Send what comes before anything else, once (3.4)."""
        if not self._greeted:
            self._greeted = True
            self._outlet.send(frames.settings(OURS))
            self._outlet.send(frames.window_update(0, WINDOW_MOST - 65_535))

    # ---- frames ------------------------------------------------------------------------------

    def _take(self, each: Frame) -> None:
        if self._block is not None and each.kind != frames.CONTINUATION:
            raise PeerError(frames.PROTOCOL_ERROR, "a header block was not ended")
        if each.kind == frames.DATA:
            self._data(each)
            return
        frames.check(each)
        take = self._on.get(each.kind)
        if take is not None:  # others must be ignored (5.5)
            take(each)

    def _data(self, each: Frame) -> None:
        size = len(each.payload)
        self._received += size
        if self._received >= REPLENISH_BYTES:
            self._outlet.send(frames.window_update(0, self._received))
            self._received = 0
        call = self._find(each)
        if call is None:  # it has ended, and the peer does not know yet
            return
        if call.ended:
            raise PeerError(frames.STREAM_CLOSED, "more data after the end")
        call.ended = bool(each.flags & frames.END_STREAM)
        call.receive(frames.unpadded(each), size)

    def _find(self, each: Frame) -> Call[Any, Any] | None:
        if not 0 < each.stream <= self._last:
            raise PeerError(frames.PROTOCOL_ERROR, "a frame for a call that was never begun")
        return self.calls.get(each.stream)

    def _open(self, each: Frame) -> None:
        if not each.flags & frames.END_HEADERS:
            self._block = Frame(each.kind, each.flags, each.stream, frames.unpadded(each))
            return
        self._called(each.stream, each.flags, frames.unpadded(each))

    def _continue(self, each: Frame) -> None:
        begun = self._block
        if begun is None or begun.stream != each.stream:
            raise PeerError(frames.PROTOCOL_ERROR, "a continuation of nothing")
        block = begun.payload + each.payload
        if len(block) > BLOCK_BYTES:
            raise PeerError(frames.ENHANCE_YOUR_CALM, "a header block that does not end")
        if each.flags & frames.END_HEADERS:
            self._block = None
            self._called(begun.stream, begun.flags, block)
        else:
            self._block = Frame(begun.kind, begun.flags, begun.stream, block)

    def _called(self, number: int, flags: int, block: bytes) -> None:
        ended = bool(flags & frames.END_STREAM)
        if number <= self._last:
            self._trail(number, block, ended=ended)
            return
        if not number % 2:
            raise PeerError(frames.PROTOCOL_ERROR, "clients' streams have odd numbers")
        method = self._methods.get(self._headers.path(block), UNKNOWN)
        self._last = number
        if len(self.calls) >= MOST_CALLS:  # nothing was done, and it may be asked again (8.7)
            self._outlet.send(frames.reset(number, frames.REFUSED_STREAM))
            return
        call = Call(number, method, self._outlet, self._most_bytes)
        call.ended = ended
        self.calls[number] = call
        # Held by the call until it ends, and it ends without an exception: a protocol has no
        # `async with` that a TaskGroup could stand in.
        call.task = self._loop.create_task(self._run(call, method))

    def _trail(self, number: int, block: bytes, *, ended: bool) -> None:
        """Take trailers, of which gRPC's clients have none."""
        self._headers.skip(block)
        call = self.calls.get(number)
        if call is None:
            return
        if call.ended or not ended:
            raise PeerError(frames.STREAM_CLOSED, "headers came again")
        call.ended = True
        call.wake()

    def _widen(self, each: Frame) -> None:
        more = frames.read_increment(each.payload)
        if not each.stream:
            self._outlet.window = widened(self._outlet.window, more)
            self._outlet.wake()
        elif (call := self._find(each)) is not None:
            call.widen(more)

    def _reset(self, each: Frame) -> None:
        if (call := self._find(each)) is not None:
            self._give_up(call)

    def _settings(self, each: Frame) -> None:
        if each.flags & frames.ACK:
            if each.payload:
                raise PeerError(frames.FRAME_SIZE_ERROR, "an acknowledgement says nothing")
            return
        for name, value in frames.read_settings(each.payload):
            if name == frames.MAX_FRAME_SIZE:
                if not FRAME_BYTES <= value < 1 << 24:
                    raise PeerError(frames.PROTOCOL_ERROR, f"frames of {value} bytes")
                self._outlet.frame_bytes = value
            elif name == frames.INITIAL_WINDOW_SIZE:
                more = widened(value, 0) - self._outlet.first_window
                self._outlet.first_window = value
                for call in self.calls.values():
                    call.widen(more)
            elif name == frames.ENABLE_PUSH and value > 1:
                raise PeerError(frames.PROTOCOL_ERROR, "ENABLE_PUSH is 0 or 1")
        self._outlet.send(frames.frame(frames.SETTINGS, frames.ACK, 0))

    def _ping(self, each: Frame) -> None:
        if not each.flags & frames.ACK:
            self._outlet.send(frames.frame(frames.PING, frames.ACK, 0, each.payload))

    # ---- calls -------------------------------------------------------------------------------

    async def _run(self, call: Call[Any, Any], method: Method[Any, Any]) -> None:
        status, message = Status.OK, ""
        try:
            await method.serve(call)
        except CallError as exc:
            status, message = exc.status, exc.message
        except Exception as exc:  # noqa: BLE001 - the edge: whatever is left ends the call
            log.error(Event.STREAM_FAULT, exc)
            status, message = Status.INTERNAL, "internal error"
        self.calls.pop(call.number, None)
        self._forget()
        if call.gone:
            return
        block = closing(status, message, opened=call.opened)
        flags = frames.END_HEADERS | frames.END_STREAM
        self._outlet.send(frames.frame(frames.HEADERS, flags, call.number, block))
        if not call.ended:  # what the peer still has to say is not needed (8.1)
            self._outlet.send(frames.reset(call.number, frames.NO_ERROR))

    def _give_up(self, call: Call[Any, Any]) -> None:
        if not call.give_up():
            self.calls.pop(call.number, None)

    def _forget(self) -> None:
        """A drain waits for calls that outlive their connection."""
        if self.lost.done() and not self.calls:
            self._everyone.discard(self)

    # ---- the end -----------------------------------------------------------------------------

    def retire(self) -> None:
        """Ask the peer to begin new calls elsewhere. Those on their way are still served."""
        self._greet()
        self._outlet.send(frames.goaway(WINDOW_MOST, frames.NO_ERROR))

    def close(self) -> None:
        """End the connection, and the calls that are still open with it."""
        self._end(frames.NO_ERROR)

    def _end(self, code: int, why: str = "") -> None:
        self._greet()
        self._outlet.send(frames.goaway(self._last, code, why))
        self._outlet.flush()
        self._transport.close()

    def abort(self) -> None:
        """The same without waiting until the peer has read what was written."""
        self._transport.abort()


async def refuse(_: Call[bytes, bytes]) -> None:
    raise CallError(Status.UNIMPLEMENTED, "there is no such method")


UNKNOWN: Method[bytes, bytes] = Method(refuse, bytes, bytes)
