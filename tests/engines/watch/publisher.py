"""An engine's publisher of KV events, as vLLM's behaves, on real sockets: PUB, and ROUTER for replays."""

import asyncio
from contextlib import asynccontextmanager, closing

import zmq

from engines.watch.kv import BlockStored, pack
from extproc.cli.preflight import free_port
from tests.engines.watch.waiting import until


class Publisher:
    """`keep` batches can be asked for again; while `deaf`, batches are kept but not sent."""

    def __init__(self, context, keep=100):
        self.context, self.keep, self.deaf, self.asked = context, keep, False, []
        self.begin(free_port(), free_port())

    def begin(self, *ports):
        self.pub, self.router = self.context.socket(zmq.PUB), self.context.socket(zmq.ROUTER)
        self.buffer, self.next = [], 0
        for socket, port in zip((self.pub, self.router), ports, strict=True):
            socket.setsockopt(zmq.LINGER, 0)
            socket.bind(f"tcp://127.0.0.1:{port}")

    async def restart(self):
        """Begin again with nothing, on the same ports: they are free a moment after they are closed."""
        ports = self.ports
        self.close()

        def begins():
            try:
                self.begin(*ports)
            except zmq.ZMQError:
                self.close()
                return False
            return True

        await until(begins)

    @property
    def ports(self):
        return tuple(
            int(s.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2])
            for s in (self.pub, self.router)
        )

    def publish(self, *events):
        self.send(pack(events))

    def send(self, payload):
        number, self.next = self.next, self.next + 1
        self.buffer = [*self.buffer, (number, payload)][-self.keep :]
        if not self.deaf:
            self.pub.send_multipart([b"kv@tiny", number.to_bytes(8, "big"), payload])

    def store(self, first, *hashes):
        """Blocks of four tokens from that on, each a chain of its own."""
        for number, each in enumerate(hashes):
            start = first + 4 * number
            self.publish(BlockStored([each], None, [*range(start, start + 4)], 4, medium="GPU"))

    async def serve(self):
        while True:
            while not self.router.closed and self.router.poll(0):
                client, _, start = self.router.recv_multipart()
                self.asked.append(int.from_bytes(start, "big"))
                for number, payload in self.buffer:
                    if number >= self.asked[-1]:
                        parts = [client, b"", b"kv@tiny", number.to_bytes(8, "big"), payload]
                        self.router.send_multipart(parts)
                self.router.send_multipart([client, b"", b"", b"\xff" * 8, b""])
            await asyncio.sleep(0.005)

    def close(self):
        self.pub.close()
        self.router.close()


@asynccontextmanager
async def publishing(**options):
    context = zmq.Context()
    try:
        with closing(Publisher(context, **options)) as publisher:
            async with asyncio.TaskGroup() as tasks:
                serving = tasks.create_task(publisher.serve())
                yield publisher
                serving.cancel()
    finally:
        context.destroy(linger=0)
