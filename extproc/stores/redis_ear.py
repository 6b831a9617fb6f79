"""Hears from Redis whose turn it is: a list for each worker, into which scripts put whom to call.

A list, not a channel: what is called while a connection is made anew is not lost. It has a connection
of its own, because waiting for the list holds up all that is sent after it, and only while somebody
waits in a line: an idle gateway asks nothing.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import hiredis

from extproc.errors import CountersFaultError
from extproc.limits.base import Place
from extproc.stores.counters_packing import unpack_call
from extproc.stores.redis_address import Address
from extproc.stores.redis_line import Line, open_line
from extproc.stores.redis_wire import Reply

POLL_S = 1
"""How long the server keeps a question; then it is asked again."""
DEADLINE_S = POLL_S + 1.0
LINGER_S = 2.0
"""Open for so long after the last sign that somebody waits. Whoever does gives one several times a
second (`limits/waiting.py`)."""
PAUSE_S = 0.1
"""Between two tries while the server does not answer."""


class Ear:
    """Made by `open_ear`. `hear` gets every call."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._worker = ""
        self._until_s = 0.0
        self._opened = asyncio.Event()
        self.hear: Callable[[Place], object] = lambda _: None

    def open(self, worker: str) -> None:
        """Listen for calls to this worker, for a while."""
        self._worker = worker
        self._until_s = asyncio.get_running_loop().time() + LINGER_S
        self._opened.set()

    async def run(self, address: Address) -> None:
        """Listen until cancelled."""
        await self._opened.wait()
        async with open_line(address, self._prefix, DEADLINE_S) as line:
            while True:
                await self._opened.wait()
                await self._listen(line)

    async def _listen(self, line: Line) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < self._until_s:
            try:
                reply = await line.call(("BLPOP", f"{self._prefix}c:{self._worker}", POLL_S))
            except CountersFaultError:
                await asyncio.sleep(PAUSE_S)
                continue
            await self._take(reply)
        self._opened.clear()

    async def _take(self, reply: Reply) -> None:
        match reply:
            case [_, bytes() as packed]:
                self.hear(unpack_call(packed))
            case hiredis.ReplyError():
                await asyncio.sleep(PAUSE_S)
            case _:
                pass


@asynccontextmanager
async def open_ear(address: Address, prefix: str) -> AsyncGenerator[Ear]:
    """Have an ear for the time of the block. It connects when it is first opened."""
    fault: BaseException | None = None
    async with asyncio.TaskGroup() as group:
        ear = Ear(prefix)
        running = group.create_task(ear.run(address))
        try:
            yield ear
        except BaseException as exc:  # noqa: BLE001 - raised below: the group would wrap it in another
            fault = exc
        running.cancel()
    if fault:
        raise fault
