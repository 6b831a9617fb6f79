"""Lines over counters: who may take, who is called, and what standing in several lines means."""

import pytest

from extproc.limits.base import Charge, Ticket, find_places
from extproc.stores.counters_memory import MemoryCounters
from tests.extproc.stores.limits import Clock, bucket, semaphore, used

SLOTS = semaphore("slots", 2, wait_s=5)
TPM = bucket("tpm", 1000, wait_s=5)
PLAIN = semaphore("plain", 2)


class Desk:
    def __init__(self):
        self.clock, self.heard = Clock(), []
        self.counters = MemoryCounters(self.clock)
        self.counters.listen(lambda place: self.heard.append(place.settle_key))

    def charges(self, limits, amount=1):
        return [Charge(one, "", 1 if "tok" not in one.unit else amount) for one in limits]

    async def ask(self, key, *limits, amount=1, joins=True, priority="batch", weight=1):
        ticket = Ticket("w1", priority, weight, "acme", joins)
        charges = self.charges(limits or (SLOTS,), amount)
        return await self.counters.reserve(key, charges, 30, ticket=ticket)

    async def leave(self, key, *limits, amount=1):
        ticket = Ticket("w1", "batch", 1, "acme")
        places = find_places(key, self.charges(limits or (SLOTS,), amount), ticket)
        await self.counters.leave(places)

    async def end(self, key):
        await self.counters.settle(key, used(0))


@pytest.fixture
def desk():
    return Desk()


async def test_nobody_passes_whom_others_wait_before(desk):
    assert [(await desk.ask(key)).admitted for key in "ab"] == [True, True]
    assert (await desk.ask("c")).waits
    await desk.end("a")
    assert desk.heard == ["c"]
    barging = await desk.ask("d")
    assert (barging.admitted, barging.waits) == (False, True)
    assert (await desk.ask("c")).admitted
    assert desk.counters.waiting == 1


async def test_who_only_asks_does_not_join_and_does_not_pass(desk):
    for key in "ab":
        await desk.ask(key)
    looked = await desk.ask("c", joins=False)
    assert (looked.admitted, looked.waits, desk.counters.waiting) == (False, False, 0)
    await desk.ask("d")
    await desk.end("a")
    assert not (await desk.ask("c", joins=False)).admitted
    assert (await desk.ask("d", joins=False)).admitted


async def test_what_has_begun_does_not_mind_lines(desk):
    await desk.ask("a", TPM, amount=900)
    await desk.ask("b", TPM, amount=500)
    verdict = await desk.counters.reserve("a+1", [Charge(TPM, "", 100)], 30)
    assert verdict.admitted


async def test_guesses_count_those_who_are_before(desk):
    for key in "ab":
        await desk.ask(key)
    desk.clock.wait(1)
    await desk.end("a")
    await desk.ask("c")
    waits = [(await desk.ask(key)).retry_after_s for key in "def"]
    assert waits == [0.5, 1.0, 1.5], "a place is held for a second, and there are two"
    await desk.ask("g", TPM, amount=1000)
    first = (await desk.ask("h", TPM, amount=200)).retry_after_s
    assert first == 12
    assert (await desk.ask("i", TPM, amount=200)).retry_after_s == 24


async def test_a_first_that_leaves_has_the_next_one_called(desk):
    for key in "abcd":
        await desk.ask(key)
    await desk.leave("d")
    assert desk.heard == []
    await desk.ask("e")
    await desk.leave("c")
    assert desk.heard == ["e"]
    await desk.leave("nobody")


async def test_several_places_that_fall_free_together_are_all_taken(desk):
    for key in "abcd":
        await desk.ask(key)
    await desk.end("a")
    await desk.end("b")
    assert (await desk.ask("c")).admitted
    assert desk.heard == ["c", "c", "d"], "there is room for one more"
    assert (await desk.ask("d")).admitted


async def test_who_waits_for_another_limit_lets_others_pass_and_keeps_its_rank(desk):
    for key in "ab":
        await desk.ask(key)
    await desk.ask("t", TPM, amount=1000)
    both = {"amount": 400}
    assert (await desk.ask("c", SLOTS, TPM, **both)).waits
    await desk.ask("d")
    await desk.end("a")
    verdict = await desk.ask("c", SLOTS, TPM, **both)
    assert [one.limit.name for one in verdict.blocking] == ["tpm"]
    assert desk.heard[-1] == "d"
    assert (await desk.ask("d")).admitted
    await desk.ask("e")
    desk.clock.wait(24)
    await desk.ask("c", SLOTS, TPM, **both)
    await desk.end("b")
    assert desk.heard[-1] == "c", "it came sooner than e"
    assert (await desk.ask("c", SLOTS, TPM, **both)).admitted
    assert desk.counters.waiting == 1


async def test_a_limit_without_a_line_that_refuses_sends_it_out_of_the_others(desk):
    for key in "ab":
        await desk.ask(key, SLOTS, PLAIN)
    verdict = await desk.ask("c", SLOTS, PLAIN)
    assert (verdict.admitted, verdict.waits, desk.counters.waiting) == (False, False, 0)
    await desk.ask("d")
    assert not (await desk.ask("d", SLOTS, PLAIN)).waits
    assert desk.counters.waiting == 0


async def test_what_never_fits_does_not_wait(desk):
    await desk.ask("a", TPM, amount=1000)
    verdict = await desk.ask("b", TPM, amount=1001)
    assert (verdict.waits, verdict.retry_after_s) == (False, None)


async def test_by_force_and_again(desk):
    for key in "abc":
        await desk.ask(key)
    late = await desk.counters.reserve("x", [Charge(SLOTS, "", 1)], 30, late=True)
    assert late.admitted
    again = await desk.ask("a")
    assert (again.admitted, again.repeated) == (True, True)


async def test_a_reset_calls_the_first(desk):
    for key in "abc":
        await desk.ask(key)
    await desk.counters.reset("slots", "")
    assert desk.heard == ["c"]
    assert (await desk.ask("c")).admitted


async def test_without_an_ear_nothing_is_lost_but_the_call():
    counters = MemoryCounters()
    ticket = Ticket("w1", "batch", 1, "acme")
    for key in "abc":
        await counters.reserve(key, [Charge(SLOTS, "", 1)], 30, ticket=ticket)
    await counters.settle("a", None)
    assert (await counters.reserve("c", [Charge(SLOTS, "", 1)], 30, ticket=ticket)).admitted
