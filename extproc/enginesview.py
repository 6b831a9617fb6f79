"""What this worker knows of engines: told by the watch process of its host, and by its own requests.

Candidates (`routing/pools.py`) are changed in place as things are heard, so that a pick finds everything
ready. Without a watch process there is still the policy: all static endpoints, of which nothing is known;
when it goes away, what was known last stays, and ages.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from math import inf
from pathlib import Path
from time import monotonic

from msgspec import structs

from engines.load import Load
from engines.watch import hub, messages
from engines.watch.flights import Flights
from engines.watch.frames import frame
from engines.watch.link import Link
from engines.watch.messages import (
    Ended,
    Look,
    Looks,
    Members,
    Picked,
    Running,
    Stored,
    Used,
)
from extproc.ejections import Levels
from extproc.routing.candidate import Candidate
from extproc.routing.condition import Condition
from extproc.routing.health import Watchdog
from extproc.routing.pools import Entries, Named, Pools
from extproc.routing.prefixes import BLOCK_TOKENS, Prefixes
from extproc.routing.suspects import ALIVE, Suspects
from telemetry.logs import Event, EventLog

TICK_S = 1.0
"""How often leases are looked at, warmth is worked out anew, and counts are told."""
STALE_S = 1.5
"""Seven looks should have come by then; of an engine without metrics, one."""
MOST_UNTOLD = 10_000
"""Ends kept while the watch process is away: it is back within a second or two, and a lease is 35 s."""

log = EventLog(__name__)


class EnginesView:
    """Implements `ports.EngineView`. One per worker; `run` keeps it up to date."""

    def __init__(
        self,
        watchdog: Watchdog | None = None,
        healthy: Levels | None = None,
        tell_stale: Callable[[int], None] = lambda _count: None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`healthy` hears how many endpoints of a pool may be picked, by its name, `tell_stale` of how
        many nothing new is heard; both once a second."""
        self._watchdog = watchdog or Watchdog()
        self._healthy = healthy
        self._told: Collection[str] = ()
        """The pools that it has heard of the last time."""
        self._tell_stale = tell_stale
        self._clock = clock
        self._pools = Pools()
        self._suspects = Suspects()
        self._flights = Flights()
        self._heard_s: dict[str, float] = {}
        """Time of the last look at each endpoint: one that is told twice counts once."""
        self._looked_s: dict[str, float] = {}
        """The same, and for those that nobody has looked at, when they were heard of."""
        self._failing: set[str] = set()
        """Those whose last look found no answer."""
        self._link: Link | None = None
        self._untold = deque[Ended](maxlen=MOST_UNTOLD)
        self._hear_end: Callable[[Ended], None] = lambda _ended: None
        self._hear_used: Callable[[Used], None] = lambda _used: None
        self._was_up = False
        self._is_stale = False

    def track(self, pools: Named) -> None:
        """Take a policy."""
        self._follow(self._pools.track(pools, self._clock()))
        self._tell_healthy()

    def candidates(self, pool: str, model: str = "") -> Sequence[Candidate]:
        found = self._pools.current.get(pool) or self._pools.gone.get(pool)
        if found is None:
            return ()
        now = self._clock()
        return self._suspects.keep(self._watchdog.keep(pool, found.ready, now, model), now)

    def knows(self, endpoint: str) -> bool:
        """Whether it is a member of any pool, ready or not."""
        return endpoint in self._pools.known

    def conditions(self, pool: str) -> Mapping[str, tuple[Condition, Sequence[str]]]:
        now = self._clock()
        states, doubted = self._watchdog.states(pool, now), self._suspects.of(now)
        if not doubted:
            return states
        return {
            name: (condition, (*reasons, "suspect") if name in doubted else reasons)
            for name, (condition, reasons) in states.items()
        }

    def prefixes(self, pool: str) -> Prefixes:
        found = self._pools.current.get(pool) or self._pools.gone.get(pool)
        return Prefixes() if found is None else found.prefixes

    def picked(self, picked: Picked) -> None:
        if self._count(picked):
            self._send(picked)

    def ended(self, ended: Ended) -> None:
        self._uncount(ended)
        if not self._send(ended):
            self._untold.append(ended)

    def tell_ends(self, hear: Callable[[Ended], None]) -> None:
        self._hear_end = hear

    def used(self, used: Used) -> None:
        self._hear_used(used)
        self._send(used)

    def tell_used(self, hear: Callable[[Used], None]) -> None:
        self._hear_used = hear

    def running(self, key: str) -> None:
        self._flights.renew(key, self._clock())
        self._send(Running(key))

    def hear(self, message: messages.Any) -> None:
        """Take what the watch process says, or another worker by it."""
        match message:
            case Looks(looks):
                for look in looks:
                    self._look(look)
            case Picked():
                self._count(message)
            case Ended():
                self._uncount(message)
            case Used():
                self._hear_used(message)
            case Running(key):
                self._flights.renew(key, self._clock())
            case Stored():
                self._pools.store(message)
            case Members():
                self._follow(self._pools.hear(message))

    async def run(self, state: Path | None) -> None:
        """Keep in touch with the watch process of this state directory, if there is one, for ever."""
        async with asyncio.TaskGroup() as tasks:
            if state is not None:
                self._link = Link(state / "run" / hub.NAME, self.hear, self._linked)
                tasks.create_task(self._link.run())
            while True:
                self.tick()
                await asyncio.sleep(TICK_S)

    def tick(self) -> None:
        """Let time pass."""
        now = self._clock()
        for endpoint in self._flights.expire(now):
            self._recount(endpoint)
        self._suspects.expire(now)
        self._pools.expire(now)
        for endpoint, entries in self._pools.by_endpoint.items():
            for pool, candidate in entries:
                candidate.warmth = self._watchdog.warmth(pool, endpoint, now)
        self._tell_healthy()
        self._judge_age(now)

    def _tell_healthy(self) -> None:
        if self._healthy is None:
            return
        now, current = self._clock(), self._pools.current
        for gone in set(self._told).difference(current):
            self._healthy.forget(gone)
        self._told = tuple(current)
        for name, pool in current.items():
            self._healthy.set(len(self._watchdog.keep(name, pool.ready, now)), name)

    def _judge_age(self, now_s: float) -> None:
        """Tell of how many that answered nothing new is heard. Where nobody ever watched, nobody is
        missed."""
        if not self._was_up:
            return
        answering = self._pools.by_endpoint.keys() - self._failing
        stale = sum(self._looked_s[each] < now_s - STALE_S for each in answering)
        self._tell_stale(stale)
        if (stale > 0) != self._is_stale:
            self._is_stale = stale > 0
            log.warning(Event.LOOKS_STALE if stale else Event.LOOKS_FRESH, endpoints=stale)

    def _linked(self, up: bool) -> None:
        """A hub that was started again knows nothing of what is under way; it ignores what it knows.
        Others count on what has ended meanwhile."""
        if up:
            self._was_up = True
            for picked in self._flights:
                self._send(picked)
            for ended in self._untold:
                # Not how it ended: that was then, and breakers judge by when they hear.
                self._send(structs.replace(ended, status=0, attempts=0, failed=()))
            self._untold.clear()

    def _send(self, message: Picked | Ended | Used | Running) -> bool:
        """Tell the others; whether there is anybody to tell."""
        if self._link is None or not self._link.is_up:
            return False
        self._link.send(frame(message))
        return True

    def _follow(self, left: Collection[str]) -> None:
        """The candidates may be others: forget what was known of those that have left."""
        now, entries = self._clock(), self._pools.by_endpoint
        self._suspects.keep_only(entries)
        self._failing.intersection_update(entries)
        self._looked_s = {e: self._looked_s.get(e, now) for e in entries}
        self._heard_s = {e: at_s for e, at_s in self._heard_s.items() if e in entries}
        for endpoint in left:
            self._flights.forget(endpoint)
        for endpoint in entries:
            self._recount(endpoint)
        self._watchdog.members(self._pools.members, now)

    def _look(self, look: Look) -> None:
        endpoint = look.endpoint
        entries = self._pools.by_endpoint.get(endpoint)
        if entries is None or look.at_s <= self._heard_s.get(endpoint, -inf):
            return
        self._heard_s[endpoint] = self._looked_s[endpoint] = look.at_s
        if not look.fault:
            self._flights.look(endpoint, look.at_s)
            self._take(look, entries)
            self._recount(endpoint)
        (self._failing.discard if look.fault in ALIVE else self._failing.add)(endpoint)
        self._suspects.look(look)
        now = self._clock()
        for pool, _ in entries:
            self._watchdog.look(pool, look, now, self._flights.tally(endpoint).in_flight)

    def _take(self, look: Look, entries: Entries) -> None:
        for pool, candidate in entries:
            started_s = candidate.load.started_s
            candidate.load, candidate.rates = look.load, look.rates
            candidate.seen_s = look.at_s
            prefixes = self._pools.current[pool].prefixes
            if started_s and started_s != look.load.started_s:
                prefixes.forget(look.endpoint)  # a new process has an empty cache
            prefixes.size(
                look.endpoint, count_blocks(look.load, prefixes.is_precise(look.endpoint))
            )

    def _count(self, picked: Picked) -> bool:
        now = self._clock()
        if picked.blocks:  # also where its end came first: what it has left in a cache stays there
            self.prefixes(picked.pool).note(picked.endpoint, picked.blocks, now)
        if not self._flights.pick(picked, now):
            return False
        self._recount(picked.endpoint)
        self._watchdog.picked(picked.pool, picked.endpoint, now)
        return True

    def _uncount(self, ended: Ended) -> None:
        now = self._clock()
        if endpoint := self._flights.end(ended.key, now):
            self._recount(endpoint)
        for failed in ended.failed:
            self._suspects.failed(failed, now)
        self._watchdog.ended(ended, now)
        self._hear_end(ended)

    def _recount(self, endpoint: str) -> None:
        tally = self._flights.tally(endpoint)
        for _, candidate in self._pools.by_endpoint.get(endpoint, ()):
            candidate.in_flight = tally.in_flight
            candidate.in_flight_tokens = tally.in_flight_tokens
            candidate.unseen = len(tally.unseen)
            candidate.unseen_tokens = tally.unseen_tokens


def count_blocks(load: Load, is_precise: bool) -> int:
    """Say how many blocks of the index fit into a cache: the engine's own where it tells of them, else
    those of prompts' texts."""
    return load.blocks if is_precise else load.blocks * load.block_tokens // BLOCK_TOKENS
