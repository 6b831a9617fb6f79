"""What a worker knows of bans: at once of its own, at the next look of others'."""

import pytest

from extproc.errors import CountersFaultError
from extproc.guards.base import Barred, Case
from extproc.guards.view import View
from extproc.stores.bans_memory import MemoryBans
from tests.extproc.guards.cases import GROWTH, Clock

ALL, LONG = Barred.REQUESTS, Barred.LONG_PROMPTS
ANN = Case("key:ann", why="refusals")


class Flaky:
    """A store that can be cut off."""

    def __init__(self, bans):
        self.bans = bans
        self.down = False

    def __getattr__(self, name):
        if self.down:
            raise CountersFaultError("cut off")
        return getattr(self.bans, name)


class Site:
    """Two workers over one store."""

    def __init__(self):
        self.clock = Clock()
        self.store = MemoryBans(self.clock.ms)
        self.lines = [Flaky(self.store), Flaky(self.store)]
        self.one, self.other = (
            View(line, MemoryBans(self.clock.ms), self.clock.s) for line in self.lines
        )


@pytest.fixture
def site():
    return Site()


async def test_nobody_is_banned(site):
    await site.one.refresh()
    assert not site.one.any(ALL)
    assert site.one.find(ALL, "key:ann") is None


async def test_one_bans_and_the_other_learns_of_it(site):
    made = await site.one.ban(ANN, GROWTH)
    assert (made.left_s, site.one.find(ALL, "key:ann").case) == (60, ANN)
    assert site.other.find(ALL, "key:ann") is None
    assert await site.other.ban(ANN, GROWTH) is None, "it is banned already"
    await site.other.refresh()
    known = site.other.find(ALL, "key:ann")
    assert (known.case, site.other.left_s(known)) == (ANN, 60)
    assert site.other.find(LONG, "key:ann") is None
    assert site.other.counts() == {(ALL, "key"): 1}


async def test_a_ban_is_over_to_the_second_and_forgotten_at_the_next_look(site):
    await site.one.ban(ANN, GROWTH)
    site.clock.now_s += 59.999
    assert site.one.find(ALL, "key:ann")
    site.clock.now_s += 0.001
    assert site.one.find(ALL, "key:ann") is None
    await site.one.refresh()
    assert not site.one.any(ALL)


async def test_what_is_lifted_is_lifted_everywhere(site, caplog):
    await site.one.ban(ANN, GROWTH)
    await site.other.refresh()
    await site.store.lift(ANN)
    with caplog.at_level("INFO"):
        for view in (site.one, site.other):
            await view.refresh()
            await view.refresh()
    assert not site.one.any(ALL)
    assert not site.other.any(ALL)
    assert [record.msg for record in caplog.records] == ["ban_lifted", "ban_lifted"]


async def test_a_worker_that_starts_learns_of_all(site):
    await site.one.ban(ANN, GROWTH)
    await site.one.ban(Case("address:192.0.2.1", LONG), GROWTH)
    fresh = View(site.store, MemoryBans(), site.clock.s)
    await fresh.refresh()
    assert fresh.counts() == {(ALL, "key"): 1, (LONG, "address"): 1}


async def test_cut_off_it_goes_by_its_own_and_tells_later(site, caplog):
    site.lines[0].down = True
    made = await site.one.ban(ANN, GROWTH)
    assert made.left_s == 60
    await site.one.refresh()
    assert site.one.find(ALL, "key:ann")
    site.clock.now_s += 10
    site.lines[0].down = False
    await site.one.refresh()
    await site.other.refresh()
    assert site.other.find(ALL, "key:ann").case == ANN
    assert site.one.find(ALL, "key:ann").case == ANN
    assert [record.msg for record in caplog.records] == ["bans_down", "bans_back"]


async def test_what_is_over_by_then_is_not_told(site):
    site.lines[0].down = True
    await site.one.ban(ANN, GROWTH)
    site.clock.now_s += 61
    site.lines[0].down = False
    await site.one.refresh()
    assert list((await site.store.read()).bans) == []


async def test_an_old_ban_of_the_store_ends_no_newer_one_of_its_own(site):
    """Cut off, it bans somebody whose ban the store still remembers as over."""
    await site.other.ban(ANN, GROWTH)
    site.clock.now_s += 61
    site.lines[0].down = True
    await site.one.ban(ANN, GROWTH)
    site.lines[0].down = False
    await site.one.refresh()
    assert site.one.find(ALL, "key:ann")
    assert site.one.left_s(site.one.find(ALL, "key:ann")) == 120
