"""What is said while nobody can be asked."""

import pytest

from extproc.limits.base import Algorithm, Charge, Limit, Standing, Unit
from extproc.limits.degraded import (
    Alone,
    deny,
    find_share,
    is_denied,
    let_pass,
    longest_wait,
    restore,
)
from extproc.limits.rules import compile_limit
from extproc.stores.counters_memory import MemoryCounters
from tests.extproc.stores.limits import Clock, ask, bucket, budget, semaphore, window

LIMIT = Limit(
    name="tpm", algorithm=Algorithm.TOKEN_BUCKET, unit=Unit.TOKENS, amount=1000, period_s=60,
    burst=30, on_fault="deny",
)  # fmt: skip
GHOST = Limit(
    name="ghost", algorithm=Algorithm.SEMAPHORE, unit=Unit.CONCURRENT, amount=3, on_fault="deny",
    shadow=True,
)  # fmt: skip


@pytest.mark.parametrize(
    ("limit", "replicas", "amount", "burst"),
    [(LIMIT, 1, 1000, 30), (LIMIT, 3, 333, 10), (LIMIT, 50, 20, 1), (GHOST, 8, 1, 0)],
)
def test_shares(limit, replicas, amount, burst):
    share = find_share(limit, replicas)
    assert (share.name, share.amount, share.burst) == (limit.name, amount, burst)


@pytest.mark.parametrize("algorithm", [Algorithm.TOKEN_BUCKET, Algorithm.LEAKY_BUCKET])
@pytest.mark.parametrize("period_s", [1, 60, 3600, 86_400, 30 * 86_400])
@pytest.mark.parametrize("amount", [1, 999, 10**9, 5 * 10**10, 10**12, 10**13])
def test_every_share_can_be_counted(algorithm, period_s, amount):
    limit = Limit(name="usd", algorithm=algorithm, unit=Unit.USD, amount=amount, period_s=period_s)
    if not is_countable(limit):
        return  # no policy has it
    for replicas in range(1, 30):
        share = find_share(limit, replicas)
        assert is_countable(share)
        assert share.amount <= max(1, amount // replicas)
        assert share.amount > 0.999 * (amount // replicas)


def test_a_share_is_never_so_slow_that_it_cannot_be_counted():
    limit = Limit(
        name="slow", algorithm=Algorithm.LEAKY_BUCKET, unit=Unit.TOKENS, amount=3,
        period_s=86_400, burst=1000,
    )  # fmt: skip
    assert is_countable(limit)
    share = find_share(limit, 2)
    assert is_countable(share)
    assert (share.amount, share.burst) == (1, 366)


def is_countable(limit):
    try:
        compile_limit(limit)
    except ValueError:
        return False
    return True


def test_who_denies():
    assert is_denied(Charge(LIMIT, "ann", 1))
    assert not is_denied(Charge(GHOST, "ann", 1)), "what is in shadow refuses nothing"
    assert deny(Charge(LIMIT, "ann", 1)) == Standing(LIMIT, "ann", 0, 1.0, True, 1.0)
    assert not deny(Charge(GHOST, "ann", 1)).blocking


def test_who_lets_pass():
    assert let_pass(Charge(LIMIT, "ann", 1)) == Standing(LIMIT, "ann", 1000, 0.0)


@pytest.mark.parametrize(
    ("amount", "wait_s", "after_s"), [(30, None, 1.0), (31, None, None), (30, 5.0, 5.0)]
)
def test_a_share_s_standing_becomes_the_limit_s(amount, wait_s, after_s):
    standing = Standing(find_share(LIMIT, 3), "ann", 7, 2.0, True, wait_s)
    restored = restore(Charge(LIMIT, "ann", amount), standing)
    assert restored == Standing(LIMIT, "ann", 7, 2.0, True, after_s)


@pytest.mark.parametrize(("waits", "longest"), [((), 0.0), ((1.0, 5.0), 5.0), ((1.0, None), None)])
def test_the_longest_wait(waits, longest):
    standings = [Standing(LIMIT, "ann", 0, 0.0, True, wait) for wait in waits]
    ghost = Standing(GHOST, "ann", 0, 0.0, True, None)
    assert longest_wait([*standings, ghost]) == longest


class Worker:
    """One of `replicas` that counts alone."""

    def __init__(self, replicas=2):
        self._alone = Alone(MemoryCounters(Clock()), replicas)

    async def ask(self, key, charges, *, late=False):
        return await self._alone.reserve(key, charges, 30, late, None)


async def test_each_limit_says_what_happens():
    local, denied, free = (
        bucket("local"), bucket("deny", on_fault="deny"), bucket("open", on_fault="open"),
    )  # fmt: skip
    ghost = bucket("ghost", on_fault="deny", shadow=True)
    worker = Worker()
    verdict = await worker.ask("a", ask(local, free))
    assert (verdict.admitted, verdict.degraded) == (True, "local")
    assert [one.remaining for one in verdict.standings] == [400, 1000]
    assert [one.limit for one in verdict.standings] == [local, free]

    verdict = await worker.ask("b", ask(free, ghost))
    assert (verdict.admitted, verdict.degraded, verdict.blocking) == (True, "open", ())

    verdict = await worker.ask("c", ask(local, denied, free))
    assert (verdict.admitted, verdict.degraded, verdict.retry_after_s) == (False, "deny", 1.0)
    assert [one.limit for one in verdict.blocking] == [denied]

    verdict = await worker.ask("d", ask(local, free, amount=450))
    assert (verdict.admitted, verdict.degraded) == (False, "local")
    assert [one.limit for one in verdict.blocking] == [local]
    assert 0 < verdict.retry_after_s <= 6


async def test_what_was_admitted_elsewhere_is_taken_whatever_limits_say():
    verdict = await Worker().ask("a", ask(bucket(), bucket("deny", on_fault="deny")), late=True)
    assert (verdict.admitted, verdict.degraded) == (True, "local")


async def test_a_share_is_a_part_and_never_nothing():
    worker = Worker(replicas=4)
    limits = (budget(), window(), semaphore(), bucket(burst=80))
    verdict = await worker.ask("a", ask(*limits, amount=20))
    assert [one.remaining for one in verdict.standings] == [230, 230, 0, 0]
    assert not (await worker.ask("b", ask(semaphore()))).admitted


@pytest.mark.parametrize(("amount", "retry_after_s"), [(600, 1.0), (1001, None)])
async def test_what_only_the_share_is_too_small_for_may_come_back(amount, retry_after_s):
    verdict = await Worker().ask("a", ask(bucket(), amount=amount))
    assert not verdict.admitted
    assert verdict.retry_after_s == retry_after_s
    assert verdict.standings[0].retry_after_s == retry_after_s
