"""Long prompts of a key that sent too many of them."""

import pytest

from extproc.counting.counted import Counted
from extproc.errors import Reason
from extproc.filters.long_prompts import LongPrompts
from extproc.guards.base import Barred, Case
from extproc.guards.guard import Guard
from extproc.guards.view import View
from extproc.request import Identity
from extproc.stores.bans_memory import MemoryBans
from extproc.stores.counters_memory import MemoryCounters
from extproc.stores.memory import MemoryGuardMeter
from tests.extproc.guards.cases import PROMPT_RULE, Clock, answered
from tests.extproc.requests import bare


class Door:
    def __init__(self):
        self.clock = Clock()
        self.meter = MemoryGuardMeter()
        self.bans = MemoryBans(self.clock.ms)
        view = View(self.bans, MemoryBans(), self.clock.s)
        self.guard = Guard(MemoryCounters(self.clock.us), view, self.meter)
        self.filter = LongPrompts(PROMPT_RULE, self.guard)

    async def ban(self, barred=Barred.LONG_PROMPTS, *, shadow=False):
        await self.bans.put(Case("key:acme-1", barred, shadow=shadow), 600)
        await self.guard.turn()

    async def ask(self, tokens, key_id="acme-1"):
        request = bare().having(Identity("acme", key_id)).having(Counted(tokens))
        decision = await self.filter.decide(request)
        return None if decision is request else decision


@pytest.fixture
def door():
    return Door()


async def test_while_it_is_off_all_pass(door):
    assert await door.ask(10**6) is None
    await door.ban(Barred.REQUESTS)
    assert await door.ask(10**6) is None, "that is for another filter"


async def test_while_it_is_on_short_ones_pass(door):
    await door.ban()
    assert await door.ask(5000) is None
    assert await door.ask(9000, "acme-2") is None
    denied = await door.ask(5001)
    assert (denied.reason, denied.retry_after_s) == (Reason.LONG_PROMPT, 600)
    assert denied.headers == {"x-should-retry": "false"}
    assert denied.message == (
        "This prompt has 5001 tokens. Because too many of your prompts were long, those above 5000"
        " tokens are refused until 2027-01-15 08:10:00 UTC."
    )
    assert [case.barred for case in door.meter.requests] == [Barred.LONG_PROMPTS]


async def test_it_goes_off_by_itself(door):
    await door.ban()
    door.clock.now_s += 600
    assert await door.ask(5001) is None


async def test_in_shadow_it_is_counted_and_passes(door):
    await door.ban(shadow=True)
    assert await door.ask(5001) is None
    assert len(door.meter.requests) == 1


async def test_it_is_switched_on_by_what_has_ended(door):
    for number in range(20):
        await door.filter.settle(answered(6000 if number < 7 else 10))
    await door.guard.turn()
    assert (await door.ask(5001)).reason is Reason.LONG_PROMPT
