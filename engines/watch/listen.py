"""Hears one engine's KV events: a SUB socket for what is published, a DEALER for what is asked for again.

The sockets are plain ones, read when the event loop says that there is something: 500 of them as asyncio
tasks would cost more than what they hear.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
import zmq

from engines.watch.kv import Cache
from engines.watch.order import Apply, Ask, Clear, Order, Step

AT_ONCE: Final = 64
"""Messages read before others get their turn: some 5 ms."""
HIGH_WATER: Final = 10_000
"""Messages that wait in a socket; beyond them they are lost, and asked for again."""
MOST_BYTES: Final = 32 * 1024 * 1024
"""Of one message: a batch of a million tokens has 5 MB."""
REPLAY_S: Final = 5.0
"""How long one answer may take; what has come by then counts."""
NONSENSE: Final = (msgspec.MsgspecError, UnicodeDecodeError, OverflowError, RecursionError)
END: Final = (-1).to_bytes(8, "big", signed=True)
"""The number of the last message of a replay."""


class Listener:
    """Keeps one cache. `open` begins, `close` ends it."""

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        cache: Cache,
        events: str,
        replay: str,
        count: Callable[[str, int], None] = lambda _how, _batches: None,
    ) -> None:
        """`events` and `replay` are addresses as ZMQ writes them; `replay` may be empty. `count` hears of
        batches that came `live`, were `replayed` or `lost`."""
        self._context = context
        self._cache = cache
        self._events, self._replay = events, replay
        self._count = count
        self._order = Order(replays=bool(replay))
        self._sub: zmq.Socket[bytes] | None = None
        self._dealer: zmq.Socket[bytes] | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Subscribe, and ask for what happened before."""
        self.resync()

    def resync(self) -> None:
        """Begin anew: the engine may have been started again."""
        if self._sub is None:
            self._subscribe()
        self._do(self._order.begin())

    def close(self) -> None:
        self._hang_up()
        if self._sub is not None:
            asyncio.get_running_loop().remove_reader(self._sub.fileno())
            self._sub.close(linger=0)
            self._sub = None

    def _subscribe(self) -> None:
        try:
            self._sub = self._connect(zmq.SUB, self._events)
        except zmq.ZMQError:  # no descriptor is left: looks must go on all the same
            self._count("lost", 1)
            return
        self._sub.subscribe(b"")
        self._read_on(self._sub, self._hear)

    def _connect(self, kind: int, address: str) -> "zmq.Socket[bytes]":
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.RCVHWM, HIGH_WATER)
        socket.setsockopt(zmq.MAXMSGSIZE, MOST_BYTES)
        socket.setsockopt(zmq.IPV6, 1)
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(address)
        return socket

    def _read_on(self, socket: "zmq.Socket[bytes]", hear: Callable[[], None]) -> None:
        """Call `hear` whenever there may be something to read; and once now, because the descriptor only
        tells of changes."""
        loop = asyncio.get_running_loop()
        loop.add_reader(socket.fileno(), hear)
        loop.call_soon(hear)

    def _hear(self) -> None:
        if self._sub is not None:
            for _, number, payload in self._receive(self._sub, 3, self._hear):
                self._do(self._order.live(int.from_bytes(number, "big"), payload))

    def _hear_again(self) -> None:
        if (dealer := self._dealer) is None:
            return
        for _, _, number, payload in self._receive(dealer, 4, self._hear_again):
            if self._dealer is not dealer:
                return  # a later question has been asked
            if number == END:
                self._end_replay()
                return
            self._do(self._order.replayed(int.from_bytes(number, "big"), payload))

    def _receive(
        self, socket: "zmq.Socket[bytes]", parts: int, hear: Callable[[], None]
    ) -> Iterable[list[bytes]]:
        for _ in range(AT_ONCE):
            if socket.closed:
                return
            try:
                message = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            if len(message) == parts and len(message[-2]) == 8:
                yield message
        asyncio.get_running_loop().call_soon(hear)

    def _do(self, steps: Iterable[Step]) -> None:
        for step in steps:
            match step:
                case Clear(lost):
                    self._cache.clear()
                    self._count("lost", lost)
                case Ask(start):
                    self._ask(start)
                case Apply(payload, how):
                    try:
                        self._cache.apply(payload)
                    except NONSENSE:
                        self._cache.clear()  # whatever it said, we do not know it
                        self._count("lost", 1)
                    else:
                        self._count(how, 1)

    def _ask(self, start: int) -> None:
        self._hang_up()
        try:
            self._dealer = self._connect(zmq.DEALER, self._replay)
        except zmq.ZMQError:  # no descriptor is left: what was missed is lost
            self._end_replay()
            return
        # An empty first part, as a REQ socket would send it.
        self._dealer.send_multipart([b"", start.to_bytes(8, "big")], zmq.NOBLOCK)
        self._read_on(self._dealer, self._hear_again)
        self._deadline = asyncio.get_running_loop().call_later(REPLAY_S, self._end_replay)

    def _end_replay(self) -> None:
        self._hang_up()
        self._do(self._order.ended())

    def _hang_up(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._dealer is not None:
            asyncio.get_running_loop().remove_reader(self._dealer.fileno())
            self._dealer.close(linger=0)
            self._dealer = None
