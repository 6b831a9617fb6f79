"""Slices of a watched answer: each reserved under a key of its own, all of them found again at the end."""

import asyncio

import pytest

from extproc.errors import CountersFaultError
from extproc.limits.amounts import Estimate
from extproc.limits.base import Charge
from extproc.limits.slices import Slices
from extproc.limits.stop import SLICE_TOKENS
from extproc.stores.counters_fallback import fall_back
from extproc.stores.counters_memory import MemoryCounters
from tests.extproc.stores.limits import Clock, bucket, budget, used

TPM = bucket(amount=1000)
MONEY = budget(amount=10**9)
ESTIMATE = Estimate(100, 100, 256, 4000, price="1/0.5/2")


class Stream:
    """One that has begun, over counters that can be asked what is left."""

    def __init__(self, *limits, counters=None):
        self.limits = limits
        self.watched = [Charge(each, "acme", 1) for each in limits]
        self.counters = MemoryCounters(Clock()) if counters is None else counters
        self.slices = Slices(self.counters, "k", 35.0)

    async def reserve(self, tokens=SLICE_TOKENS):
        return await self.slices.reserve(self.watched, ESTIMATE, tokens)

    async def end(self, tokens):
        """Whoever settles knows the key and what was used, and no more."""
        await Slices(self.counters, "k", 35.0).give_back(tokens)

    async def left(self):
        standings = await self.counters.look([(each, "acme") for each in self.limits])
        return [one.remaining for one in standings]


async def test_a_slice_is_of_the_answer_alone_in_each_limits_unit():
    stream = Stream(TPM, MONEY)
    assert await stream.reserve(200) == ""
    assert await stream.left() == [800, 10**9 - 200 * 2000], "the prompt is paid for already"


async def test_a_slice_that_does_not_fit_names_the_limit_and_takes_nothing():
    stream = Stream(TPM, MONEY)
    assert [await stream.reserve() for _ in range(4)] == ["", "", "", "tpm"]
    assert (await stream.left())[0] == 1000 - 3 * SLICE_TOKENS


@pytest.mark.parametrize("slices", [0, 1, 3])
async def test_all_are_given_back_whoever_counts(slices):
    stream = Stream(TPM)
    for _ in range(slices):
        await stream.reserve()
    await stream.end(tokens=0)
    assert await stream.left() == [1000], "also when nobody knows how long the answer was"


async def test_one_that_was_given_back_before_hides_no_other():
    """The answer to the first call got lost, so it was sent again."""
    stream = Stream(TPM)
    for _ in range(3):
        await stream.reserve()
    await stream.counters.settle("k+1", None)
    await stream.end(tokens=0)
    assert await stream.left() == [1000]


class Told(MemoryCounters):
    """Says what it was asked to settle."""

    def __init__(self):
        super().__init__(Clock())
        self.keys = []

    async def settle(self, settle_key, spent, *, forget=False):
        self.keys.append(settle_key)
        return await super().settle(settle_key, spent, forget=forget)


async def test_it_ends_where_there_are_no_more():
    counters = Told()
    await Stream(TPM, counters=counters).end(tokens=600)
    assert counters.keys == ["k+1", "k+2", "k+3", "k+4"], "as many as could be, and one"


class Away:
    """Counters that may be away for a while."""

    def __init__(self, counters):
        self.counters, self.away = counters, False

    async def reserve(self, *given, **more):
        return await self._ask(self.counters.reserve, given, more)

    async def settle(self, *given, **more):
        return await self._ask(self.counters.settle, given, more)

    async def probe(self):
        return await self._ask(self.counters.probe, (), {})

    async def _ask(self, method, given, more):
        if self.away:
            raise CountersFaultError("away")
        return await method(*given, **more)


@pytest.mark.parametrize("away_from", ["one slice", "the end"])
async def test_they_are_given_back_though_the_counters_were_away_for_a_while(away_from):
    truth = MemoryCounters(Clock())
    shared = Away(truth)
    async with fall_back(shared, MemoryCounters(Clock()), 1, probe_s=0.001) as counters:
        stream = Stream(bucket(amount=10_000), counters=counters)
        await counters.reserve("k", [Charge(stream.limits[0], "acme", 356)], 35.0)
        for number in range(4):
            shared.away = away_from == "one slice" and number == 1
            assert await stream.reserve() == ""
        shared.away = away_from == "the end"
        await counters.settle("k", used(1000))
        await stream.end(tokens=1000)
        shared.away = False
        async with asyncio.timeout(30):
            while (await truth.look([(stream.limits[0], "acme")]))[0].remaining != 9000:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.001)
