"""Turns: some questions at once, few of one tenant's, and nobody waits without end."""

import asyncio
import threading

import pytest

from sidecars.common.errors import Code, Refusal
from sidecars.ledger.turns import Turns


class Gate:
    """Work that goes on until it is told to end."""

    def __init__(self):
        self.at_work = []
        self.open = threading.Event()

    @property
    def running(self):
        return len(self.at_work)

    def work(self):
        self.at_work.append(threading.get_ident())
        assert self.open.wait(30)
        return "done"


async def until(check):
    async with asyncio.timeout(30):
        while not check():  # noqa: ASYNC110 - threads move what is checked
            await asyncio.sleep(0.001)


async def settle():
    await asyncio.sleep(0.02)


async def test_at_most_so_many_at_once():
    turns, gate = Turns(at_once=3, at_once_each=3), Gate()
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(turns.take(f"t{n}", gate.work)) for n in range(8)]
        await until(lambda: gate.running == 3)
        await settle()
        assert gate.running == 3
        gate.open.set()
    assert [each.result() for each in asked] == ["done"] * 8


async def test_one_tenant_leaves_room_for_others():
    turns, gate = Turns(at_once=4, at_once_each=2), Gate()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(20):
            tasks.create_task(turns.take("greedy", gate.work))
        await until(lambda: gate.running == 2)
        assert await turns.take("modest", lambda: "at once") == "at once"
        assert gate.running == 2
        gate.open.set()


async def test_nobody_waits_without_end():
    turns, gate = Turns(at_once=1, wait_s=0.02), Gate()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(turns.take("a", gate.work))
        await until(lambda: gate.running)
        with pytest.raises(Refusal) as refused:
            await turns.take("b", gate.work)
        assert (refused.value.code, refused.value.retry_after_s) == (Code.BUSY, 1)
        gate.open.set()
    assert await turns.take("b", lambda: 1) == 1


async def test_a_failure_gives_its_turn_back():
    turns = Turns(at_once=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await turns.take("a", lambda: 1 // 0)
    assert await turns.take("a", lambda: 1) == 1


async def test_tenants_that_have_asked_are_forgotten():
    turns = Turns()
    for tenant in range(100):
        await turns.take(str(tenant), lambda: None)
    assert not turns._own
