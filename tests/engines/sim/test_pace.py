import asyncio
import time
from math import inf

import pytest

from engines.sim.pace import FixedPace, Stall


async def test_it_waits_and_does_not_go_back():
    started_s = time.monotonic()
    slow, pace = (FixedPace(started_s, itl_s, Stall()) for itl_s in (3600, 0.02))
    await slow.until(0)
    assert slow.is_due(0)
    assert not slow.is_due(1)
    await pace.until(1)
    assert time.monotonic() - started_s > 0.019
    assert pace.is_due(1)


async def test_what_comes_before_the_first_token_is_always_due():
    assert FixedPace(inf, 0.0, Stall()).is_due(-1)


async def test_never():
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(FixedPace(inf, 0.0, Stall()).until(0), 0.02)


async def test_a_stall_holds_what_is_overdue_and_what_is_not():
    stall = Stall()
    started_s = time.monotonic()
    pace = FixedPace(started_s, 0.005, stall)
    waiting = asyncio.ensure_future(pace.until(2))
    await asyncio.sleep(0)
    stall.until_s = started_s + 0.05
    assert not pace.is_due(0)
    await waiting
    assert time.monotonic() - started_s > 0.049
