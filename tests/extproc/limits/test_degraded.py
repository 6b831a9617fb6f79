"""What is said while nobody can be asked."""

import pytest

from extproc.limits.base import Algorithm, Charge, Limit, Standing, Unit
from extproc.limits.degraded import (
    deny,
    find_share,
    is_denied,
    let_pass,
    longest_wait,
    restore,
)

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
