"""What only sharded counters do: two calls, of which the first is given back when the second refuses."""

import pytest

from extproc.errors import CountersFaultError
from extproc.limits.base import Charge, Settlement, Ticket
from extproc.stores.counters_memory import MemoryCounters
from extproc.stores.counters_sharded import SHARD, ShardedCounters
from tests.extproc.stores.limits import Clock, bucket, budget, semaphore, used

GLOBAL = bucket("global")
OWN = (bucket("own"), budget("own-money"), semaphore("own-at-once"))


class Faulty(MemoryCounters):
    """Does what it is told, and then says that nobody answered."""

    broken = False

    async def reserve(self, settle_key, charges, lease_s, **how):
        verdict = await super().reserve(settle_key, charges, lease_s, **how)
        self.check()
        return verdict

    async def settle(self, settle_key, spent, *, forget=False):
        settlement = await super().settle(settle_key, spent, forget=forget)
        self.check()
        return settlement

    async def probe(self):
        self.check()

    def check(self):
        if self.broken:
            raise CountersFaultError("gone")


class Stores:
    def __init__(self):
        clock = Clock()
        self.common = Faulty(clock)
        self.shards = [Faulty(clock) for _ in range(4)]
        self.counters = ShardedCounters(self.common, self.shards, self.home)

    @staticmethod
    def home(limit, scope):
        return "" if limit.name == "global" else scope


@pytest.fixture
def stores():
    return Stores()


def charges(tenant="acme", amount=100, own=OWN):
    return [
        Charge(GLOBAL, "", amount),
        *(Charge(one, tenant, 1 if one.name.endswith("once") else amount) for one in own),
    ]


async def look(stores, tenant="acme"):
    pairs = [(GLOBAL, ""), *((one, tenant) for one in OWN)]
    return [one.remaining for one in await stores.counters.look(pairs)]


async def test_each_lies_in_its_place(stores):
    verdict = await stores.counters.reserve("k", charges(), 30)
    assert [one.limit.name for one in verdict.standings] == [
        "global", "own", "own-money", "own-at-once",
    ]  # fmt: skip
    assert await stores.common.scopes("global") == [""]
    assert await stores.common.scopes("own") == []
    used_shards = [await shard.scopes("own") for shard in stores.shards]
    assert sorted(used_shards) == [[], [], [], ["acme"]]
    assert await stores.common.scopes(SHARD.name) == [str(used_shards.index(["acme"]))]
    assert await stores.counters.scopes("own") == ["acme"]


async def test_tenants_spread(stores):
    for number in range(40):
        await stores.counters.reserve(f"k{number}", charges(f"t{number}", 1), 30)
    counts = [len(await shard.scopes("own")) for shard in stores.shards]
    assert min(counts) >= 5


async def test_the_common_place_refuses(stores):
    verdict = await stores.counters.reserve("k", charges(amount=1001), 30)
    assert not verdict.admitted
    assert [one.limit.name for one in verdict.blocking] == ["global"]
    assert await look(stores) == [1000, 1000, 1000, 2]


async def test_the_shard_refuses_and_the_common_place_gets_it_back(stores):
    tight = (bucket("own", amount=50),)
    verdict = await stores.counters.reserve("k", charges(own=tight), 30)
    assert not verdict.admitted
    assert [one.limit.name for one in verdict.blocking] == ["own"]
    assert await look(stores) == [1000, 1000, 1000, 2]
    again = await stores.counters.reserve("k", charges(), 30)
    assert (again.admitted, again.repeated) == (True, False)


async def test_a_fault_in_the_shard_and_the_same_key_again(stores):
    for shard in stores.shards:
        shard.broken = True
    with pytest.raises(CountersFaultError):
        await stores.counters.reserve("k", charges(), 30)
    for shard in stores.shards:
        shard.broken = False
    verdict = await stores.counters.reserve("k", charges(), 30)
    assert (verdict.admitted, verdict.repeated) == (True, True)
    assert await look(stores) == [900, 900, 900, 1]


@pytest.mark.parametrize("where", ["common", "shards"])
async def test_a_fault_while_settling_and_the_same_key_again(stores, where):
    broken = [stores.common] if where == "common" else stores.shards
    await stores.counters.reserve("k", charges(), 30)
    for store in broken:
        store.broken = True
    with pytest.raises(CountersFaultError):
        await stores.counters.settle("k", used(30))
    for store in broken:
        store.broken = False
    await stores.counters.settle("k", used(30))
    assert await look(stores) == [970, 970, 970, 2]


async def test_settled_before_it_is_reserved(stores):
    assert await stores.counters.settle("k", used(30)) == Settlement("unknown")
    verdict = await stores.counters.reserve("k", charges(), 30)
    assert (verdict.admitted, verdict.repeated) == (True, True)
    assert await look(stores) == [970, 970, 970, 2]


async def test_one_tenant_at_a_time(stores):
    mixed = [*charges("acme"), Charge(bucket("other"), "evil", 1)]
    with pytest.raises(ValueError, match="one tenant"):
        await stores.counters.reserve("k", mixed, 30)


async def test_without_a_tenant(stores):
    await stores.counters.reserve("k", charges(own=()), 30)
    assert await stores.counters.renew("k", 30)
    settlement = await stores.counters.settle("k", used(30))
    assert [one.name for one in settlement.limits] == ["global"]
    assert not await stores.counters.renew("k", 30)


async def test_who_waits_for_the_common_place_lets_others_pass_in_the_shard(stores):
    everybody, own = semaphore("global", 1, wait_s=20), semaphore("own", 1, wait_s=20)
    ticket = Ticket("w1", "batch", 1, "acme")
    common, shard = [Charge(everybody, "", 1)], [Charge(own, "acme", 1)]
    await stores.counters.reserve("a", shard, 30)
    assert (await stores.counters.reserve("b", common + shard, 30, ticket=ticket)).waits
    await stores.counters.reserve("c", common, 30)
    await stores.counters.settle("a", None)
    assert (await stores.counters.reserve("b", common + shard, 30, ticket=ticket)).waits
    assert (await stores.counters.reserve("d", shard, 30, ticket=ticket)).admitted


async def test_they_can_count_when_each_of_them_can(stores):
    await stores.counters.probe()
    for one in (stores.common, stores.shards[3]):
        one.broken = True
        with pytest.raises(CountersFaultError):
            await stores.counters.probe()
        one.broken = False
