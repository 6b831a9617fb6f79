"""Where calls come in: a unix socket or a TCP port, and the drain."""

import asyncio
import socket
import ssl
from collections.abc import Iterable
from pathlib import Path

from extproc.rpc.connection import Connection, Methods

BACKLOG = 1024
CLOSE_S = 1.0
"""For a peer to read the last bytes; it is on the same machine or near."""

UNIX = "unix:"

KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)
"""A peer that vanished without a word is found within 60 s, as clients and engines are (docs/dataplane.md).
Its calls would wait for ever, and hold what they had read of their bodies."""


class Listener:
    """Serves `methods`; `most_bytes` bounds a message; `tls` is for TCP."""

    def __init__(
        self, methods: Methods, most_bytes: int, tls: ssl.SSLContext | None = None
    ) -> None:
        self._methods = methods
        self._most_bytes = most_bytes
        self._tls = tls
        self._connections: set[Connection] = set()
        self._server: asyncio.AbstractServer | None = None
        self._path: Path | None = None

    async def start(self, listen: str) -> int:
        """Listen on `unix:PATH` or `host:port`. Return the port, for TCP.

        Raises:
            RuntimeError: It is taken, or cannot be.
        """
        try:
            return await self._listen(listen)
        except OSError as exc:
            raise RuntimeError(f"cannot listen on {listen}: {exc}") from exc

    async def _listen(self, listen: str) -> int:
        loop = asyncio.get_running_loop()
        if listen.startswith(UNIX):
            path = listen.removeprefix(UNIX)
            await check_free(path)
            self._path = Path(path)
            self._server = await loop.create_unix_server(self._connect, path, backlog=BACKLOG)
            return 0
        host, _, port = listen.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        server = await loop.create_server(
            self._connect, host or None, int(port), backlog=BACKLOG, ssl=self._tls
        )
        self._server = server
        for each in server.sockets:
            for option in KEEPALIVE:  # connections inherit it (Linux)
                each.setsockopt(*option)
        bound: int = server.sockets[0].getsockname()[1]
        return bound

    def _connect(self) -> Connection:
        return Connection(self._methods, self._most_bytes, self._connections)

    async def drain(self, grace_s: float) -> None:
        """Take no new connection, and let open calls finish for `grace_s` at most."""
        if self._server is not None:
            self._server.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        for connection in self._connections:
            connection.retire()
        await finish(self._connections, grace_s)
        for connection in tuple(self._connections):
            connection.close()
        await gone(self._connections, CLOSE_S)
        for connection in tuple(self._connections):
            connection.abort()
        await gone(self._connections, CLOSE_S)
        if self._server is not None:
            await self._server.wait_closed()


async def finish(connections: Iterable[Connection], grace_s: float) -> None:
    """Wait for the calls, those too that begin while we wait."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + grace_s
    while open_calls := [
        call.task for each in connections for call in each.calls.values() if call.task is not None
    ]:
        left_s = until_s - loop.time()
        if left_s <= 0:
            return
        await asyncio.wait(open_calls, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)


async def gone(connections: Iterable[Connection], wait_s: float) -> None:
    if lost := [each.lost for each in connections]:
        await asyncio.wait(lost, timeout=wait_s)


async def check_free(path: str) -> None:
    """See that nobody listens on a unix socket: it would be taken over without a word.

    Raises:
        RuntimeError: Somebody does.
    """
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return  # not there, or left behind by a process that is gone
    writer.close()
    raise RuntimeError(f"another process listens on {path}")
