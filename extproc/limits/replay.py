"""What would have been: past requests, against other limits and other prices.

Requests are played in the order in which they came, each settled when it ended, with a clock that
follows them. Reservations are what was used in the end, so estimates are taken to be perfect. Requests
that were refused then have no tokens; they are played with what admitted ones of the same key and model
used on average, and told apart.
"""

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from extproc.limits.amounts import Estimate, nano_usd
from extproc.limits.base import Charge, Counters, Spent
from extproc.limits.reach import Reach
from extproc.request import Identity, Kind, Model
from ledger.sighting import Usage

LEASE_S = 3600.0
"""Nothing is lost in a replay: whoever begins also ends."""


class Past(msgspec.Struct, frozen=True):
    """One request of the ledger."""

    key: str
    start_ms: int
    end_ms: int
    kind: Kind
    identity: Identity
    model: Model
    """With the price that is to be tried."""
    usage: Usage
    """None where nobody told."""
    cost_pusd: int
    """What it cost then, in 1e-12 US dollars."""
    was_limited: bool
    """A limit refused it then."""
    failed: bool = False
    """It ended in an error, for which limits give everything back."""


@dataclass(slots=True)
class Tally:
    """What became of the requests of one tenant."""

    requests: int = 0
    refused: int = 0
    admitted_now: int = 0
    """Refused then, and not any more."""
    cost_then_pusd: int = 0
    cost_now_pusd: int = 0
    by_limit: dict[str, int] = field(default_factory=dict[str, int])
    """Refusals by the limit that would refuse."""
    shadowed: dict[str, int] = field(default_factory=dict[str, int])


class Average:
    """What admitted requests of a key and model used."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str, str], tuple[int, int, int]] = {}

    def learn(self, past: Past) -> None:
        count, read, written = self._sums.get(self._key(past), (0, 0, 0))
        usage = past.usage
        new = (
            count + 1,
            read + (usage.prompt_tokens or 0),
            written + (usage.completion_tokens or 0),
        )
        self._sums[self._key(past)] = new

    def usage(self, past: Past) -> Usage:
        count, read, written = self._sums.get(self._key(past), (1, 0, 0))
        return Usage(read // count, written // count, 0)

    def _key(self, past: Past) -> tuple[str, str, str]:
        return past.identity.tenant, past.identity.key_id, past.model.name


class Replay:
    """One run. `set_clock_ms` moves the clock of `counters`."""

    def __init__(
        self, reaches: Sequence[Reach], counters: Counters, set_clock_ms: Callable[[int], None]
    ) -> None:
        self._reaches = reaches
        self._counters = counters
        self._set_clock_ms = set_clock_ms
        self._average = Average()
        self._running: list[tuple[int, str, Spent | None]] = []
        self.tallies: dict[str, Tally] = {}
        """By tenant."""

    async def run(self, pasts: Iterable[Past]) -> Mapping[str, Tally]:
        """Play them; they come in the order of `start_ms`."""
        for past in pasts:
            await self._settle_until(past.start_ms)
            self._set_clock_ms(past.start_ms)
            await self._play(past)
        await self._settle_until(None)
        return self.tallies

    async def _settle_until(self, now_ms: int | None) -> None:
        while self._running and (now_ms is None or self._running[0][0] <= now_ms):
            end_ms, key, spent = heapq.heappop(self._running)
            self._set_clock_ms(end_ms)
            await self._counters.settle(key, spent)

    async def _play(self, past: Past) -> None:
        tally = self.tallies.setdefault(past.identity.tenant, Tally())
        tally.requests += 1
        tally.cost_then_pusd += past.cost_pusd
        usage = self._average.usage(past) if past.was_limited else past.usage
        if not past.was_limited:
            self._average.learn(past)
        charges = self._charges(past, usage)
        verdict = await self._counters.reserve(past.key, charges, LEASE_S)
        for standing in verdict.shadowed:
            name = standing.limit.name
            tally.shadowed[name] = tally.shadowed.get(name, 0) + 1
        if not verdict.admitted:
            tally.refused += 1
            name = verdict.blocking[0].limit.name
            tally.by_limit[name] = tally.by_limit.get(name, 0) + 1
            return
        tally.admitted_now += past.was_limited
        cost = nano_usd(past.model.price, usage)
        tally.cost_now_pusd += cost * 1000
        used = Spent(
            usage.prompt_tokens or 0, usage.cached_tokens or 0, usage.completion_tokens or 0, cost
        )
        spent = None if past.failed else used
        heapq.heappush(self._running, (max(past.end_ms, past.start_ms), past.key, spent))

    def _charges(self, past: Past, usage: Usage) -> list[Charge]:
        written = usage.completion_tokens or 0
        read = usage.prompt_tokens or 0
        size = Estimate(read, read, written, written, past.model.price)
        who, model = past.identity, past.model
        return [
            Charge(reach.limit, reach.scope(who, model), size.amount(reach.limit))
            for reach in self._reaches
            if reach.covers(who, model, past.kind)
        ]
