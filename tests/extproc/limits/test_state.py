"""All algorithms have one shape, and no step changes the state it is given."""

import pytest

from extproc.limits.base import Algorithm, Calendar, Limit, Unit
from extproc.limits.rules import compile_limit
from extproc.limits.state import Hold

NOW = 1_763_600_000_000_000
LIMITS = [
    Limit(name="b", algorithm=Algorithm.TOKEN_BUCKET, unit=Unit.TOKENS, amount=9, period_s=60),
    Limit(name="w", algorithm=Algorithm.SLIDING_WINDOW, unit=Unit.TOKENS, amount=9, period_s=60),
    Limit(name="s", algorithm=Algorithm.SEMAPHORE, unit=Unit.CONCURRENT, amount=9),
    Limit(name="m", algorithm=Algorithm.BUDGET, unit=Unit.USD, amount=9, calendar=Calendar.DAY),
]


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.algorithm.value)
def test_a_life(limit):
    rule = compile_limit(limit).rule
    fresh = rule.state(None, NOW)
    before = repr(fresh)
    taken, held = fresh.take(Hold("k", 1, NOW, NOW + 10**6, strict=False))
    assert taken.look(NOW).remaining == 8
    assert taken.wait_us(1, NOW) == 0
    assert taken.gone_us(NOW) > NOW
    settled, crossed = taken.settle(held, 0, NOW)
    assert (settled.look(NOW).remaining, crossed) == (9, ())
    assert repr(fresh) == before
    with pytest.raises(AttributeError):
        fresh.rule = None
