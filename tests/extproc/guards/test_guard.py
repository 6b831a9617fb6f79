"""From refusals and long prompts to bans: two workers over one place to count and one for bans."""

import msgspec
import pytest

from alerts.alert import Kind
from extproc.errors import CountersFaultError
from extproc.guards.base import Barred, Case
from extproc.guards.guard import MOST_COLLECTED, Guard
from extproc.guards.view import View
from extproc.stores.bans_memory import MemoryBans
from extproc.stores.counters_fallback import fall_back
from extproc.stores.counters_memory import MemoryCounters
from extproc.stores.memory import MemoryGuardMeter
from tests.extproc.guards.cases import PROMPT_RULE, REFUSAL_RULE, Clock, answered, refused

ALL, LONG = Barred.REQUESTS, Barred.LONG_PROMPTS
WHO = "address:192.0.2.1"


class Site:
    def __init__(self, counters=None):
        self.clock = Clock()
        self.counters = counters or MemoryCounters(self.clock.us)
        self.bans = MemoryBans(self.clock.ms)
        self.told = []
        self.meters = [MemoryGuardMeter(), MemoryGuardMeter()]
        self.guards = [
            Guard(self.counters, self.view(), meter, self.told.append) for meter in self.meters
        ]

    def view(self):
        return View(self.bans, MemoryBans(self.clock.ms), self.clock.s)

    def refuse(self, count, outcome=None, *, worker=0, rule=REFUSAL_RULE):
        for _ in range(count):
            self.guards[worker].refused(rule, outcome or refused())

    def answer(self, short, long, *, worker=0, rule=PROMPT_RULE):
        for tokens in [10] * short + [9000] * long:
            self.guards[worker].prompted(rule, answered(tokens))

    async def turn(self):
        """The first worker again, to learn what the second did."""
        for guard in (*self.guards, self.guards[0]):
            await guard.turn()

    def banned(self, subject=WHO, barred=ALL):
        found = [guard.view.find(barred, subject) for guard in self.guards]
        assert bool(found[0]) == bool(found[1]), "both know, or none"
        return bool(found[0])

    @property
    def made(self):
        return [case for meter in self.meters for case in meter.bans]


@pytest.fixture
def site():
    return Site()


async def test_one_more_than_is_allowed_is_a_ban(site):
    site.refuse(100)
    await site.turn()
    assert not site.banned()
    site.refuse(1)
    await site.turn()
    assert site.banned()
    assert [meter.counts for meter in site.meters] == [{(ALL, "address"): 1}] * 2


async def test_workers_count_together(site):
    for _ in range(2):
        site.refuse(30, worker=0)
        site.refuse(30, worker=1)
        await site.turn()
    assert site.banned()
    assert len(site.told) == len(site.made) == 1, "told once"


async def test_both_notice_at_once(site):
    site.refuse(300, worker=0)
    site.refuse(300, worker=1)
    await site.turn()
    assert site.banned()
    assert len(site.told) == 1


async def test_a_minute_later_it_is_forgotten(site):
    site.refuse(100)
    await site.turn()
    site.clock.now_s += 62
    site.refuse(100)
    await site.turn()
    assert not site.banned()


async def test_what_was_banned_is_counted_from_nothing_and_longer_the_next_time(site):
    site.refuse(150)
    await site.turn()
    site.refuse(1000)
    await site.turn()
    site.clock.now_s += 60
    assert not site.banned(), "however often it asked meanwhile"
    site.refuse(100)
    await site.turn()
    assert not site.banned(), "what was refused before the ban does not count twice"
    site.refuse(1)
    await site.turn()
    assert site.banned()
    assert [(told.facts["for_s"], told.facts["times"]) for told in site.told] == [(60, 1), (120, 2)]


async def test_a_key_is_banned_as_a_key(site):
    known = refused("rate_limit_exceeded", status=429, tenant="acme", key_id="acme-1")
    site.refuse(101, known)
    await site.turn()
    assert site.banned("key:acme-1")
    assert not site.banned()
    (told,) = site.told
    assert (told.kind, told.tenant, told.facts["subject"]) == (Kind.ABUSE, "acme", "key:acme-1")
    assert "more than 100 refusals in 60 s, the last rate_limit_exceeded" in told.text


