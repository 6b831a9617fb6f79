"""A line to Redis that mends itself: found by its address, made again when it ends.

Sentinels are asked who is master, each time anew; of a cluster the node is taken that has our keys,
which is one node, as they share a hash tag. A server that may not write any more is left at once.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from ssl import SSLContext

import hiredis

from extproc.errors import CountersFaultError
from extproc.stores.redis_address import Address, Place
from extproc.stores.redis_wire import Command, LostError, Reply, Wire

DEADLINE_S = 0.020
"""For one call. Over a unix socket it takes 0.1 ms, within a data centre less than 1 ms."""
CONNECT_S = 2.0
"""For a connection to one place, with TLS and all."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.02, 1.0
HOPS = 3
"""From node to node of a cluster: one says which has the keys, and is right but while it moves."""
LEAVE = ("READONLY", "MOVED", "MASTERDOWN", "CLUSTERDOWN", "LOADING")
"""Errors of a server that is not, or not yet, the one that can do it."""


class Line:
    """`run` keeps it up; `call` uses it. Made by `open_line`."""

    def __init__(self, address: Address, probe: str, deadline_s: float = DEADLINE_S) -> None:
        """`probe` is a key like ours, to ask a cluster for."""
        self._address = address
        self._probe = probe
        self._deadline_s = deadline_s
        self._wire: Wire | None = None
        self._tried = asyncio.Event()
        """Set while it is known whether there is a connection."""
        self._fault = "not connected yet"

    async def call(self, command: Command) -> Reply:
        """Send a command, which must be safe to send twice: a connection that ends under it is made
        again, within the deadline.

        Raises:
            CountersFaultError: There was no reply in time, or an error that another server would not
                give. What was sent may have been done.
        """
        due_s = asyncio.get_running_loop().time() + self._deadline_s
        wire = self._wire or await self._wait(due_s)
        try:
            reply = await wire.call(command, self._deadline_s)
        except LostError:
            left_s = due_s - asyncio.get_running_loop().time()
            wire = await self._wait(due_s)
            reply = await wire.call(command, max(0.0, left_s))
        if isinstance(reply, hiredis.ReplyError) and str(reply).startswith(LEAVE):
            wire.close()
            raise CountersFaultError(str(reply))
        return reply

    async def run(self) -> None:
        """Keep connected until cancelled."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                wire = await connect(self._address, self._probe)
            except (OSError, CountersFaultError) as exc:
                self._fault = str(exc) or type(exc).__name__
                self._tried.set()
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                continue
            try:
                pause_s = FIRST_PAUSE_S
                self._wire = wire
                self._tried.set()
                await wire.lost
            finally:
                self._wire = None
                self._tried.clear()
                wire.close()

    async def _wait(self, due_s: float) -> Wire:
        """Wait for the connection that is being made. When the last try failed, fail too."""
        try:
            async with asyncio.timeout_at(due_s):
                await self._tried.wait()
                while self._wire and self._wire.lost.done():
                    await asyncio.sleep(0)  # `run` has yet to notice
                    await self._tried.wait()
        except TimeoutError:
            raise CountersFaultError("no connection in time") from None
        if self._wire is None:
            raise CountersFaultError(f"no connection: {self._fault}")
        return self._wire


@asynccontextmanager
async def open_line(
    address: Address, probe: str, deadline_s: float = DEADLINE_S
) -> AsyncGenerator[Line]:
    """Have a line for the time of the block. Does not wait for the server: that may come later."""
    fault: BaseException | None = None
    async with asyncio.TaskGroup() as group:
        line = Line(address, probe, deadline_s)
        running = group.create_task(line.run())
        try:
            yield line
        except BaseException as exc:  # noqa: BLE001 - raised below: the group would wrap it in another
            fault = exc
        running.cancel()
    if fault:
        raise fault


async def connect(address: Address, probe: str) -> Wire:
    """Find the server that can do it. Raises: OSError, CountersFaultError: the last place's."""
    fault: Exception = CountersFaultError("there is no place to connect to")
    for place in address.places:
        try:
            async with asyncio.timeout(CONNECT_S):
                sentinel = address.kind == "sentinel"
                found = await ask_sentinel(place, address) if sentinel else place
                return await log_in(found, address, probe)
        except TimeoutError:
            fault = CountersFaultError(f"{place}: no connection within {CONNECT_S:g} s")
        except (OSError, CountersFaultError) as exc:
            fault = exc
    raise fault


async def log_in(place: Place, address: Address, probe: str) -> Wire:
    """Connect, say who we are, and go on to the node of a cluster that has our keys."""
    for _ in range(HOPS):
        wire = await dial(place, address.tls)
        try:
            await greet(wire, address)
            moved = await find_node(wire, place, probe) if address.kind == "cluster" else None
        except BaseException:
            wire.close()
            raise
        if moved is None:
            return wire
        wire.close()
        place = moved
    raise CountersFaultError("the nodes of the cluster do not agree who has the keys")


async def greet(wire: Wire, address: Address) -> None:
    if address.password:
        user = (address.user,) if address.user else ()
        await order(wire, ("AUTH", *user, address.password))
    if address.db:
        await order(wire, ("SELECT", address.db))
    if address.kind == "sentinel":
        role = await order(wire, ("ROLE",))
        if not isinstance(role, list) or role[0] != b"master":
            raise CountersFaultError("the sentinel's master says that it is none")


async def find_node(wire: Wire, place: Place, probe: str) -> Place | None:
    """Say where else to go, None when it is here."""
    reply = await wire.call(("EXISTS", probe), CONNECT_S)
    if not isinstance(reply, hiredis.ReplyError):
        return None
    words = str(reply).split()
    if words[0] != "MOVED":
        raise CountersFaultError(str(reply))
    host, _, port = words[2].rpartition(":")
    return host or str(place[0]), int(port)


async def ask_sentinel(place: Place, address: Address) -> Place:
    """Ask who is master of the address's service."""
    wire = await dial(place, address.tls)
    try:
        reply = await order(wire, ("SENTINEL", "get-master-addr-by-name", address.service))
    finally:
        wire.close()
    match reply:
        case [bytes() as host, bytes() as port]:
            return host.decode(), int(port)
        case _:
            raise CountersFaultError(f"{place} knows no master called {address.service}")


async def dial(place: Place, tls: SSLContext | None) -> Wire:
    """Connect. Raises: OSError."""
    loop = asyncio.get_running_loop()
    if isinstance(place, str):
        _, wire = await loop.create_unix_connection(Wire, place)
    else:
        _, wire = await loop.create_connection(Wire, *place, ssl=tls)
    return wire


async def order(wire: Wire, command: Command) -> Reply:
    """Call, and take an error of the server's for a fault."""
    reply = await wire.call(command, CONNECT_S)
    if isinstance(reply, hiredis.ReplyError):
        raise CountersFaultError(f"{command[0]!s}: {reply}")
    return reply
