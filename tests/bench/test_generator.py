import asyncio

import pytest

from bench.connection import LoadError
from bench.generator import Generator, Load

TRIES = 8
REQUEST = b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = b"8\r\ndata: 1\n\n\r\n".replace(b"8", b"9")
END = b"0\r\n\r\n"


class Upstream:
    """Answers each request with what `answer` writes; counts them."""

    def __init__(self, answer):
        self.answer = answer
        self.requests = 0

    async def serve(self, reader, writer):
        try:
            while await reader.readexactly(len(REQUEST)):
                self.requests += 1
                await self.answer(writer, self.requests)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()
        await self.server.wait_closed()


def load(mode, port, **more):
    fields = {"connections": 3, "warmup_s": 0.0, "seconds": 0.2, "requests": 0, "rate": 0.0}
    return Load(mode=mode, port=port, pids={}, **{**fields, **more})


async def run(answer, mode, **more):
    async with Upstream(answer) as upstream:
        return await Generator(load(mode, upstream.port, **more), REQUEST).run(), upstream


async def measured(answer, mode, what, **more):
    """Again, if the machine stood still for all the time that was measured."""
    for _ in range(TRIES):
        sample, upstream = await run(answer, mode, **more)
        if getattr(sample, what):
            break
    return sample, upstream


async def at_once(writer, _):
    writer.write(OK)


async def test_closed_measures_until_the_count_is_reached():
    sample, upstream = await run(at_once, "closed", requests=50)
    assert 50 <= sample.requests <= upstream.requests
    assert sample.requests == len(sample.latencies_us)
    assert sample.errors == 0
    assert set(sample.cpu_s) == {"load"}


async def test_closed_measures_for_a_time_and_leaves_the_warm_up_out():
    sample, upstream = await measured(at_once, "closed", "requests", warmup_s=0.1, seconds=0.1)
    assert 0 < sample.requests < upstream.requests
    assert sample.seconds >= 0.1


async def test_answers_that_are_not_200_are_errors():
    async def every_second(writer, number):
        writer.write(OK if number % 2 else BUSY)

    sample, _ = await run(every_second, "closed", requests=40, connections=1)
    assert sample.errors == sample.requests // 2


async def test_open_sends_what_is_due_and_counts_from_then():
    async def first_is_slow(writer, number):
        await asyncio.sleep(0.2 if number == 1 else 0)
        writer.write(OK)

    # One connection: what is due while the first answer is awaited has to wait, and it shows.
    sample, upstream = await run(first_is_slow, "open", rate=100, seconds=0.3, connections=1)
    assert sample.requests == upstream.requests == 30
    assert sum(latency_us > 50_000 for latency_us in sample.latencies_us) >= 10


async def test_streams_are_measured_while_all_of_them_last():
    async def slowly(writer, _):
        writer.write(STREAM_HEAD)
        for _ in range(100):
            writer.write(EVENT)
            await asyncio.sleep(0.005)
        writer.write(END)

    sample, upstream = await measured(slowly, "stream", "events", seconds=0.1)
    assert upstream.requests == 3
    assert 0 < sample.events < 300
    assert sample.reads <= sample.events
    assert sample.requests == 0


async def test_streams_that_end_too_early_are_refused():
    async def short(writer, _):
        writer.write(STREAM_HEAD + EVENT + END)

    with pytest.raises(LoadError, match="longer"):
        await run(short, "stream")


async def test_a_connection_that_is_closed_ends_the_run():
    async def hang_up(writer, _):
        writer.close()

    with pytest.raises(LoadError, match="closed a connection"):
        await run(hang_up, "closed")


async def test_an_answer_that_is_none_ends_the_run():
    async def wrong(writer, _):
        writer.write(b"ICY 200 OK\r\n\r\n")

    with pytest.raises(LoadError, match="not an HTTP"):
        await run(wrong, "closed")


async def test_idle_sends_nothing():
    sample, upstream = await run(at_once, "idle", connections=0, seconds=0.05)
    assert upstream.requests == sample.requests == 0
    assert sample.seconds >= 0.05
