"""KV events over ZMQ: what vLLM's publisher sends, and its replay of what was missed.

PUB, three frames: topic, sequence number (8 bytes, big end first), msgpack of
`[timestamp, [events], data_parallel_rank]`. ROUTER: whoever sends a number gets all batches from it
on that are still remembered, each as (empty, topic, number, batch), and at the end number -1.
"""

import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import msgspec
import zmq
import zmq.asyncio

from engines.sim.stored import CacheEvent

REMEMBERED_BATCHES = 10_000
"""vLLM's default."""
HIGH_WATER_BATCHES = 100_000
"""vLLM's default: a subscriber that is so far behind loses the rest."""
END = (-1).to_bytes(8, "big", signed=True)


class Publisher:
    """Bound to a host for as long as it is open; port 0 takes a free one."""

    def __init__(self, host: str, port: int, replay_port: int | None, topic: str = "") -> None:
        self._topic = topic.encode()
        self._encoder = msgspec.msgpack.Encoder()
        self._sequence = 0
        self._sent: deque[tuple[int, bytes]] = deque(maxlen=REMEMBERED_BATCHES)
        self._context = zmq.Context()
        self._pub = self._context.socket(zmq.PUB)
        self._pub.set_hwm(HIGH_WATER_BATCHES)
        self._pub.linger = 0
        self.port = _bind(self._pub, host, port)
        self._replay: zmq.asyncio.Socket | None = None
        self.replay_port: int | None = None
        if replay_port is not None:
            self._replay = zmq.asyncio.Context(self._context).socket(zmq.ROUTER)
            self._replay.linger = 0
            self.replay_port = _bind(self._replay, host, replay_port)

    def publish(self, events: Sequence[CacheEvent]) -> None:
        """Send a batch; nothing is sent for none."""
        if not events:
            return
        batch = self._encoder.encode([time.time(), events, 0])
        number, self._sequence = self._sequence, self._sequence + 1
        self._sent.append((number, batch))
        with suppress(zmq.Again):
            self._pub.send_multipart(
                (self._topic, number.to_bytes(8, "big"), batch), flags=zmq.NOBLOCK
            )

    async def answer_replays(self) -> None:
        """Serve those who missed something, until cancelled."""
        if (socket := self._replay) is None:
            return
        # pyzmq writes of its parts no more than that they are a sequence.
        send: Callable[[list[bytes]], Awaitable[object]] = socket.send_multipart  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        while True:
            client, *_, asked = await socket.recv_multipart()
            if len(asked) != len(END):
                continue
            first = int.from_bytes(asked, "big")
            for number, batch in [sent for sent in self._sent if sent[0] >= first]:
                await send([client, b"", self._topic, number.to_bytes(8, "big"), batch])
            await send([client, b"", b"", END, b""])

    def close(self) -> None:
        self._pub.close()
        if self._replay is not None:
            self._replay.close()
        self._context.term()


def _bind(socket: "zmq.Socket[bytes] | zmq.asyncio.Socket", host: str, port: int) -> int:
    socket.bind(f"tcp://{host}:{port or '*'}")
    endpoint = socket.getsockopt_string(zmq.LAST_ENDPOINT)
    return int(endpoint.rpartition(":")[2])
