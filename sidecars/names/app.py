"""What is asked over HTTP.

    POST /find    {"texts": ["Ask Mona Lee"], "types": ["person"]}
    200           {"findings": [[{"type": "person", "start": 4, "end": 12}]]}
    GET /health   200

Models hold the processor, so one request is read at a time, piece by piece; one whose client has left is
dropped between two pieces.
"""

import asyncio
import hmac
from collections.abc import Sequence
from functools import partial

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sidecars.names.reader import Reader, split
from sidecars.names.span import Span

MOST_BYTES = 8 * 1024 * 1024
"""Of a request's body. A gateway lets its clients send twice as much, which would take minutes to read."""
MOST_WAITING = 32
"""Requests that are read or wait for it. The next one is told at once that it would be too late."""


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """What a client asks."""

    texts: list[str]
    types: tuple[str, ...] = ("person", "organization")


class Found(msgspec.Struct):
    """What it is told: one list for each text."""

    findings: list[list[Span]]


class Service:
    """Answers, one request after the other."""

    def __init__(self, reader: Reader, token: str = "") -> None:
        """`token`: what clients must send as `Authorization: Bearer`; none: all may ask."""
        self._reader = reader
        self._token = f"Bearer {token}".encode() if token else b""
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def find(self, request: Request) -> Response:
        if self._token and not hmac.compare_digest(
            request.headers.get("authorization", "").encode(), self._token
        ):
            return refuse(401, "the bearer token is missing or wrong")
        if self._waiting >= MOST_WAITING:
            return refuse(503, f"{MOST_WAITING} requests wait already")
        self._waiting += 1
        try:
            question = msgspec.json.decode(await read_body(request), type=Question)
            async with self._turn:
                findings = await self._read(request, question)
        except OverflowError as fault:
            return refuse(413, str(fault))
        except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
            return refuse(400, str(fault))
        finally:
            self._waiting -= 1
        if findings is None:
            return Response(status_code=499)  # nobody reads it
        return Response(msgspec.json.encode(Found(findings)), media_type="application/json")

    async def _read(self, request: Request, question: Question) -> list[list[Span]] | None:
        """Find in all texts; None when the client has left."""
        types = frozenset(question.types)
        findings: list[list[Span]] = []
        for text in question.texts:
            found: list[Span] = []
            for start, piece in split(text):
                if await request.is_disconnected():
                    return None
                spans = await self._spans(piece)
                found += [span.moved(start) for span in spans if span.type in types]
            findings.append(found)
        return findings

    async def _spans(self, piece: str) -> Sequence[Span]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, partial(self._reader.find, piece))


def make_app(reader: Reader, token: str = "") -> Starlette:
    service = Service(reader, token)
    return Starlette(
        routes=[
            Route("/find", service.find, methods=["POST"]),
            Route("/health", is_well, methods=["GET"]),
        ]
    )


async def is_well(_request: Request) -> Response:
    return Response(b"ok\n", media_type="text/plain")


async def read_body(request: Request) -> bytes:
    """Raises: OverflowError: It is too long."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise OverflowError(f"the body is longer than {MOST_BYTES} bytes")
    return bytes(body)


def refuse(status: int, message: str) -> Response:
    return Response(
        msgspec.json.encode({"error": {"message": message}}), status, media_type="application/json"
    )
