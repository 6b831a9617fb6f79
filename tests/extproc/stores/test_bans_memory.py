"""What is special about bans in memory; the rest is in test_bans_contract.py."""

from extproc.guards.base import MOST_BANS, Case
from extproc.stores.bans_memory import MemoryBans, read_clock_ms
from tests.extproc.guards.cases import GROWTH


async def test_it_goes_by_the_time_of_day():
    bans = MemoryBans()
    made = await bans.add(Case("key:ann"), GROWTH)
    assert abs(made.since_ms - read_clock_ms()) < 10_000
    (ban,) = (await bans.read()).bans
    assert 50 < ban.left_s <= 60


async def test_ten_thousand_are_the_most():
    bans = MemoryBans()
    for number in range(MOST_BANS + MOST_BANS // 10 + 1):
        await bans.add(Case(f"address:{number}"), GROWTH)
    assert len((await bans.read()).bans) == MOST_BANS
