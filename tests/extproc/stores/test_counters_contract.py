"""What every store of counters promises."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from extproc.limits.base import Calendar, Charge, Settled, Settlement, Spent, Unit
from extproc.stores.counters_fallback import fall_back
from extproc.stores.counters_memory import MemoryCounters
from extproc.stores.counters_redis import open_counters
from extproc.stores.counters_sharded import ShardedCounters
from tests.extproc.stores.limits import (
    SECOND,
    Clock,
    ask,
    bucket,
    budget,
    leaky,
    semaphore,
    used,
    window,
)

ALL = (bucket(), window(), leaky(), semaphore(), budget())


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["memory", "redis", "sharded", "fallback"])
async def counters(request, valkey, clock):
    async with AsyncExitStack() as stack:

        async def redis(prefix="{headgate}:"):
            opened = open_counters(valkey.url, deadline_s=10, prefix=prefix, clock=clock)
            return await stack.enter_async_context(opened)

        match request.param:
            case "memory":
                yield MemoryCounters(clock)
            case "redis":
                yield await redis()
            case "sharded":
                shards = [await redis(f"{{shard-{number}}}:") for number in range(3)]
                yield ShardedCounters(await redis(), shards, lambda _, scope: scope.split("/")[0])
            case "fallback":
                local = MemoryCounters(clock)
                yield await stack.enter_async_context(fall_back(await redis(), local, 2))


def remaining(verdict):
    return [standing.remaining for standing in verdict.standings]


async def look(counters, *limits, scope="ann"):
    return [one.remaining for one in await counters.look([(each, scope) for each in limits])]


async def test_taking_from_all(counters):
    verdict = await counters.reserve("k", ask(*ALL), 30)
    assert verdict.admitted
    assert (verdict.repeated, verdict.degraded, verdict.retry_after_s) == (False, "", 0.0)
    assert remaining(verdict) == [900, 900, 900, 1, 900]
    assert [one.limit for one in verdict.standings] == list(ALL)
    assert await look(counters, *ALL) == [900, 900, 900, 1, 900]


@pytest.mark.parametrize("short", range(5))
async def test_all_or_none(counters, short):
    limits = list(ALL)
    tight = (
        bucket(amount=50), window(amount=50), leaky(amount=50), semaphore(amount=1),
        budget(amount=50),
    )[short]  # fmt: skip
    if short == 3:
        assert (await counters.reserve("other", ask(tight), 30)).admitted
    limits[short] = tight
    before = await look(counters, *limits)
    verdict = await counters.reserve("k", ask(*limits), 30)
    assert not verdict.admitted
    assert [one.limit for one in verdict.blocking] == [tight]
    assert await look(counters, *limits) == before
    assert (await counters.settle("k", None)).state == "unknown"


async def test_a_repeat_takes_nothing(counters):
    await counters.reserve("k", ask(*ALL), 30)
    again = await counters.reserve("k", ask(*ALL), 30)
    assert (again.admitted, again.repeated, again.blocking) == (True, True, ())
    assert remaining(again) == [900, 900, 900, 1, 900]


async def test_a_refusal_leaves_no_trace(counters, clock):
    await counters.reserve("other", ask(bucket(), amount=1000), 30)
    assert not (await counters.reserve("k", ask(*ALL), 30)).admitted
    clock.wait(60)
    verdict = await counters.reserve("k", ask(*ALL), 30)
    assert (verdict.admitted, verdict.repeated) == (True, False)


async def test_the_truth_comes_in_place_of_the_reservation(counters):
    await counters.reserve("k", ask(*ALL), 30)
    settlement = await counters.settle("k", used(30))
    assert settlement.state == "settled"
    assert sorted(settlement.limits, key=lambda one: one.name) == [
        Settled("at-once", "ann", Unit.CONCURRENT, 1, 1),
        Settled("money", "ann", Unit.USD, 100, 30),
        Settled("rate", "ann", Unit.TOKENS, 100, 30),
        Settled("tpd", "ann", Unit.TOKENS, 100, 30),
        Settled("tpm", "ann", Unit.TOKENS, 100, 30),
    ]
    assert await look(counters, *ALL) == [970, 970, 970, 2, 970]


async def test_settling_counts_once(counters):
    await counters.reserve("k", ask(*ALL), 30)
    await counters.settle("k", used(30))
    for spent in (used(500), None):
        assert await counters.settle("k", spent) == Settlement("repeated")
    assert await look(counters, *ALL) == [970, 970, 970, 2, 970]
    again = await counters.reserve("k", ask(*ALL), 30)
    assert (again.admitted, again.repeated) == (True, True)
    assert await look(counters, *ALL) == [970, 970, 970, 2, 970]


async def test_all_given_back_is_as_if_never_used(counters):
    for key in ("a", "b"):
        await counters.reserve(key, ask(*ALL), 30)
    for key in ("a", "b"):
        await counters.settle(key, None)
    assert await look(counters, *ALL) == [1000, 1000, 1000, 2, 1000]
    standings = await counters.look([(one, "ann") for one in ALL[:3]])
    assert [one.reset_s for one in standings] == [0.0, 0.0, 0.0]


async def test_an_estimate_that_was_short_is_made_up_for(counters):
    await counters.reserve("k", ask(*ALL), 30)
    settlement = await counters.settle("k", used(3000))
    assert {one.overshoot for one in settlement.limits} == {2900, 0}
    assert await look(counters, *ALL) == [-2000, -2000, -2000, 2, -2000]


async def test_an_estimate_that_was_short_counts_though_the_bucket_was_whole(counters, clock):
    await counters.reserve("k", ask(leaky()), 30)
    clock.wait(10)
    await counters.settle("k", used(2500))
    assert await look(counters, leaky()) == [-1400]


async def test_settled_before_it_is_reserved(counters):
    assert await counters.settle("k", used(30)) == Settlement("unknown")
    assert await counters.settle("k", used(500)) == Settlement("repeated")
    verdict = await counters.reserve("k", ask(*ALL), 30, late=True)
    assert (verdict.admitted, verdict.repeated) == (True, True)
    assert await look(counters, *ALL) == [970, 970, 970, 2, 970]
    assert await counters.settle("k", used(500)) == Settlement("repeated")


async def test_given_back_before_it_is_reserved(counters):
    await counters.settle("k", None)
    await counters.reserve("k", ask(*ALL), 30)
    assert await look(counters, *ALL) == [1000, 1000, 1000, 2, 1000]


async def test_late_takes_fit_or_not(counters):
    for key in ("a", "b", "c"):
        verdict = await counters.reserve(key, ask(*ALL, amount=600), 30, late=True)
        assert verdict.admitted
    assert await look(counters, *ALL) == [-800, -800, -800, -1, -800]
    for key in ("a", "b", "c"):
        await counters.settle(key, None)
    assert await look(counters, *ALL) == [1000, 1000, 1000, 2, 1000]


async def test_shadow_refuses_nothing_and_takes_nothing(counters):
    ghost = bucket("ghost", 150, shadow=True)
    first = await counters.reserve("a", ask(bucket(), ghost), 30)
    assert (remaining(first), first.shadowed) == ([900, 50], ())
    second = await counters.reserve("b", ask(bucket(), ghost), 30)
    assert second.admitted
    assert remaining(second) == [800, 50]
    assert [one.limit.name for one in second.shadowed] == ["ghost"]
    assert second.blocking == ()
    settlement = await counters.settle("b", used(40))
    assert [one.name for one in settlement.limits] == ["tpm"]
    assert await look(counters, bucket(), ghost) == [860, 50]


async def test_shadow_takes_nothing_when_another_refuses(counters):
    ghost = bucket("ghost", shadow=True)
    verdict = await counters.reserve("a", ask(bucket(amount=50), ghost), 30)
    assert not verdict.admitted
    assert await look(counters, ghost) == [1000]


async def test_leases_end_and_what_was_reserved_stays_taken(counters, clock):
    await counters.reserve("k", ask(bucket(), budget(), semaphore(amount=1)), 30)
    clock.wait(29.999)
    assert not (await counters.reserve("other", ask(semaphore(amount=1)), 30)).admitted
    clock.wait(0.001)
    assert (await counters.reserve("other", ask(semaphore(amount=1)), 30)).admitted
    assert await look(counters, budget(), semaphore(amount=1)) == [900, 0]
    settlement = await counters.settle("k", used(30))
    assert settlement.state == "settled"
    assert await look(counters, budget(), semaphore(amount=1)) == [970, 0]


async def test_renewed_leases_stay(counters, clock):
    one = semaphore(amount=1)
    await counters.reserve("k", ask(one, bucket()), 30)
    for _ in range(5):
        clock.wait(20)
        assert await counters.renew("k", 30)
    assert not (await counters.reserve("other", ask(one), 30)).admitted
    clock.wait(30)
    assert (await counters.reserve("other", ask(one), 30)).admitted
    assert not await counters.renew("k", 30), "somebody else has its place"
    await counters.settle("other", None)
    assert await counters.renew("k", 30), "and it is taken back when that is free"


async def test_nothing_to_renew(counters):
    assert not await counters.renew("k", 30)
    await counters.reserve("k", ask(semaphore()), 30)
    await counters.settle("k", None)
    assert not await counters.renew("k", 30)


async def test_when_to_come_back(counters, clock):
    await counters.reserve("k", ask(*ALL[:2], budget(), amount=1000), 30)
    refused = await counters.reserve("b", ask(bucket(), amount=500), 30)
    assert refused.retry_after_s == 30.0
    refused = await counters.reserve("b", ask(bucket(), window(), budget(), amount=500), 30)
    assert refused.retry_after_s == pytest.approx(18.5 * 86_400), "the budget's month has to end"
    refused = await counters.reserve("b", ask(bucket(), amount=1001), 30)
    assert refused.retry_after_s is None
    clock.wait(30)
    assert (await counters.reserve("b", ask(bucket(), amount=500), 30)).admitted


async def test_a_semaphore_guesses(counters, clock):
    for key in ("a", "b"):
        await counters.reserve(key, ask(semaphore()), 30)
    clock.wait(4)
    await counters.settle("a", None)
    await counters.reserve("c", ask(semaphore()), 30)
    refused = await counters.reserve("d", ask(semaphore()), 30)
    assert refused.retry_after_s == 2.0, "two places, each held for four seconds"
    assert refused.standings[0].reset_s == 4.0


async def test_levels_of_a_budget_are_told_to_one(counters):
    money = budget(alerts=(50, 80, 100))
    for key in "abcd":
        await counters.reserve(key, ask(money), 30, late=True)
    settlements = await asyncio.gather(*(counters.settle(key, used(250)) for key in "abcd"))
    told = [level for each in settlements for level in each.limits[0].crossed]
    assert sorted(told) == [50, 80, 100]


async def test_scopes_count_apart(counters):
    for scope in ("ann", "ann/x", "bob", "\u00e9:*[a-z]\\", "\ud800", "x" * 1000):
        verdict = await counters.reserve(f"k{scope[:9]}", ask(*ALL, scope=scope), 30)
        assert remaining(verdict) == [900, 900, 900, 1, 900]
    assert await counters.scopes("tpm") == sorted(
        ["ann", "ann/x", "bob", "\u00e9:*[a-z]\\", "\ud800", "x" * 1000]
    )
    assert await counters.scopes("tp*") == []
    for name in ("tpd", "rate", "at-once", "money"):
        assert len(await counters.scopes(name)) == 6


async def test_looking_at_many(counters):
    await counters.reserve("k", ask(bucket(), scope="207"), 30)
    pairs = [(bucket(), str(number)) for number in range(250)] + [(bucket(), "207")]
    found = await counters.look(pairs)
    assert [one.scope for one in found] == [scope for _, scope in pairs]
    assert [index for index, one in enumerate(found) if one.remaining < 1000] == [207, 250]


async def test_reset_forgets_one_scope(counters):
    for scope in ("ann", "bob"):
        await counters.reserve(f"k{scope}", ask(*ALL, scope=scope), 30)
    for one in ALL:
        assert await counters.reset(one.name, "ann")
        assert not await counters.reset(one.name, "eve")
    assert await look(counters, *ALL) == [1000, 1000, 1000, 2, 1000]
    assert await look(counters, *ALL, scope="bob") == [900, 900, 900, 1, 900]
    await counters.settle("kann", used(30))
    assert await look(counters, *ALL) == [1000, 1000, 1000, 2, 1000], "settled, it takes nothing"


async def test_to_probe_takes_nothing(counters):
    await counters.probe()
    for one in ALL:
        assert await counters.scopes(one.name) == []


async def test_a_settlement_that_is_forgotten(counters):
    await counters.settle("k", None, forget=True)
    first = await counters.reserve("k", ask(*ALL), 30)
    assert not first.repeated
    await counters.settle("k", used(30), forget=True)
    second = await counters.reserve("k", ask(*ALL), 30)
    assert not second.repeated
    assert await look(counters, *ALL) == [870, 870, 870, 1, 870]


async def test_settled_under_another_policy(counters):
    """The request belongs to the limits as they were; the count goes on under those that are."""
    await counters.reserve("k", ask(bucket(), window()), 30)
    wider = (bucket(amount=5000), window(amount=300, period_s=3600))
    await counters.reserve("new", ask(*wider), 30)
    assert (await counters.settle("k", used(60))).state == "settled"
    assert await look(counters, wider[0]) == [4840]


async def test_nothing_to_take(counters):
    assert (await counters.reserve("k", [], 30)).standings == ()
    assert await counters.look([]) == ()
    assert await counters.settle("k", used(5)) == Settlement("settled")


async def test_a_charge_of_nothing(counters):
    assert (await counters.reserve("k", ask(*ALL[:3], amount=0), 30)).admitted
    await counters.settle("k", used(0))
    assert await look(counters, *ALL[:3]) == [1000, 1000, 1000]
    await counters.reserve("over", ask(bucket()), 30)
    await counters.settle("over", used(2000))
    assert not (await counters.reserve("l", ask(bucket(), amount=0), 30)).admitted, "in debt"


async def test_absurd_amounts(counters):
    huge = Charge(bucket(), "ann", 2**53)
    verdict = await counters.reserve("k", [huge], 30)
    assert (verdict.admitted, verdict.retry_after_s) == (False, None)
    for amount in (-1, 2**53 + 1):
        with pytest.raises(ValueError, match="no amount"):
            await counters.reserve("k", [Charge(bucket(), "ann", amount)], 30)
    await counters.reserve("k", ask(budget()), 30)
    await counters.settle("k", Spent(nano_usd=2**53))
    assert await look(counters, budget()) == [1000 - 2**53]


async def test_the_same_limit_twice(counters):
    with pytest.raises(ValueError, match="same limit"):
        await counters.reserve("k", ask(bucket(), bucket()), 30)


async def test_cached_tokens_weigh_less(counters):
    light = bucket(cached_weight=0.25)
    await counters.reserve("k", ask(light, window()), 30)
    await counters.settle("k", Spent(prompt_tokens=80, cached_tokens=40, completion_tokens=5))
    assert await look(counters, light, window()) == [945, 915]


async def test_unsettled_it_is_known_for_a_day(counters, clock):
    await counters.reserve("k", ask(window()), 30)
    clock.wait(86_400 - 1)
    assert (await counters.settle("k", used(30))).state == "settled"
    clock.wait(599)
    assert (await counters.settle("k", used(30))).state == "repeated"
    clock.wait(1)
    assert (await counters.settle("k", used(30))).state == "unknown"


async def test_a_day_has_its_own_hours(counters, clock):
    """A budget by the day, in Berlin, over the night in which an hour is left out."""
    clock.now_us = 1_774_735_200 * SECOND  # 28 March 2026, 23:00 there
    daily = budget(calendar=Calendar.DAY, zone="Europe/Berlin")
    verdict = await counters.reserve("a", ask(daily), 30)
    assert verdict.standings[0].reset_s == 3600
    clock.wait(3600)
    verdict = await counters.reserve("b", ask(daily), 30)
    assert (remaining(verdict), verdict.standings[0].reset_s) == ([900], 23 * 3600)
