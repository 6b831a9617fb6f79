"""Counters in more than one Redis, for when one is not enough. Not atomic.

What concerns one tenant lies in that tenant's shard; what concerns all lies in a common place. A
reservation is two calls: the common one first, then the shard's. When the shard refuses, the common one
is given back, and until it is, others may be refused for it: never too much is admitted, now and then
too little. The common place remembers which shard a request went to, as a place in a semaphore that
never refuses, so settling by key alone finds it; when it does not say, all shards are told.
"""

import asyncio
import zlib
from collections.abc import Callable, Sequence

import msgspec

from extproc.limits.base import (
    LARGEST,
    Algorithm,
    Charge,
    Counters,
    Limit,
    Place,
    Settlement,
    Spent,
    Standing,
    Ticket,
    Unit,
    Verdict,
    find_places,
)

SHARD = Limit(
    name="headgate.shard", algorithm=Algorithm.SEMAPHORE, unit=Unit.CONCURRENT, amount=LARGEST
)
"""Its scope is the number of a shard, and what it counts is how many requests run there."""

Home = Callable[[Limit, str], str]
"""The tenant whose count a limit's scope is; empty when it is everybody's."""


def home(limit: Limit, scope: str) -> str:
    """Where a limit's scope belongs: to the tenant that it begins with, or to everybody."""
    return scope.partition("/")[0] if limit.of_tenants else ""


class ShardedCounters:
    """Implements `Counters`."""

    def __init__(self, common: Counters, shards: Sequence[Counters], home: Home) -> None:
        """Each of them needs a hash tag, and so a prefix, of its own."""
        self._common = common
        self._shards = shards
        self._home = home

    async def reserve(
        self,
        settle_key: str,
        charges: Sequence[Charge],
        lease_s: float,
        *,
        late: bool = False,
        ticket: Ticket | None = None,
    ) -> Verdict:
        """Raises: ValueError: The charges are for more than one tenant."""
        homes = [self._home(charge.limit, charge.scope) for charge in charges]
        tenants = sorted({home for home in homes if home})
        if len(tenants) > 1:
            raise ValueError("a request has one tenant")
        common = [one for one, home in zip(charges, homes, strict=True) if not home]
        number = self._number("".join(tenants))
        marked = [*common, Charge(SHARD, str(number), 1)]
        first = await self._common.reserve(settle_key, marked, lease_s, late=late, ticket=ticket)
        own = [one for one, home in zip(charges, homes, strict=True) if home]
        if not first.admitted:
            if ticket and first.waits:  # there may be room in the shard, for others
                await self._shards[number].leave(find_places(settle_key, own, ticket))
            looks = await self._shards[number].look([(one.limit, one.scope) for one in own])
            unasked = [msgspec.structs.replace(look, blocking=False) for look in looks]
            return merge(homes, first, msgspec.structs.replace(first, standings=unasked))
        second = await self._shards[number].reserve(
            settle_key, own, lease_s, late=late, ticket=ticket
        )
        if not second.admitted:
            await self._common.settle(settle_key, None, forget=True)
        return merge(homes, first, second)

    async def leave(self, places: Sequence[Place]) -> None:
        """Nobody knows here whose line is where; to leave one that is not there does no harm."""
        await asyncio.gather(*(one.leave(places) for one in (self._common, *self._shards)))

    def listen(self, hear: Callable[[Place], object]) -> None:
        for one in (self._common, *self._shards):
            one.listen(hear)

    async def settle(
        self, settle_key: str, spent: Spent | None, *, forget: bool = False
    ) -> Settlement:
        first = await self._common.settle(settle_key, spent, forget=forget)
        limits = tuple(one for one in first.limits if one.name != SHARD.name)
        if first.state == "settled":
            numbers = [int(one.scope) for one in first.limits if one.name == SHARD.name]
        else:
            numbers = list(range(len(self._shards)))
        others = await asyncio.gather(
            *(self._shards[number].settle(settle_key, spent, forget=forget) for number in numbers)
        )
        done = [one for one in others if one.state == "settled"]
        state = "settled" if done else first.state
        return Settlement(state, sum((one.limits for one in done), limits))

    async def renew(self, settle_key: str, lease_s: float) -> bool:
        stores = (self._common, *self._shards)
        first, *others = await asyncio.gather(*(one.renew(settle_key, lease_s) for one in stores))
        return first and any(others)

    async def look(self, pairs: Sequence[tuple[Limit, str]]) -> tuple[Standing, ...]:
        found = [
            (await self._store(limit, scope).look([(limit, scope)]))[0] for limit, scope in pairs
        ]
        return tuple(found)

    async def scopes(self, name: str) -> list[str]:
        stores = (self._common, *self._shards)
        found = await asyncio.gather(*(one.scopes(name) for one in stores))
        return sorted({scope for scopes in found for scope in scopes})

    async def reset(self, name: str, scope: str) -> bool:
        stores = (self._common, *self._shards)
        return any(await asyncio.gather(*(one.reset(name, scope) for one in stores)))

    async def probe(self) -> None:
        await asyncio.gather(*(one.probe() for one in (self._common, *self._shards)))

    def _number(self, tenant: str) -> int:
        return zlib.crc32(tenant.encode("utf-8", "surrogatepass")) % len(self._shards)

    def _store(self, limit: Limit, scope: str) -> Counters:
        tenant = self._home(limit, scope)
        return self._shards[self._number(tenant)] if tenant else self._common


def merge(homes: Sequence[str], common: Verdict, own: Verdict) -> Verdict:
    """Put both halves in the order of the charges; `own` has decided."""
    theirs, ours = iter(common.standings), iter(own.standings)
    standings = tuple(next(ours) if home else next(theirs) for home in homes)
    return msgspec.structs.replace(own, standings=standings)
