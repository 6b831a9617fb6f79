"""Endpoints of a name: all its addresses, asked for again and again."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from time import monotonic

from engines.watch.config import Dns
from engines.watch.roster import Found
from telemetry.logs import Event, EventLog

DEADLINE_S = 10.0
"""Of one question. The resolver's own is 5 s for each server, and it tries them in turn; it goes on in its
thread."""

DRAIN_S = 60.0
"""How long one that is not named any more is looked at still."""

log = EventLog(__name__)

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""A name and a port -> `ip:port` for each address. Raises: OSError."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver, in a thread: A and AAAA. Raises: OSError, TimeoutError."""
    ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.wait_for(asyncio.to_thread(ask), DEADLINE_S)
    return sorted({write(str(address[0]), port) for *_, address in found})


def write(ip: str, port: int) -> str:
    """`ip:port`, an IPv6 address in brackets and without its zone."""
    ip = ip.partition("%")[0]
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


class Named:
    """What a name stands for, as its answers come."""

    def __init__(self) -> None:
        self._ready: Sequence[str] = ()
        self._leaving: dict[str, float] = {}

    def hear(self, found: Sequence[str], now_s: float) -> Found:
        """Take an answer. An address that is not named any more is of a pod that terminates or is not
        ready: it ends what it has, and gets nothing new."""
        gone = set(self._ready) - set(found)
        self._leaving.update((endpoint, now_s + DRAIN_S) for endpoint in gone)
        self._ready = found
        self._leaving = {
            endpoint: until_s
            for endpoint, until_s in self._leaving.items()
            if until_s > now_s and endpoint not in found
        }
        draining: Found = dict.fromkeys(self._leaving, "draining")
        ready: Found = dict.fromkeys(found, "ready")
        return {**draining, **ready}


async def follow_dns(source: Dns, hear: Callable[[Found], None], ask: Resolve = resolve) -> None:
    """Tell what the name stands for, for ever. A resolver that fails says nothing: its last answer holds,
    because a name that cannot be asked for is more likely than a Service that is gone."""
    named, failed = Named(), ""
    while True:
        try:
            found = await ask(source.host, source.port)
        except (OSError, UnicodeError) as fault:
            if not failed:
                failed = str(fault) or type(fault).__name__
                log.error(Event.DISCOVERY_FAILED, source=source.host, reason=failed)
        else:
            if failed:
                log.warning(Event.DISCOVERY_BACK, source=source.host)
            failed = ""
            hear(named.hear(found, monotonic()))
        await asyncio.sleep(source.interval_s)
