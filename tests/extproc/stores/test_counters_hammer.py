"""Many at once, over several connections: no limit is ever exceeded, and nothing leaks."""

import asyncio
import random
from collections import Counter
from contextlib import AsyncExitStack

import pytest

from extproc.limits.base import Charge, Spent, Unit
from extproc.stores.counters_memory import MemoryCounters
from extproc.stores.counters_redis import open_counters
from tests.extproc.stores.limits import Clock, bucket, budget, leaky, semaphore, window

LIMITS = (
    bucket(amount=3000, strict=True),
    window(amount=2500, strict=True),
    leaky(amount=2800, strict=True),
    budget(amount=2600, strict=True),
    semaphore(amount=4),
)
TASKS, ROUNDS = 60, 8


@pytest.fixture(params=["memory", "redis"])
async def doors(request, valkey):
    """Several ways in to the same counters: one per worker. The clock stands still, so that what
    is admitted is known exactly."""
    clock = Clock()
    if request.param == "memory":
        yield [MemoryCounters(clock)]
        return
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(open_counters(valkey.url, deadline_s=20, clock=clock))
            for _ in range(4)
        ]


class Book:
    """What the outside knows: it may lag behind the counters, never lead."""

    def __init__(self):
        self.inside = 0
        self.most_inside = 0
        self.used = Counter()
        self.verdicts = Counter()

    def enter(self):
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)


async def client(number, doors, book, dice):
    for turn in range(ROUNDS):
        key, amount = f"{number}.{turn}", dice.randint(1, 120)
        charges = [Charge(one, "", 1 if one.unit is Unit.CONCURRENT else amount) for one in LIMITS]
        verdict = await dice.choice(doors).reserve(key, charges, 60)
        if dice.random() < 0.3:
            again = await dice.choice(doors).reserve(key, charges, 60)
            assert again.repeated or not verdict.admitted
            verdict = again
        book.verdicts[verdict.admitted] += 1
        if not verdict.admitted:
            assert verdict.blocking
            continue
        book.enter()
        await asyncio.sleep(0)
        if dice.random() < 0.3:
            assert await dice.choice(doors).renew(key, 60)
        used = None if dice.random() < 0.5 else dice.randint(0, amount)
        book.inside -= 1
        spent = used if used is None else Spent(completion_tokens=used, nano_usd=used)
        ends = await asyncio.gather(
            *(dice.choice(doors).settle(key, spent) for _ in range(dice.randint(1, 3)))
        )
        assert sum(end.state == "settled" for end in ends) == 1
        book.used["tokens"] += used or 0


@pytest.mark.parametrize("seed", range(3))
async def test_never_over_and_nothing_leaks(doors, seed):
    book = Book()
    async with asyncio.TaskGroup() as group:
        for number in range(TASKS):
            dice = random.Random(f"{seed}.{number}")
            group.create_task(client(number, doors, book, dice))
    standings = await doors[0].look([(one, "") for one in LIMITS])
    assert [one.remaining for one in standings] == [
        *(one.amount - book.used["tokens"] for one in LIMITS[:4]),
        4,
    ]
    assert book.used["tokens"] <= 2500
    assert book.most_inside <= 4
    assert min(book.verdicts.values()) > 20, "some were refused, some were not"


async def test_exactly_as_many_as_fit(doors):
    """A burst far above the limit admits all that fits and nothing more."""
    limit = bucket(amount=1000, strict=True)
    verdicts = await asyncio.gather(
        *(
            doors[number % len(doors)].reserve(f"k{number}", [Charge(limit, "", 7)], 60)
            for number in range(400)
        )
    )
    assert sum(verdict.admitted for verdict in verdicts) == 1000 // 7
    waits = {verdict.retry_after_s for verdict in verdicts if not verdict.admitted}
    assert waits == {0.06}, "six are left, the seventh comes in 60 ms"
