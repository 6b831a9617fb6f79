"""The caches of all engines that tell of them, and what workers are told."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import zmq

from engines.watch.config import KvEvents, Pool
from engines.watch.kv import Cache
from engines.watch.listen import Listener
from engines.watch.messages import Look, Members, Stored
from telemetry.logs import Event, EventLog

GATHER_S = 0.02
"""How long changes wait for others to be told together."""
IDLE_S = 0.25
"""The same as long as nobody tells anything."""
AT_ONCE = 4096
"""Hashes in one message, 37 kB."""

log = EventLog(__name__)


@dataclass(slots=True)
class Teller:
    """One endpoint that tells, with a cache for each rank behind it."""

    endpoint: str
    events: KvEvents
    pools: tuple[str, ...]
    caches: list[Cache] = field(default_factory=list[Cache])
    listeners: list[Listener] = field(default_factory=list[Listener])
    was_away: bool = False

    def everything(self) -> tuple[int, ...]:
        return tuple({ours: None for cache in self.caches for ours in cache.hashes()})

    def news(self) -> Sequence[Stored]:
        """What has changed in any rank's cache, for each pool."""
        changes = [change for cache in self.caches if (change := cache.take()) is not None]
        if not changes:
            return ()
        if any(change.cleared for change in changes):
            return self.all_of_it()
        gone = dict.fromkeys(ours for change in changes for ours in change.removed)
        # Another rank may have it still.
        removed = [ours for ours in gone if not any(ours in cache for cache in self.caches)]
        stored = tuple(ours for change in changes for ours in change.stored)
        return [
            Stored(pool, self.endpoint, stored=stored, removed=tuple(removed))
            for pool in self.pools
        ]

    def all_of_it(self) -> Sequence[Stored]:
        """Tell it from the beginning, in parts."""
        known = self.everything()
        return [
            Stored(pool, self.endpoint, known[start : start + AT_ONCE], cleared=start == 0)
            for pool in self.pools
            for start in range(0, max(len(known), 1), AT_ONCE)
        ]


class Caches:
    """Follows whom `aim` names. Needs a running loop."""

    def __init__(
        self,
        tell: Callable[[Stored], None],
        count: Callable[[str, int], None] = lambda _how, _batches: None,
    ) -> None:
        self._tell = tell
        self._count = count
        self._tellers: dict[str, Teller] = {}
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None

    def aim(self, pools: Sequence[Pool], members: Members) -> None:
        """Say which endpoints tell of their caches, and where. One that stays goes on undisturbed."""
        wanted: dict[str, tuple[KvEvents, list[str]]] = {}
        for pool in pools:
            if pool.kv_events is not None:
                for member in members.pools.get(pool.name, ()):
                    _, names = wanted.setdefault(member.endpoint, (pool.kv_events, []))
                    names.append(pool.name)
        for endpoint, teller in [*self._tellers.items()]:
            if endpoint not in wanted or wanted[endpoint][0] != teller.events:
                self._stop(endpoint)
        for endpoint, (events, names) in wanted.items():
            if endpoint not in self._tellers:
                self._start(endpoint, events, tuple(names))
            elif self._tellers[endpoint].pools != tuple(names):
                self._tellers[endpoint].pools = tuple(names)
                self._tell_all(self._tellers[endpoint].all_of_it())

    def looked(self, look: Look) -> None:
        """An engine that was away may be another one now: hear it from the beginning."""
        teller = self._tellers.get(look.endpoint)
        if teller is None:
            return
        if look.fault in ("", "unreadable"):
            if teller.was_away:
                teller.was_away = False
                for listener in teller.listeners:
                    listener.resync()
        elif look.fault in ("refused", "broken"):
            teller.was_away = True

    def everything(self) -> Iterator[Sequence[Stored]]:
        """All there is, one endpoint after the other."""
        for teller in [*self._tellers.values()]:
            yield teller.all_of_it()

    async def run(self) -> None:
        """Tell what changes, for ever; cancel to stop."""
        try:
            while True:
                await asyncio.sleep(GATHER_S if self._tellers else IDLE_S)
                for teller in [*self._tellers.values()]:
                    self._tell_all(teller.news())
        finally:
            for endpoint in [*self._tellers]:
                self._stop(endpoint)
            if self._context is not None:
                self._context.destroy(linger=0)

    def _tell_all(self, news: Sequence[Stored]) -> None:
        for stored in news:
            self._tell(stored)

    def _start(self, endpoint: str, events: KvEvents, pools: tuple[str, ...]) -> None:
        if self._context is None:
            self._context = zmq.Context()
            self._context.set(zmq.MAX_SOCKETS, 16_384)
        teller = self._tellers[endpoint] = Teller(endpoint, events, pools)
        host = endpoint.rpartition(":")[0]
        for rank in range(events.ranks):
            cache = Cache()
            replay = events.replay_port and f"tcp://{host}:{events.replay_port + rank}"
            listener = Listener(
                self._context,
                cache,
                f"tcp://{host}:{events.port + rank}",
                replay or "",
                self._heard,
            )
            teller.caches.append(cache)
            teller.listeners.append(listener)
            listener.open()

    def _stop(self, endpoint: str) -> None:
        teller = self._tellers.pop(endpoint)
        for listener in teller.listeners:
            listener.close()

    def _heard(self, how: str, batches: int) -> None:
        if batches:
            self._count(how, batches)
            if how == "lost":
                log.warning(Event.KV_EVENTS_LOST, batches=batches)
