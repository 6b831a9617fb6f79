"""Doors of a real loop: uvloop's, which accepts one connection per turn by itself."""

import asyncio
import errno
import socket
import time
from contextlib import ExitStack
from typing import cast

import pytest
import uvloop

from engines.sim.listening import ACCEPTED_PER_TURN, listening

GUARD_S = 20.0


class Greeter(asyncio.Protocol):
    """Says a word, and closes."""

    def __init__(self, met: list[int], turn: list[int]) -> None:
        self._met, self._turn = met, turn

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._met.append(self._turn[0])
        writes = cast("asyncio.Transport", transport)
        writes.write(b"welcome")
        writes.close()


def run(coroutine):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asyncio.wait_for(coroutine, GUARD_S))


async def turns_until(met: list[int], turn: list[int], count: int) -> None:
    while len(met) < count:
        turn[0] += 1
        time.sleep(0.001)  # noqa: ASYNC251 - a turn with other work in it
        await asyncio.sleep(0)


@pytest.mark.parametrize(("waiting", "turns"), [(40, 1), (ACCEPTED_PER_TURN + 40, 2)])
def test_those_who_wait_are_let_in_within_a_turn_or_two(waiting, turns):
    met, turn = list[int](), [0]

    async def meet():
        async with listening(lambda: Greeter(met, turn), "127.0.0.1", 0, 1024) as address:
            with ExitStack() as stack:
                clients = [
                    stack.enter_context(socket.create_connection(address)) for _ in range(waiting)
                ]
                await turns_until(met, turn, waiting)
                # uvloop hands over in the turns after it has accepted.
                assert len(set(met)) <= turns + 1, "in how many turns they were let in"
                await asyncio.sleep(0.05)
                assert {client.recv(100) for client in clients} == {b"welcome"}

    run(meet())


def test_nobody_is_let_in_when_it_is_over():
    async def leave():
        async with listening(asyncio.Protocol, "127.0.0.1", 0, 16) as address:
            assert address[0] == "127.0.0.1"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)

    run(leave())


def test_a_name_is_looked_up_and_a_taken_port_is_refused():
    async def collide():
        async with listening(asyncio.Protocol, "localhost", 0, 16) as (host, port):
            with pytest.raises(OSError, match="in use") as refused:
                async with listening(asyncio.Protocol, host, port, 16):
                    pass
            assert refused.value.errno == errno.EADDRINUSE

    run(collide())
