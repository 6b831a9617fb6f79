"""One connection, against a server that says what a test wants."""

import asyncio
from contextlib import asynccontextmanager

import hiredis
import pytest

from extproc.errors import CountersFaultError
from extproc.stores.redis_wire import MOST_WAITING, LostError, Wire


class Script:
    """A server: keeps what it gets, and sends what it is told to."""

    def __init__(self):
        self.got = b""
        self.came = asyncio.Event()

    async def serve(self, reader, writer):
        self.writer = writer
        self.came.set()
        while data := await reader.read(65536):
            self.got += data
        writer.close()

    def say(self, data):
        self.writer.write(data)


@asynccontextmanager
async def wired(tmp_path, make=Wire):
    script = Script()
    path = str(tmp_path / "s")
    server = await asyncio.start_unix_server(script.serve, path)
    _, wire = await asyncio.get_running_loop().create_unix_connection(make, path)
    await script.came.wait()
    try:
        yield script, wire
    finally:
        wire.close()
        script.writer.close()
        server.close()
        await server.wait_closed()


async def test_replies_come_in_order_however_they_are_cut(tmp_path):
    async with wired(tmp_path) as (script, wire):
        calls = [wire.call(("GET", name), 5) for name in ("a", b"\xff", "\u00e9")]
        for byte in b"$2\r\nhi\r\n:7\r\n-ERR no\r\n":
            script.say(bytes([byte]))
            await asyncio.sleep(0)
        first, second, third = await asyncio.gather(*calls)
        assert (first, second) == (b"hi", 7)
        assert isinstance(third, hiredis.ReplyError)
        assert script.got.startswith(b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n")


async def test_a_late_reply_is_dropped_and_the_next_is_right(tmp_path):
    async with wired(tmp_path) as (script, wire):
        late = wire.call(("GET", "a"), 0.01)
        with pytest.raises(CountersFaultError, match="no answer in time"):
            await late
        gone = wire.call(("GET", "b"), 5)
        gone.cancel()
        third = wire.call(("GET", "c"), 5)
        script.say(b"+late\r\n+cancelled\r\n+right\r\n")
        assert await third == b"right"


async def test_each_has_its_own_deadline(tmp_path):
    async with wired(tmp_path) as (script, wire):
        short, long = wire.call(("GET", "a"), 0.01), wire.call(("GET", "b"), 5)
        with pytest.raises(CountersFaultError):
            await short
        script.say(b"+1\r\n+2\r\n")
        assert await long == b"2"


async def test_when_it_ends_all_hear_of_it(tmp_path):
    async with wired(tmp_path) as (script, wire):
        call = wire.call(("GET", "a"), 5)
        script.writer.close()
        with pytest.raises(LostError, match="has ended"):
            await call
        await wire.lost
        with pytest.raises(LostError):
            wire.call(("GET", "b"), 5)


@pytest.mark.parametrize("noise", [b"?what\r\n", b"+nobody asked\r\n+for this\r\n"])
async def test_noise_ends_it(tmp_path, noise):
    async with wired(tmp_path) as (script, wire):
        script.say(noise)
        async with asyncio.timeout(5):
            await wire.lost


async def test_a_server_that_hangs_is_left(tmp_path):
    async with wired(tmp_path, lambda: Wire(hung_s=0.03)) as (_, wire):
        with pytest.raises(CountersFaultError):
            await wire.call(("GET", "a"), 0.01)
        async with asyncio.timeout(5):
            await wire.lost


async def test_not_too_many_wait(tmp_path):
    async with wired(tmp_path) as (_, wire):
        calls = [wire.call(("PING",), 30) for _ in range(MOST_WAITING)]
        with pytest.raises(CountersFaultError, match="too many"):
            wire.call(("PING",), 30)
        for call in calls:
            call.cancel()
