import asyncio
import time

import msgspec
import pytest

from engines.sim.core import Core
from engines.sim.driver import Driver
from engines.sim.profile import PROFILES
from engines.sim.sequence import Job

GUARD_S = 30.0

# 20 ms for a step: slow enough to come between two of them.
QUICK = msgspec.structs.replace(
    PROFILES["8b-h100"], step_s=0.02, weights_s=0.0, token_s=1e-9, startup_s=0.0, blocks=100
)


def job(key: int, output: int = 4, prompt: int = 40) -> Job:
    return Job(
        key=key,
        blocks=tuple(range(prompt // 16)),
        prompt_tokens=prompt,
        output_tokens=output,
    )


async def test_steps_come_in_time():
    driver = Driver(Core(QUICK))
    started_s = time.monotonic()
    firsts: list[tuple[int, int]] = []
    ticket = driver.start([job(1)], lambda at, cached: firsts.append((at, cached)))
    assert not ticket.is_due(0)
    await ticket.until(0)
    assert ticket.is_due(0)
    assert firsts == [(0, 0)]
    await ticket.until(3)
    assert time.monotonic() - started_s > 0.079
    driver.stop(ticket)
    driver.close()


async def test_a_step_of_several_choices_is_done_when_all_have_done_it():
    driver = Driver(Core(msgspec.structs.replace(QUICK, max_batched_tokens=64, max_seqs=64)))
    ticket = driver.start([job(1, output=2), job(2, output=6, prompt=60)], lambda *_: None)
    await ticket.until(5)
    assert driver.core.load(time.monotonic()).generation_tokens == 8
    driver.close()


async def test_who_leaves_is_gone_with_the_step_and_others_stay():
    driver = Driver(Core(QUICK))
    leaving = driver.start([job(1, output=1000)], lambda *_: None)
    staying = driver.start([job(2, output=6)], lambda *_: None)
    await staying.until(1)
    driver.stop(leaving)
    driver.stop(leaving)
    await staying.until(5)
    async with asyncio.timeout(GUARD_S):
        while driver.core.load(time.monotonic()).running:  # noqa: ASYNC110 - the step has to end
            await asyncio.sleep(0.005)
    driver.close()


async def test_what_never_fits_leaves_nothing_behind():
    driver = Driver(Core(QUICK))
    with pytest.raises(ValueError, match="fit"):
        driver.start([job(1), job(2, prompt=10_000)], lambda *_: None)
    await asyncio.sleep(0.05)
    load = driver.core.load(time.monotonic())
    assert (load.running, load.waiting) == (0, 0)
    driver.close()


async def test_a_stall():
    driver = Driver(Core(QUICK))
    ticket = driver.start([job(1)], lambda *_: None)
    started_s = time.monotonic()
    driver.stall(started_s + 0.2)
    await ticket.until(1)
    assert time.monotonic() - started_s > 0.19
    driver.close()
