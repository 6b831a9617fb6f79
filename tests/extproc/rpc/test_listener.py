"""Sockets and the drain; `grpcio` is the client. More of it: tests/extproc/test_server.py."""

import asyncio
import contextlib
from pathlib import Path
from time import perf_counter

import pytest
from grpc import StatusCode, aio

from extproc.rpc.call import Method
from extproc.rpc.listener import Listener

GUARD_S = 20


class Service:
    """Echoes; `met` tells that a call is here, and `gate` lets it go on."""

    def __init__(self):
        self.gate, self.met = asyncio.Event(), asyncio.Event()
        self.gate.set()

    async def serve(self, call):
        async for message in call:
            self.met.set()
            await self.gate.wait()
            await call.write(message)

    def listener(self):
        return Listener({"/a/B": Method(self.serve, bytes, bytes)}, 32 << 20)


def dial(listen):
    size = [("grpc.max_receive_message_length", 32 << 20)]
    return aio.insecure_channel(listen, [*size, ("grpc.use_local_subchannel_pool", 1)])


@pytest.mark.parametrize("kind", ["unix", "IPv4", "IPv6", "any"])
async def test_addresses(kind, tmp_path):
    listen = {"unix": f"unix:{tmp_path}/w", "IPv4": "127.0.0.1:0", "IPv6": "[::1]:0", "any": ":0"}
    service = Service()
    listener = service.listener()
    async with asyncio.timeout(GUARD_S):
        port = await listener.start(listen[kind])
        target = listen[kind] if kind == "unix" else f"localhost:{port}"
        async with dial(target) as channel:
            call = channel.stream_stream("/a/B")()
            for message in (b"", b"x", b"y" * (17 << 20)):
                await call.write(message)
                assert await call.read() == message
            await call.done_writing()
            assert await call.code() is StatusCode.OK
            await listener.drain(1.0)
    assert not (tmp_path / "w").exists()


async def test_a_peer_that_vanishes_is_looked_for():
    """As the kernel tells it: the timer of the accepted connection is the one of keepalives (2)."""
    listener = Service().listener()
    port = await listener.start("127.0.0.1:0")
    _, writer = await asyncio.open_connection("127.0.0.1", port)

    def timers():
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return [f[5][:2] for f in lines if f[1].endswith(f":{port:04X}") and f[3] == "01"]

    async with asyncio.timeout(GUARD_S):
        while timers() != ["02"]:  # noqa: ASYNC110 - the kernel tells only when asked
            await asyncio.sleep(0.01)
    writer.close()
    await listener.drain(1.0)


@pytest.mark.parametrize("listen", ["192.0.2.1:0", "unix:/nowhere/at/all"])
async def test_an_address_that_cannot_be_had(listen):
    listener = Service().listener()
    with pytest.raises(RuntimeError, match="cannot listen on"):
        await listener.start(listen)
    await listener.drain(1.0)


async def test_a_call_that_does_not_end_is_waited_for_no_longer_than_said(tmp_path):
    service = Service()
    service.gate.clear()
    listener = service.listener()
    async with asyncio.timeout(GUARD_S):
        await listener.start(f"unix:{tmp_path}/w")
        async with dial(f"unix:{tmp_path}/w") as channel:
            call = channel.stream_stream("/a/B")()
            await call.write(b"x")
            await service.met.wait()
            begun = perf_counter()
            await listener.drain(0.2)
            assert perf_counter() - begun >= 0.2
            assert await call.code() is not StatusCode.OK


async def test_a_peer_that_does_not_read_is_read_no_more_and_does_not_hold_up_the_end(tmp_path):
    """Else it could fill our memory by asking; and closing would wait for good."""
    listener = Service().listener()
    ping = bytes([0, 0, 8, 6, 0, 0, 0, 0, 0]) + bytes(8)
    async with asyncio.timeout(GUARD_S):
        await listener.start(f"unix:{tmp_path}/w")
        _, writer = await asyncio.open_unix_connection(f"{tmp_path}/w", limit=1)
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        sent = 0
        with contextlib.suppress(TimeoutError):
            while True:
                writer.write(ping * 1000)
                await asyncio.wait_for(writer.drain(), 0.5)
                sent += len(ping) * 1000
        assert sent < 16 << 20
        await listener.drain(0.0)
        writer.close()
