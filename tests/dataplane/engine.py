"""A double of an engine: a bare HTTP/1.1 server that sends exactly the bytes it is told to, piece by piece."""

import asyncio
import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self


@dataclass
class Answer:
    """What to send: each piece is one write, and one HTTP chunk unless `is_sized`."""

    pieces: Sequence[bytes] = (b"{}",)
    content_type: str = "application/json"
    status: int = 200
    is_sized: bool = False
    headers_pause_s: float = 0.0
    """Before the headers."""
    first_pause_s: float = 0.0
    """Between the headers and the first piece."""
    pause_s: float = 0.0
    steps: asyncio.Semaphore | None = None
    """Taken once for each piece, before it is sent: whoever asks says how far it goes."""
    is_cut: bool = False
    """Closes the connection instead of ending the body; with no pieces, instead of answering."""


@dataclass
class Engine:
    """Answers every request with `answer`; without one, with what it received, as JSON."""

    answer: Answer | None = None
    requests: list[dict[str, object]] = field(default_factory=list)
    port: int = 0
    socket: Path | None = None
    """A unix socket to listen on instead: then it is a sidecar."""
    tls: ssl.SSLContext | None = None
    bodies: list[bytes] = field(default_factory=list)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        if self.socket:
            self.server = await asyncio.start_unix_server(self.serve, self.socket)
            return self
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        for writer in self.writers:
            writer.close()
        await self.server.wait_closed()

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                request_line, *lines = head.decode("latin-1").split("\r\n")[:-2]
                pairs = [line.split(": ", 1) for line in lines]
                headers = [(name.lower(), value) for name, value in pairs]
                body = await self.read_body(reader, dict(headers))
                path = request_line.split(" ")[1]
                if path == "/health":
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    continue
                request = {"line": request_line, "headers": dict(headers), "bytes": len(body)}
                self.requests.append(request)
                self.bodies.append(body)
                answer = self.answer or Answer([json.dumps(request).encode()])
                if answer.is_cut and not answer.pieces:
                    break
                await self.send(writer, answer)
                if answer.is_cut:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()

    async def read_body(self, reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
        if "transfer-encoding" not in headers:
            return await reader.readexactly(int(headers.get("content-length", 0)))
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size + 2)
        await reader.readline()
        return body

    async def send(self, writer: asyncio.StreamWriter, answer: Answer) -> None:
        await asyncio.sleep(answer.headers_pause_s)
        size = sum(map(len, answer.pieces))
        framing = f"content-length: {size}" if answer.is_sized else "transfer-encoding: chunked"
        writer.write(
            f"HTTP/1.1 {answer.status} X\r\ncontent-type: {answer.content_type}\r\n"
            f"{framing}\r\n\r\n".encode()
        )
        await writer.drain()
        await asyncio.sleep(answer.first_pause_s)
        for piece in answer.pieces:
            if answer.steps:
                await answer.steps.acquire()
            writer.write(piece if answer.is_sized else b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
            await asyncio.sleep(answer.pause_s)
        if not answer.is_sized and not answer.is_cut:
            writer.write(b"0\r\n\r\n")
            await writer.drain()
