import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from math import inf

import pytest
from aiohttp import ClientConnectionResetError, ClientPayloadError, web
from aiohttp.test_utils import TestClient, TestServer

from engines.sim.faults import Fault, Kind
from engines.sim.pace import FixedPace, Stall
from engines.sim.sending import CutError, hang_up, hold, send_body, send_events

BODY = b'{"a":"0123456789"}'


async def answer_of(send: object) -> TestClient:
    """A server whose only handler is `send`; the cut is handled as the application does."""

    async def handler(http: web.Request) -> web.StreamResponse:
        try:
            return await send(http)  # type: ignore[operator]
        except CutError:
            hang_up(http)
            return web.Response()

    app = web.Application()
    app.router.add_get("/", handler)
    client = TestClient(TestServer(app))
    await client.start_server()
    return client


async def pieces_of(client: TestClient) -> tuple[list[bytes], bool]:
    """The HTTP chunks of the answer, and whether it came to its end."""
    pieces: list[bytes] = []
    ended = False
    with suppress(ClientPayloadError):
        async with client.get("/") as answer:
            piece = b""
            async for data, end_of_chunk in answer.content.iter_chunks():
                piece += data
                if end_of_chunk:
                    pieces.append(piece)
                    piece = b""
        ended = True
    await client.close()
    return pieces, ended


class Waits:
    """Steps that become due so long after they are asked for; 0 is overdue. No stall changes that."""

    def __init__(self, *waits_s: float) -> None:
        self.waits_s = waits_s

    def is_due(self, step: int) -> bool:
        return self.waits_s[step] == 0

    async def until(self, step: int) -> None:
        await asyncio.sleep(self.waits_s[step])

    def events(self) -> Iterator[tuple[int, bytes]]:
        return ((number, b"event %d\n\n" % number) for number in range(len(self.waits_s)))


def fixed(first_s: float, itl_s: float = 0.0) -> FixedPace:
    return FixedPace(first_s, itl_s, Stall())


async def test_hold_lets_pass_what_is_no_fault_of_its_own():
    await hold(None, fixed(inf))
    await hold(Fault(Kind.CUT_AFTER, 1), fixed(inf))
    with pytest.raises(CutError):
        await hold(Fault(Kind.CUT_BEFORE_HEADERS), fixed(0))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(hold(Fault(Kind.HANG), fixed(inf)), 0.02)


@pytest.mark.parametrize(
    ("waits_s", "fault", "pieces", "ended"),
    [
        ((0, 0, 0), None, [b"event 0\n\nevent 1\n\nevent 2\n\n"], True),
        ((0, 0.01, 0), None, [b"event 0\n\n", b"event 1\n\nevent 2\n\n"], True),
        ((0.01, 0.01, 0.01), None, [b"event 0\n\n", b"event 1\n\n", b"event 2\n\n"], True),
        ((0, 0, 0), Fault(Kind.CUT_AFTER_HEADERS), [], False),
        ((0, 0, 0), Fault(Kind.CUT_AFTER, 0), [], False),
        ((0, 0, 0), Fault(Kind.CUT_AFTER, 2), [b"event 0\n\nevent 1\n\n"], False),
        ((0,), Fault(Kind.DRIP, 4), [b"even", b"t 0\n", b"\n"], True),
        ((0, 0.01), Fault(Kind.DRIP, 100), [b"event 0\n\n", b"event 1\n\n"], True),
    ],
)
async def test_events(
    waits_s: tuple[float, ...], fault: Fault | None, pieces: list[bytes], *, ended: bool
):
    async def send(http: web.Request) -> web.StreamResponse:
        out = web.StreamResponse()
        await out.prepare(http)
        pace = Waits(*waits_s)
        await send_events(out, pace.events(), pace, fault)
        return out

    assert await pieces_of(await answer_of(send)) == (pieces, ended)


async def test_a_stream_keeps_its_plan_though_every_timer_is_late():
    async def send(http: web.Request) -> web.StreamResponse:
        out = web.StreamResponse()
        await out.prepare(http)
        # 0.2 ms apart, which is less than a timer can wait
        pace = fixed(time.monotonic(), 1 / 5000)
        await send_events(out, [(step, b"event") for step in range(500)], pace)
        return out

    started_s = time.monotonic()
    pieces, ended = await pieces_of(await answer_of(send))
    assert ended
    assert b"".join(pieces).count(b"event") == 500
    assert time.monotonic() - started_s > 0.09


async def test_many_bytes_leave_in_several_writes():
    async def send(http: web.Request) -> web.StreamResponse:
        out = web.StreamResponse()
        await out.prepare(http)
        await send_events(out, [(-1, b"x" * 10_000)] * 30, fixed(inf))
        return out

    pieces, _ = await pieces_of(await answer_of(send))
    assert sum(map(len, pieces)) == 300_000
    assert len(pieces) > 3
    assert max(map(len, pieces)) < 100_000


@pytest.mark.parametrize(
    ("fault", "received", "ended"),
    [
        (None, BODY, True),
        (Fault(Kind.SLOW), BODY, True),
        (Fault(Kind.DRIP, 1), BODY, True),
        (Fault(Kind.CUT_AFTER_HEADERS), b"", False),
        (Fault(Kind.CUT_AFTER, 4), BODY[:4], False),
    ],
)
async def test_a_body(fault: Fault | None, received: bytes, *, ended: bool):
    client = await answer_of(lambda http: send_body(http, BODY, fault))
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    await client.close()

    assert b"Content-Length: %d" % len(BODY) in head
    assert b"Content-Type: application/json" in head
    assert (body, len(body) == len(BODY)) == (received, ended)


class Left(web.StreamResponse):
    """An answer to a client that leaves after the first write."""

    written = b""

    async def write(self, data: bytes) -> None:
        if self.written:
            raise ClientConnectionResetError("Cannot write to closing transport")
        self.written += data


@pytest.mark.parametrize("fault", [None, Fault(Kind.CUT_AFTER, 3), Fault(Kind.DRIP, 1)])
async def test_a_client_that_has_left_ends_the_stream(fault: Fault | None):
    out = Left()
    with pytest.raises(CutError):
        await send_events(out, [(0, b"a"), (1, b"b"), (1, b"c")], Waits(0, 0.001), fault)
    assert out.written == b"a"
