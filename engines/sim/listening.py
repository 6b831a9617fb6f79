"""The port: every connection that waits is accepted in the same turn of the loop.

uvloop's libuv accepts one per turn (https://github.com/libuv/libuv/pull/3696). With a thousand streams a
turn is long, some 50 ms when they all have a token to send, and connections then come in at 20 per
second: of 2 000 clients that arrive together the last waits for three quarters of a minute.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

ACCEPTED_PER_TURN = 256
"""At most. Then it is the turn of streams that run."""

Address = tuple[str, int]


@asynccontextmanager
async def listening(
    protocol: Callable[[], asyncio.Protocol], host: str, port: int, backlog: int
) -> AsyncGenerator[Address]:
    """Listen, and say where. Connections that are open outlive it. Raises: OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    with socket.create_server(address, family=family, backlog=backlog) as door:
        door.setblocking(False)
        async with asyncio.TaskGroup() as group:

            def accept() -> None:
                with suppress(OSError):  # nobody waits any more, or has left, or there are too many
                    for _ in range(ACCEPTED_PER_TURN):
                        group.create_task(_greet(protocol, door.accept()[0]))

            loop.add_reader(door, accept)
            try:
                yield door.getsockname()[:2]
            finally:
                loop.remove_reader(door)


async def _greet(protocol: Callable[[], asyncio.Protocol], met: socket.socket) -> None:
    """Hand one connection over to the protocol. One that has gone by then is no matter."""
    met.setblocking(False)
    try:
        await asyncio.get_running_loop().connect_accepted_socket(protocol, met)
    except OSError:
        met.close()