async def test_others_are_not_concerned(site):
    site.refuse(101)
    site.refuse(100, refused(ip="192.0.2.2"))
    site.refuse(1000, refused("internal_error", ip="192.0.2.3", status=500))
    site.refuse(1000, refused("client_banned", ip="192.0.2.4", status=429))
    await site.turn()
    assert [case.subject for case in site.made] == [WHO]


async def test_shadow_bans_are_bans_that_say_so(site):
    site.refuse(101, rule=msgspec.structs.replace(REFUSAL_RULE, shadow=True))
    await site.turn()
    assert site.banned()
    assert [case.shadow for case in site.made] == [True]
    site.refuse(1000)
    await site.turn()
    assert len(site.made) == 1, "it counts as if it refused"


async def test_the_policy_that_saw_the_last_refusal_decides(site):
    site.refuse(60)
    strict = msgspec.structs.replace(
        REFUSAL_RULE, limit=msgspec.structs.replace(REFUSAL_RULE.limit, amount=50)
    )
    await site.turn()
    site.refuse(1, rule=strict)
    await site.turn()
    assert site.banned()


async def test_a_flood_of_addresses_is_bounded_and_hides_nobody(site):
    """Of too many, those with the most refusals are counted."""
    for number in range(MOST_COLLECTED + 100):
        if number == 5000:
            site.refuse(101)
        site.refuse(1, refused(ip=f"2001:db8:{number:x}::1"))
    await site.turn()
    assert site.banned()
    assert len(site.made) == 1
    assert len(site.counters) <= 500


async def test_without_shared_counters_it_counts_alone(site):
    class Gone:
        def __getattr__(self, name):
            raise CountersFaultError("gone")

    clock = site.clock
    async with fall_back(Gone(), MemoryCounters(clock.us), replicas=2) as counters:
        alone = Site(counters)
        alone.refuse(50)
        alone.answer(10, 10)
        await alone.turn()
        assert not alone.made
        alone.refuse(1)
        alone.refuse(60, refused(ip="192.0.2.2"))
        await alone.turn()
        assert {case.subject for case in alone.made} == {WHO, "address:192.0.2.2"}


async def test_counters_that_fail_stop_nothing_else():
    class Gone:
        async def reserve(self, *_, **__):
            raise CountersFaultError("gone")

    site = Site(Gone())
    site.refuse(500)
    await site.bans.put(Case("key:bob"), 60)
    await site.turn()
    assert site.banned("key:bob")
    assert not site.made


async def test_too_large_a_share_of_long_prompts(site):
    site.answer(14, 5)
    await site.turn()
    assert not site.banned("key:acme-1", LONG), "fewer than 20 requests"
    site.answer(1, 1, worker=1)
    await site.turn()
    assert not site.banned("key:acme-1", LONG), "6 of 21"
    site.answer(0, 1)
    await site.turn()
    assert site.banned("key:acme-1", LONG)
    assert not site.banned("key:acme-1")
    (told,) = site.told
    assert (told.facts["for_s"], told.tenant) == (600, "acme")
    assert "7 of 22 prompts above 5000 tokens" in told.text


async def test_while_it_is_on_nothing_counts_and_then_it_counts_from_nothing(site):
    site.answer(0, 20)
    await site.turn()
    site.answer(0, 1000)
    await site.turn()
    site.clock.now_s += 600
    assert not site.banned("key:acme-1", LONG)
    site.answer(0, 19)
    await site.turn()
    assert not site.banned("key:acme-1", LONG)
    site.answer(0, 1)
    await site.turn()
    assert [told.facts["for_s"] for told in site.told] == [600, 600], "it does not grow"


async def test_a_batch_job_of_short_prompts_is_let_be(site):
    for _ in range(5):
        site.answer(1000, 300)
        await site.turn()
    assert not site.made


async def test_prompts_of_very_many_are_bounded(site):
    for number in range(MOST_COLLECTED + 10):
        site.guards[0].prompted(PROMPT_RULE, answered(key_id=f"k{number}"))
    await site.turn()
    assert len(site.counters) <= 500


async def test_a_worker_begins_with_the_bans_that_are_there(site):
    await site.bans.put(Case(WHO, why="by hand"), 60)
    fresh = Guard(site.counters, site.view(), MemoryGuardMeter(), site.told.append)
    await fresh.begin()
    assert fresh.view.find(ALL, WHO) is None, "without guards nobody looks"
    fresh.on = True
    await fresh.begin()
    assert fresh.view.find(ALL, WHO)
