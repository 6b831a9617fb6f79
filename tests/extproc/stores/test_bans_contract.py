"""What every store of bans promises."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extproc.guards.base import DAY_MS, Barred, Case, Growth
from extproc.stores.bans_memory import MemoryBans
from extproc.stores.bans_redis import open_bans
from tests.extproc.guards.cases import GROWTH, Clock

MOST = 10
ANN, BOB = Case("key:ann", why="refusals"), Case("address:2001:db8::/64", shadow=True)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["memory", "redis"])
async def bans(request, valkey, clock):
    if request.param == "memory":
        yield MemoryBans(clock.ms, MOST)
        return
    async with open_bans(valkey.url, deadline_s=10, clock=clock.ms, most=MOST) as opened:
        yield opened


async def in_force(bans, seen=0):
    return {ban.case.subject: ban.left_s for ban in (await bans.read(seen)).bans if ban.left_s}


async def test_a_ban_is_there_until_it_is_over(bans, clock):
    made = await bans.add(ANN, GROWTH)
    assert (made.case, made.left_s, made.times) == (ANN, 60, 1)
    assert made.since_ms == clock.ms()
    await bans.add(BOB, GROWTH)
    clock.now_s += 20
    assert await in_force(bans) == {"key:ann": 40, "address:2001:db8::/64": 40}
    assert {ban.case for ban in (await bans.read()).bans} == {ANN, BOB}
    clock.now_s += 40
    assert await in_force(bans) == {}


async def test_of_several_that_notice_the_same_one_makes_the_ban(bans, clock):
    made = await asyncio.gather(*(bans.add(ANN, GROWTH) for _ in range(5)))
    assert [bool(each) for each in made].count(True) == 1
    clock.now_s += 30
    assert await bans.add(ANN, GROWTH) is None
    assert await in_force(bans) == {"key:ann": 30}, "a ban in force is not made longer"


async def test_the_next_within_a_day_is_longer(bans, clock):
    lengths = []
    for pause_s in (0, 3600, DAY_MS / 1000 - 1, DAY_MS / 1000, 5):
        clock.now_s += pause_s
        made = await bans.add(ANN, GROWTH)
        lengths.append((made.times, made.left_s))
        clock.now_s += made.left_s
    assert lengths == [(1, 60), (2, 120), (3, 240), (1, 60), (2, 120)]


async def test_kinds_are_apart(bans):
    long = Case(ANN.subject, Barred.LONG_PROMPTS)
    await bans.add(ANN, GROWTH)
    assert (await bans.add(long, Growth(600, 1, 600))).left_s == 600
    assert await bans.lift(long)
    assert await in_force(bans) == {"key:ann": 60}


async def test_people_ban_as_they_like(bans, clock):
    await bans.add(ANN, GROWTH)
    made = await bans.put(Case("key:ann", why="by hand"), 5)
    assert (made.left_s, made.times, made.case.why) == (5, 0, "by hand")
    assert await bans.add(ANN, GROWTH) is None
    clock.now_s += 5
    assert (await bans.add(ANN, GROWTH)).left_s == 60


async def test_lifting_forgets_those_before_it(bans, clock):
    assert not await bans.lift(ANN)
    for _ in range(2):
        clock.now_s += (await bans.add(ANN, GROWTH)).left_s
    await bans.add(ANN, GROWTH)
    assert await bans.lift(ANN)
    assert await in_force(bans) == {}
    assert not await bans.lift(ANN)
    assert (await bans.add(ANN, GROWTH)).left_s == 60


async def test_news_are_what_has_changed(bans, clock):
    first = await bans.read()
    assert list(first.bans) == []
    await bans.add(ANN, GROWTH)
    second = await bans.read(first.seen)
    assert [ban.case for ban in second.bans] == [ANN]
    clock.now_s += 10
    await bans.add(BOB, GROWTH)
    third = await bans.read(second.seen)
    assert BOB in [ban.case for ban in third.bans]
    clock.now_s += 10
    await bans.lift(ANN)
    fourth = await bans.read(third.seen)
    assert ("key:ann", 0) in [(ban.case.subject, ban.left_s) for ban in fourth.bans]
    clock.now_s += 10
    assert (await bans.read(fourth.seen)).seen == fourth.seen


async def test_a_clock_that_is_set_back_hides_no_news(bans, clock):
    await bans.add(ANN, GROWTH)
    seen = (await bans.read()).seen
    clock.now_s -= 3600
    await bans.add(BOB, GROWTH)
    assert BOB in [ban.case for ban in (await bans.read(seen)).bans]


async def test_there_is_an_end_to_it(bans):
    """Of too many, those stay that last longest."""
    for number in range(3 * MOST):
        await bans.put(Case(f"key:{number}"), 1000 + (number * 7) % (3 * MOST))
    kept = await in_force(bans)
    assert len(kept) <= MOST + 1
    assert sorted(kept.values())[-5:] == [1000 + 3 * MOST - 5 + rank for rank in range(5)]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from("ab"), st.just(0)),
        st.tuples(st.just("put"), st.sampled_from("ab"), st.integers(1, 500)),
        st.tuples(st.just("lift"), st.sampled_from("ab"), st.just(0)),
        st.tuples(st.just("wait"), st.just(""), st.sampled_from([1, 59, 60, 120, 7000, 86_399, 86_400])),
    ),
    max_size=30,
)  # fmt: skip
GROWTHS = st.sampled_from(
    [GROWTH, Growth(3, 1, 3), Growth(1, 100, 86400 * 31), Growth(7, 1.7, 5000), Growth(1, 1.1, 2)]
)


@given(STEPS, GROWTHS)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_both_stores_agree(valkey, steps, growth):
    asyncio.run(agree(valkey, steps, growth))


async def agree(valkey, steps, growth):
    valkey.order("FLUSHALL")
    clock = Clock()
    async with open_bans(valkey.url, deadline_s=10, clock=clock.ms) as shared:
        both = (MemoryBans(clock.ms), shared)
        for how, who, number in steps:
            match how:
                case "wait":
                    clock.now_s += number
                case "add":
                    one, other = [await bans.add(Case(f"key:{who}"), growth) for bans in both]
                    assert one == other
                case "put":
                    one, other = [await bans.put(Case(f"key:{who}"), number) for bans in both]
                    assert one == other
                case _:
                    one, other = [await bans.lift(Case(f"key:{who}")) for bans in both]
                    assert one == other
        one, other = [sorted((await bans.read()).bans, key=repr) for bans in both]
        assert one == other
