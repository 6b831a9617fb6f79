"""What every store of answers promises."""

import pytest

from extproc.cache.base import Entry, Holding
from extproc.stores.cache_memory import MemoryAnswers
from extproc.stores.cache_redis import open_answers
from tests.extproc.guards.cases import Clock

ENTRY = Entry(b"x" * 600, 1, 2)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["memory", "redis"])
async def answers(request, valkey, clock):
    if request.param == "memory":
        yield MemoryAnswers(10_000, lambda: clock.now_s)
        return
    async with open_answers(valkey.url, 10_000, deadline_s=10, clock=lambda: clock.now_s) as opened:
        yield opened


async def test_what_is_kept_is_there(answers):
    assert await answers.get("t:m:1") is None
    assert await answers.put("t:m:1", ENTRY, 60) == 0
    assert await answers.get("t:m:1") == ENTRY
    assert await answers.get("t:m:2") is None


async def test_the_newest_counts_once(answers):
    await answers.put("t:m:1", ENTRY, 60)
    newer = Entry(b"y", 3, 4)
    await answers.put("t:m:1", newer, 60)
    assert await answers.get("t:m:1") == newer
    (holding,) = await answers.look()
    assert (holding.entries, holding.size < 600) == (1, True)


async def test_it_is_no_longer_told_of_when_its_time_is_over(answers, clock):
    await answers.put("t:m:1", ENTRY, 60)
    clock.now_s += 61
    assert await answers.look() == []


async def test_it_has_a_bound(answers):
    gone = 0
    for number in range(20):
        gone += await answers.put(f"t:m:{number}", ENTRY, 60 + number)
    (holding,) = await answers.look()
    assert holding.size <= 10_000
    assert holding.entries + gone == 20
    assert await answers.get("t:m:19") == ENTRY
    assert await answers.get("t:m:0") is None
    answers.most_bytes = 2_000
    await answers.put("t:m:new", ENTRY, 99)
    (holding,) = await answers.look()
    assert holding.size <= 2_000


async def test_what_is_too_large_for_all_of_it_is_not_kept(answers):
    await answers.put("t:m:1", ENTRY, 60)
    assert await answers.put("t:m:2", Entry(b"x" * 20_000, 1, 2), 60) == 0
    assert await answers.get("t:m:2") is None
    assert await answers.get("t:m:1") == ENTRY


async def test_purging(answers):
    for key in ("a:m:1", "a:m:2", "a:n:1", "b:m:1"):
        await answers.put(key, ENTRY, 60)
    assert await answers.purge("a:m") == 2
    assert await answers.purge("a:") == 1
    assert [each.place for each in await answers.look()] == ["b:m"]
    assert await answers.purge("") == 1
    assert await answers.look() == []
    assert await answers.get("b:m:1") is None


async def test_many_are_counted(answers):
    answers.most_bytes = 10**7
    small = Entry(b"x", 1, 2)
    for number in range(1_050):
        await answers.put(f"t:{number % 2}:{number}", small, 60)
    told = await answers.look()
    assert [(each.place, each.entries) for each in told] == [("t:0", 525), ("t:1", 525)]
    assert isinstance(told[0], Holding)
