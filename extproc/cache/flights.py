"""Equal requests at the same time: one goes, the others wait for its answer.

Within one worker. A lock in the shared store would spare another worker's engine once, at the price of
a call more for each request that is not in the cache, and of locks whose holders die.
"""

import asyncio
import weakref
from functools import partial

from extproc.cache.answer import Answer

Flight = asyncio.Future[Answer | None]


class Lead:
    """Held by the request that goes. When the request is over in whichever way, nobody holds it any
    more, and those who wait go on."""

    __slots__ = ("__weakref__", "_flight")

    def __init__(self, flight: Flight) -> None:
        self._flight = flight

    def land(self, answer: Answer | None) -> None:
        """Say what the answer was; None: there is none to share."""
        if not self._flight.done():
            self._flight.set_result(answer)


class Flights:
    """Of one worker."""

    def __init__(self) -> None:
        self._flights: dict[str, Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def join(self, key: str) -> Lead | Flight:
        """Lead, if nobody does; else get the one to wait for. Shield it: others wait as well."""
        found = self._flights.get(key)
        if found is not None and not found.done():
            return found
        loop = asyncio.get_running_loop()
        flight: Flight = loop.create_future()
        lead = Lead(flight)
        self._flights[key] = flight
        flight.add_done_callback(partial(self._forget, key))
        # The collector may notice in any thread, and after the loop has closed.
        weakref.finalize(lead, abandon, loop, flight).atexit = False
        return lead

    def _forget(self, key: str, flight: Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]


def abandon(loop: asyncio.AbstractEventLoop, flight: Flight) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(give_up, flight)


def give_up(flight: Flight) -> None:
    if not flight.done():
        flight.set_result(None)
