"""Where workers meet: each hears of members, looks and caches, and of what the others have picked.

A unix socket. Whoever connects is first told all there is, then what changes. One that reads too slowly is
cut off: it connects again, and is told all there is.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import cast

from engines.watch import messages
from engines.watch.flights import Flights
from engines.watch.frames import FrameError, Frames, frame
from engines.watch.messages import (
    Ended,
    Look,
    Looks,
    Members,
    Message,
    Picked,
    Running,
    Stored,
    Used,
)
from telemetry.logs import Event, EventLog

NAME = "watch.sock"
"""Below `run` in the state directory."""
BEHIND_BYTES = 16 * 1024 * 1024
"""What a worker may leave unread: at 500 endpoints, several seconds of looks."""
AT_ONCE = 64
"""Looks in one message: about 50 kB, and below `frames.MAX_BYTES` whatever engines tell of themselves."""
EXPIRE_S = 1.0

log = EventLog(__name__)


class Hub:
    """All that workers are to know, and who they are."""

    def __init__(
        self,
        caches: Callable[[], Iterable[Sequence[Stored]]] = lambda: (),
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`caches` tells all that is in engines' caches, one endpoint after the other."""
        self._caches = caches
        self._clock = clock
        self._members = Members({})
        self._looks: dict[str, Look] = {}
        self._flights = Flights()
        self._peers: dict[Peer, None] = {}

    def tell_members(self, members: Members) -> None:
        """Tell everybody, and whoever comes later."""
        self._members = members
        known = {each.endpoint for pool in members.pools.values() for each in pool}
        for gone in self._looks.keys() - known:
            del self._looks[gone]
        self._send(frame(members))

    def tell_looks(self, looks: Sequence[Look]) -> None:
        self._looks.update((look.endpoint, look) for look in looks)
        if self._peers:
            self._send(frame(Looks(tuple(looks))))

    def tell_stored(self, stored: Stored) -> None:
        if self._peers:
            self._send(frame(stored))

    def join(self, peer: "Peer") -> None:
        self._peers[peer] = None

    def leave(self, peer: "Peer") -> None:
        self._peers.pop(peer, None)

    def everything(self) -> Iterator[bytes]:
        """Write all there is, in pieces. Members, looks and picks are of now, caches of the moment when
        each is reached: news of one that was sent earlier does no harm, because it is told whole."""
        yield b"".join([frame(message) for message in self._most()])
        for stored in self._caches():
            yield b"".join([frame(each) for each in stored])

    def _most(self) -> Iterator[Message]:
        yield self._members
        looks = tuple(self._looks.values())
        for start in range(0, len(looks), AT_ONCE):
            yield Looks(looks[start : start + AT_ONCE])
        yield from self._flights

    def hear(self, told: Iterable[tuple[messages.Any, bytes]], teller: "Peer") -> None:
        """Pass on what a worker says. Raises: FrameError when that is not for workers to say."""
        news = [raw for message, raw in told if self._is_news(message)]
        if news:
            self._send(b"".join(news), but=teller)

    def _is_news(self, message: messages.Any) -> bool:
        now = self._clock()
        match message:
            case Picked(key, blocks=blocks):
                # Its end may have overtaken it: what it has left in a cache is news all the same.
                over = bool(blocks) and self._flights.has_ended(key)
                return self._flights.pick(message, now) or over
            case Ended():
                self._flights.end(message.key, now)
            case Used():
                pass
            case Running():
                self._flights.renew(message.key, now)
            case Members() | Looks() | Stored():
                raise FrameError("workers do not tell that")
        return True

    def _send(self, piece: bytes, but: "Peer | None" = None) -> None:
        for peer in [*self._peers]:
            if peer is not but:
                peer.send(piece)

    @asynccontextmanager
    async def serving(self, path: Path) -> AsyncGenerator[None]:
        """Listen there inside the block. Raises: OSError."""
        loop = asyncio.get_running_loop()
        # Bound under another name: nobody sees a socket that anybody may connect to.
        draft = path.with_name("watch.new")
        draft.unlink(missing_ok=True)
        server = await loop.create_unix_server(lambda: Peer(self), str(draft))
        draft.chmod(0o600)
        draft.replace(path)
        try:
            async with asyncio.TaskGroup() as tasks:
                expiring = tasks.create_task(self._expire())
                yield
                expiring.cancel()
        finally:
            server.close()
            for peer in [*self._peers]:
                peer.close()
            path.unlink(missing_ok=True)

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(EXPIRE_S)
            self._flights.expire(self._clock())


class Peer(asyncio.Protocol):
    """One connection: a worker, or somebody who only listens."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._frames = Frames()
        self._transport: asyncio.Transport | None = None
        self._first: Iterator[bytes] = iter(())
        self._full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its type
        self._hub.join(self)
        self._first = self._hub.everything()
        self._tell_first()

    def data_received(self, data: bytes) -> None:
        try:
            self._hub.hear(self._frames.feed(data), self)
        except FrameError as fault:
            self._cut(str(fault))

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._tell_first()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None
        self._first = iter(())
        self._hub.leave(self)

    def send(self, piece: bytes) -> None:
        if (transport := self._transport) is None:
            return
        if transport.get_write_buffer_size() > BEHIND_BYTES:
            self._cut("it reads too slowly")
            return
        transport.write(piece)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _tell_first(self) -> None:
        """Go on telling all there is, for as long as the other side reads."""
        while not self._full and (piece := next(self._first, None)) is not None:
            self.send(piece)

    def _cut(self, reason: str) -> None:
        if self._transport is not None:
            log.warning(Event.WATCH_PEER_CUT, reason=reason)
            self._hub.leave(self)
            self._transport.abort()
            self._transport = None
