"""A small HTTP/1.1 client for one endpoint: GET, one at a time, on a connection that stays open.

Metrics are read some thousand times a second, and aiohttp takes four times as much CPU for each (51 us and 13,
58 kB on loopback).
"""

import asyncio
from dataclasses import dataclass
from typing import Final, cast

MAX_BYTES: Final = 2 * 1024 * 1024
"""Of one answer. vLLM's metrics are some 100 kB."""
MAX_HEAD_BYTES: Final = 16 * 1024


class HttpError(Exception):
    """The answer is no HTTP, too long, or was cut off."""


class TooLongError(HttpError):
    """It is an answer, and longer than what is read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came."""

    status: int
    body: bytes


class Reading:
    """One answer as its bytes arrive. Pure."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._chunks: list[bytes] = []
        """Of a body in chunks, those that are whole; `_pieces` are what follows."""
        self._size = 0
        self._status = 0
        self._length: int | None = None
        self._chunked = False
        self.keeps = True
        """Whether another request may follow on this connection."""

    def feed(self, piece: bytes) -> Answer | None:
        """Take more; return the answer when it is whole. Raises: HttpError."""
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > MAX_BYTES + MAX_HEAD_BYTES:
            raise TooLongError
        if not self._status and not self._read_head():
            return None
        if self._chunked:
            return self._read_chunks()
        if self._length is None or self._size < self._length:
            return None
        body = self._join()
        self.keeps &= self._size == self._length
        return Answer(self._status, body[: self._length])

    def end(self) -> Answer:
        """The connection was closed: for an answer without a length, that is its end. Raises:
        HttpError."""
        if not self._status or self._length is not None or self._chunked:
            raise HttpError("it was cut off")
        self.keeps = False
        return Answer(self._status, self._join())

    def _join(self) -> bytes:
        if len(self._pieces) > 1:
            self._pieces = [b"".join(self._pieces)]
        return self._pieces[0]

    def _read_head(self) -> bool:
        whole = self._join()
        head, found, body = whole.partition(b"\r\n\r\n")
        if not found:
            if len(whole) > MAX_HEAD_BYTES:
                raise HttpError("its head is too long")
            return False
        first, *lines = head.split(b"\r\n")
        words = first.split(b" ", 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
            raise HttpError("it is no HTTP")
        self._status = int(words[1])
        self.keeps = words[0] != b"HTTP/1.0"
        for line in lines:
            name, _, value = line.partition(b":")
            self._note(name.strip().lower(), value.strip().lower())
        if self._status in (204, 304):
            self._length = 0
        self._pieces, self._size = [body], len(body)
        return True

    def _note(self, name: bytes, value: bytes) -> None:
        if name == b"content-length":
            if not value.isdigit():
                raise HttpError("a length that is no number")
            if len(value) > 9 or int(value) > MAX_BYTES:
                raise TooLongError
            self._length = int(value)
        elif name == b"transfer-encoding":
            self._chunked = value == b"chunked"
        elif name == b"connection" and value == b"close":
            self.keeps = False

    def _read_chunks(self) -> Answer | None:
        whole, at = self._join(), 0
        while (end := whole.find(b"\r\n", at)) >= 0:
            try:
                size = int(whole[at:end].partition(b";")[0], 16)
            except ValueError:
                raise HttpError("a chunk without a size") from None
            start = end + 2
            if size == 0 and whole.endswith(b"\r\n\r\n", end):
                return Answer(self._status, b"".join(self._chunks))
            if size <= 0 or len(whole) < start + size + 2:
                break
            self._chunks.append(whole[start : start + size])
            at = start + size + 2
        self._pieces = [whole[at:]]
        return None


class Connection(asyncio.Protocol):
    """One connection, for as long as it lasts."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._reading: Reading | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self.heard = False
        """Whether anything has come since the last request."""

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    async def ask(self, request: bytes) -> Answer:
        """Send a request and wait for its answer. Raises: OSError, HttpError."""
        if self._transport is None:
            raise ConnectionResetError
        reading = self._reading = Reading()
        self._waiting = asyncio.get_running_loop().create_future()
        self.heard = False
        self._transport.write(request)
        keeps = False
        try:
            answer = await self._waiting
            keeps = reading.keeps
        finally:
            self._waiting = self._reading = None
            if not keeps:
                self.close()
        return answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its type

    def data_received(self, data: bytes) -> None:
        reading, waiting = self._reading, self._waiting
        if reading is None or waiting is None or waiting.done():
            self.close()  # nobody has asked
            return
        self.heard = True
        try:
            if (answer := reading.feed(data)) is not None:
                waiting.set_result(answer)
        except HttpError as fault:
            waiting.set_exception(fault)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        reading, waiting = self._reading, self._waiting
        if reading is None or waiting is None or waiting.done():
            return
        try:
            waiting.set_result(reading.end())
        except HttpError as fault:
            waiting.set_exception(exc or fault)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()
            self._transport = None


class Client:
    """Asks one endpoint, on a connection that is opened when it is needed."""

    def __init__(self, endpoint: str) -> None:
        """`endpoint` is `ip:port`, or `[ipv6]:port`."""
        host, _, port = endpoint.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._endpoint = endpoint
        self._connection: Connection | None = None

    async def get(self, target: str) -> Answer:
        """Ask for a path. Cancelling it closes the connection.

        Raises:
            ConnectionRefusedError, OSError, HttpError: There is no answer.
        """
        request = self._write(target, "keep-alive")
        open_ = self._connection
        if open_ is not None and open_.is_open:
            try:
                return await open_.ask(request)
            except (HttpError, OSError):
                if open_.heard:
                    raise
                # It was closed from the other side while it was idle.
        self._connection = await self._connect()
        return await self._connection.ask(request)

    async def knock(self, target: str) -> Answer:
        """Ask on a connection of its own: whether it still accepts any. Raises: OSError, HttpError."""
        fresh = await self._connect()
        try:
            return await fresh.ask(self._write(target, "close"))
        finally:
            fresh.close()

    async def _connect(self) -> Connection:
        fresh = Connection()
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: fresh, self._host, self._port)
        return fresh

    def _write(self, target: str, connection: str) -> bytes:
        head = f"GET {target} HTTP/1.1\r\nHost: {self._endpoint}\r\nConnection: {connection}"
        return f"{head}\r\n\r\n".encode()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
