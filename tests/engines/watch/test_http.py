"""A small HTTP client: answers cut anyhow, and servers that misbehave."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.watch.http import MAX_BYTES, MAX_HEAD_BYTES, Answer, Client, HttpError, Reading
from tests.engines.watch.waiting import GUARD_S, until

BODY = b"a 1\nb 2\n"
WHOLE = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n" + BODY,
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na 1\r\n5;x=y\r\n\nb 2\n\r\n0\r\n\r\n",
    "trailer": b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n8\r\n" + BODY + b"\r\n0\r\nX: y\r\n\r\n",
    "empty": b"HTTP/1.1 204 No Content\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("kind", WHOLE)
@given(data=st.data())
def test_an_answer_is_the_same_however_it_is_cut(kind, data):
    reading, rest = Reading(), WHOLE[kind]
    found = None
    while rest:
        assert found is None
        size = data.draw(st.integers(1, len(rest)))
        found, rest = reading.feed(rest[:size]), rest[size:]
    assert found == (Answer(204, b"") if kind == "empty" else Answer(200, BODY))
    assert reading.keeps


def test_small_chunks_are_read_once():
    reading = Reading()
    assert reading.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n") is None
    for _ in range(2_000):  # 60 000 chunks: read again with each piece they would take a minute
        assert reading.feed(b"1\r\nx\r\n" * 30) is None
    assert reading.feed(b"0\r\n\r\n") == Answer(200, b"x" * 60_000)


@pytest.mark.parametrize(
    ("answer", "keeps"),
    [
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nmore", False),
    ],
)
def test_whether_another_request_may_follow(answer, keeps):
    reading = Reading()
    assert reading.feed(answer) is not None
    assert reading.keeps == keeps


def test_without_a_length_it_ends_with_the_connection():
    reading = Reading()
    assert reading.feed(b"HTTP/1.1 200 OK\r\n\r\na") is None
    assert reading.feed(b"b") is None
    assert reading.end() == Answer(200, b"ab")
    assert not reading.keeps


@pytest.mark.parametrize(
    "cut", [b"", b"HTTP/1.1 200 OK\r\n", WHOLE["length"][:-1], WHOLE["chunks"][:-2]]
)
def test_what_is_cut_off_is_no_answer(cut):
    reading = Reading()
    assert not cut or reading.feed(cut) is None
    with pytest.raises(HttpError):
        reading.end()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"x" * (MAX_HEAD_BYTES + 1),
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_BYTES + 1),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MAX_BYTES + MAX_HEAD_BYTES),
    ],
)  # fmt: skip
def test_what_is_no_http_or_too_long_is_refused(nonsense):
    with pytest.raises(HttpError):
        Reading().feed(nonsense)


@given(st.binary(max_size=200))
def test_garbage_raises_nothing_else(garbage):
    reading = Reading()
    try:
        reading.feed(garbage)
        reading.end()
    except HttpError:
        pass


class Server:
    """Answers each request with the next of `answers`, the last one for ever; None hangs up."""

    def __init__(self, *answers):
        self.answers, self.requests, self.connections = [*answers], [], 0

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if answer is None:
                    break
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    @asynccontextmanager
    async def run(self):
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        client = Client("127.0.0.1:{1}".format(*server.sockets[0].getsockname()))
        async with asyncio.timeout(GUARD_S):
            yield client
        client.close()
        server.close()


async def cancelled(client, when):
    """Ask, and give up once it is so, and a moment has passed in which nothing comes."""
    asking = asyncio.ensure_future(client.get("/metrics"))
    await until(when)
    await asyncio.sleep(0.02)
    assert not asking.done()
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking


async def test_one_connection_for_many_requests():
    server = Server(WHOLE["length"])
    async with server.run() as client:
        for _ in range(3):
            assert await client.get("/metrics") == Answer(200, BODY)
    assert server.connections == 1
    assert server.requests[0].startswith(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:")


async def test_a_knock_is_a_connection_of_its_own():
    server = Server(WHOLE["length"])
    async with server.run() as client:
        await client.get("/metrics")
        assert (await client.knock("/health")).status == 200
        await client.get("/metrics")
    assert server.connections == 2
    assert b"Connection: close" in server.requests[1]


async def test_a_connection_that_was_closed_while_idle_is_opened_again():
    server = Server(WHOLE["length"], None, WHOLE["length"])
    async with server.run() as client:
        await client.get("/metrics")
        assert await client.get("/metrics") == Answer(200, BODY)
    assert server.connections == 2


async def test_an_answer_that_breaks_off_is_not_asked_for_again():
    cut = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\nx"
    server = Server(WHOLE["length"], cut)
    async with server.run() as client:
        await client.get("/metrics")
        await cancelled(client, lambda: len(server.requests) == 2)
    assert len(server.requests) == 2


async def test_words_that_nobody_asked_for_end_the_connection():
    server = Server(WHOLE["length"] + WHOLE["length"])
    async with server.run() as client:
        assert await client.get("/metrics") == Answer(200, BODY)
        assert await client.get("/metrics") == Answer(200, BODY)
    assert server.connections == 2


async def test_cancelling_closes_the_connection():
    server = Server(b"")
    async with server.run() as client:
        for number in (1, 2):
            await cancelled(client, lambda number=number: server.connections == number)
    assert server.connections == 2


async def test_nobody_there():
    server = Server(b"")
    async with server.run() as client:
        pass
    with pytest.raises(OSError):  # noqa: PT011 - whatever the system calls it
        await client.get("/metrics")
