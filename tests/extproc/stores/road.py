"""A proxy in front of a server: it may hold up replies, and may speak TLS."""

import asyncio
from contextlib import asynccontextmanager


class Road:
    """`delay_s` may be changed under way."""

    def __init__(self, target):
        self.target = target
        self.delay_s = 0.0
        self.travellers = set()

    async def serve(self, reader, writer):
        self.travellers.add(asyncio.current_task())
        inner_reader, inner_writer = await asyncio.open_unix_connection(str(self.target))
        await asyncio.gather(
            self.pump(reader, inner_writer, lambda: 0.0),
            self.pump(inner_reader, writer, lambda: self.delay_s),
        )

    async def pump(self, reader, writer, delay_s):
        try:
            while data := await reader.read(65536):
                await asyncio.sleep(delay_s())
                writer.write(data)
        except OSError:
            pass  # the other side has gone, which is how these connections end
        finally:
            writer.close()

    async def close(self):
        for traveller in self.travellers:
            traveller.cancel()
        await asyncio.gather(*self.travellers, return_exceptions=True)


@asynccontextmanager
async def road_to(target, path):
    """A road from one unix socket to another."""
    road = Road(target)
    server = await asyncio.start_unix_server(road.serve, str(path))
    try:
        yield road
    finally:
        server.close()
        await road.close()
        await server.wait_closed()


@asynccontextmanager
async def tls_road_to(target, context):
    """A road from a port, which it yields, to a unix socket."""
    road = Road(target)
    server = await asyncio.start_server(road.serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await road.close()
        await server.wait_closed()
