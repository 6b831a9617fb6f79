"""All caches: who is heard, and what workers are told."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from engines.blocks import chain_bytes, token_bytes
from engines.watch.caches import AT_ONCE, Caches, Teller
from engines.watch.config import KvEvents, Pool
from engines.watch.kv import BlockRemoved, BlockStored, Cache, pack
from engines.watch.messages import Look, Member, Members, Stored
from tests.engines.watch.publisher import publishing
from tests.engines.watch.waiting import GUARD_S, until

E = "127.0.0.1:8000"


def block(start):
    return chain_bytes("", token_bytes(range(start, start + 4)), 16)[0]


def pools(events, *names):
    return [Pool(name, "vllm", kv_events=events) for name in names]


def members(*names):
    return Members({name: (Member(E),) for name in names})


class Index:
    """What a worker would know."""

    def __init__(self):
        self.known, self.told = {}, []

    def __call__(self, stored):
        self.told.append(stored)
        blocks = self.known.setdefault((stored.pool, stored.endpoint), set())
        if stored.cleared:
            blocks.clear()
        blocks.difference_update(stored.removed)
        blocks.update(stored.stored)

    def of(self, pool="p"):
        return self.known.get((pool, E))


@asynccontextmanager
async def caching():
    index = Index()
    caches = Caches(index)
    async with asyncio.timeout(GUARD_S), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(caches.run())
        await asyncio.sleep(0)
        yield caches, index
        running.cancel()


async def test_what_an_engine_tells_reaches_every_pool_it_is_in():
    async with publishing() as engine, caching() as (caches, index):
        events = KvEvents(*engine.ports)
        caches.aim(pools(events, "p"), members("p"))
        engine.store(0, 1)
        await until(lambda: index.of() == {block(0)})
        engine.publish(BlockRemoved([1], "GPU"))
        await until(lambda: index.of() == set())
        engine.store(4, 2)
        await until(lambda: index.of() == {block(4)})
        caches.aim(pools(events, "p", "q"), members("p", "q"))
        await until(lambda: index.of("q") == {block(4)})
        told = [stored for part in caches.everything() for stored in part]
        assert told == [Stored(pool, E, (block(4),), cleared=True) for pool in ("p", "q")]
        assert len(engine.asked) == 1, "it stays as it is"


async def test_one_that_leaves_and_one_without_events_are_not_heard():
    async with publishing() as engine, caching() as (caches, index):
        caches.aim([Pool("p", "vllm")], members("p"))
        assert not list(caches.everything())
        caches.aim(pools(KvEvents(*engine.ports), "p"), members("p"))
        await until(lambda: engine.asked)
        caches.aim(pools(KvEvents(*engine.ports), "p"), Members({"p": ()}))
        assert not list(caches.everything())
        caches.aim(pools(KvEvents(engine.ports[0]), "p"), members("p"))
        caches.looked(Look("nobody:1", 1.0))
    assert index.told == [Stored("p", E, cleared=True)] * len(index.told)


async def test_one_that_was_away_is_heard_from_the_beginning():
    async with publishing() as engine, caching() as (caches, index):
        caches.aim(pools(KvEvents(*engine.ports), "p"), members("p"))
        engine.store(0, 1)
        await until(lambda: index.of() == {block(0)})
        caches.looked(Look(E, 1.0, "timeout"))
        caches.looked(Look(E, 2.0))
        assert len(engine.asked) == 1, "late is not away"
        caches.looked(Look(E, 3.0, "refused"))
        caches.looked(Look(E, 4.0, "refused"))
        caches.looked(Look(E, 5.0))
        await until(lambda: len(engine.asked) == 2)
        await until(lambda: index.of() == {block(0)} and index.told[-1].stored)


def teller(*ranks):
    caches = [Cache() for _ in ranks]
    for cache, batches in zip(caches, ranks, strict=True):
        for batch in batches:
            cache.apply(pack(batch))
    return Teller(E, KvEvents(1, 2, len(ranks)), ("p",), caches)


def stored(number, start):
    return BlockStored([number], None, [*range(start, start + 4)], 4)


def test_ranks_behind_one_endpoint_are_one_cache():
    both = teller([[stored(1, 0)]], [[stored(1, 0)], [stored(2, 4)]])
    (told,) = both.news()
    assert set(told.stored) == {block(0), block(4)}
    assert both.news() == ()
    both.caches[0].apply(pack([BlockRemoved([1])]))
    assert both.news() == [Stored("p", E)], "the other rank has it still"
    both.caches[1].apply(pack([BlockRemoved([1])]))
    assert both.news() == [Stored("p", E, removed=(block(0),))]
    both.caches[0].clear()
    assert both.news() == [Stored("p", E, (block(4),), cleared=True)]


def test_what_leaves_one_rank_costs_no_look_at_all_that_the_others_have():
    class Counted(Cache):
        looks = 0

        def hashes(self):
            Counted.looks += 1
            return super().hashes()

    caches = [Counted(), Counted()]
    for number, cache in enumerate(caches):
        cache.apply(pack([stored(each, 4 * each) for each in (number, 2)]))
    both = Teller(E, KvEvents(1, 2, 2), ("p",), caches)
    both.news()
    caches[0].apply(pack([BlockRemoved([0, 2])]))
    assert both.news() == [Stored("p", E, removed=(block(0),))]
    assert Counted.looks == 0, "with eight ranks of 100 000 that is 260 ms, 50 times a second"


@pytest.mark.parametrize("count", [0, 1, AT_ONCE, AT_ONCE + 1])
def test_much_is_told_in_parts(count):
    cache = Cache()
    cache.apply(pack([BlockStored([*range(count)], None, [*range(4 * count)], 4)]))
    told = Teller(E, KvEvents(1), ("p",), [cache]).all_of_it()
    assert [each.cleared for each in told] == [True] + [False] * (len(told) - 1)
    assert [h for each in told for h in each.stored] == list(cache.hashes())
