"""The banned are refused, and nobody else: over stores in memory, with a clock moved by hand."""

import pytest

from extproc.decision import Deny
from extproc.errors import Reason
from extproc.filters.banned import BannedAddress, BannedKey
from extproc.guards.base import BY_HAND, Barred, Case
from extproc.guards.guard import Guard
from extproc.guards.view import View
from extproc.request import Identity
from extproc.stores.bans_memory import MemoryBans
from extproc.stores.counters_memory import MemoryCounters
from extproc.stores.memory import MemoryGuardMeter
from tests.extproc.guards.cases import REFUSAL_RULE, Clock, refused
from tests.extproc.requests import bare


class Door:
    def __init__(self):
        self.clock = Clock()
        self.meter = MemoryGuardMeter()
        self.bans = MemoryBans(self.clock.ms)
        view = View(self.bans, MemoryBans(), self.clock.s)
        self.guard = Guard(MemoryCounters(self.clock.us), view, self.meter)
        self.address = BannedAddress(REFUSAL_RULE, self.guard)
        self.key = BannedKey(self.guard)

    async def ban(self, subject, seconds=90, **more):
        await self.bans.put(Case(subject, **more), seconds)
        await self.guard.turn()

    async def ask(self, ip="192.0.2.1", key_id="acme-1", user=""):
        """Through both filters."""
        request = bare(client_ip=ip)
        decision = await self.address.decide(request)
        if decision is not request:
            return decision
        request = request.having(Identity("acme", key_id, user=user))
        decision = await self.key.decide(request)
        return None if decision is request else decision


@pytest.fixture
def door():
    return Door()


async def test_nobody_is_banned(door):
    assert await door.ask() is None


async def test_a_banned_address_is_refused_before_anything_else(door):
    await door.ban("address:192.0.2.1")
    denied = await door.address.decide(bare())
    assert isinstance(denied, Deny)
    assert (denied.reason, denied.retry_after_s) == (Reason.BANNED, 90)
    assert denied.headers == {"x-should-retry": "false"}
    assert denied.message == (
        "This address (192.0.2.1) is banned until 2027-01-15 08:01:30 UTC: too many of its requests"
        " were refused."
    )
    assert await door.ask("192.0.2.2") is None
    assert [case.subject for case in door.meter.requests] == ["address:192.0.2.1"]


@pytest.mark.parametrize(
    ("subject", "ask"),
    [
        ("address:2001:db8:0:7::/64", {"ip": "2001:db8:0:7:1234::9"}),
        ("key:acme-1", {}),
        ("user:acme/alice", {"key_id": "jwt:sso", "user": "alice"}),
    ],
)
async def test_whoever_is_banned(door, subject, ask):
    await door.ban(subject)
    assert (await door.ask(**ask)).reason is Reason.BANNED
    for other in (
        {"ip": "2001:db8:0:8::1", "key_id": "acme-2"}, {"key_id": "jwt:sso", "user": "bob"},
        {"key_id": "service:rag"}, {"ip": "", "key_id": "jwt:sso"},
    ):  # fmt: skip
        assert await door.ask(**other) is None


async def test_what_the_client_is_called(door):
    await door.ban("key:acme-1")
    await door.ban("user:acme/alice")
    assert (await door.ask()).message.startswith("This key is banned until")
    denied = await door.ask(key_id="jwt:sso", user="alice")
    assert denied.message.startswith("This user is banned until")


async def test_nothing_is_made_up_about_a_ban_by_hand(door):
    await door.ban("key:acme-1", why=BY_HAND)
    assert (await door.ask()).message == "This key is banned until 2027-01-15 08:01:30 UTC."


async def test_it_comes_back_when_the_time_is_over(door):
    await door.ban("key:acme-1", 10)
    door.clock.now_s += 9.5
    assert (await door.ask()).retry_after_s == 1
    door.clock.now_s += 0.5
    assert await door.ask() is None


async def test_in_shadow_it_is_counted_and_passes(door):
    await door.ban("key:acme-1", shadow=True)
    await door.ban("address:192.0.2.1", shadow=True)
    assert await door.ask() is None
    assert [case.shadow for case in door.meter.requests] == [True, True]


async def test_a_ban_of_long_prompts_bars_nothing_else(door):
    await door.ban("key:acme-1", barred=Barred.LONG_PROMPTS)
    assert await door.ask() is None


async def test_refusals_are_counted_when_they_end(door):
    for _ in range(101):
        await door.address.settle(refused())
    await door.guard.turn()
    assert (await door.ask()).reason is Reason.BANNED
