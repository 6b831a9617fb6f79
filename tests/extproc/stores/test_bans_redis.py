"""What is special about bans in Redis; the rest is in test_bans_contract.py."""

import pytest

from extproc.errors import CountersFaultError
from extproc.guards.base import Case
from extproc.stores.bans_redis import PAGE, open_bans
from tests.extproc.guards.cases import GROWTH

PATIENT_S = 30.0
ANN = Case("key:ann", why="more than 100 refusals")


async def test_another_process_sees_them_by_the_servers_clock(valkey):
    async with (
        open_bans(valkey.url, deadline_s=PATIENT_S) as one,
        open_bans(valkey.url, deadline_s=PATIENT_S) as other,
    ):
        seen = (await other.read()).seen
        made = await one.add(ANN, GROWTH)
        (ban,) = (await other.read(seen)).bans
    assert (ban.case, ban.since_ms) == (made.case, made.since_ms)
    assert 50 < ban.left_s <= 60


async def test_after_an_empty_restart_news_are_seen(valkey):
    async with open_bans(valkey.url, deadline_s=PATIENT_S) as bans:
        await bans.add(Case("key:bob"), GROWTH)
        seen = (await bans.read()).seen
        valkey.order("FLUSHALL")
        valkey.order("SCRIPT", "FLUSH")
        await bans.add(ANN, GROWTH)
        assert [ban.case for ban in (await bans.read(seen)).bans] == [ANN]


async def test_every_key_has_an_end(valkey):
    async with open_bans(valkey.url, deadline_s=PATIENT_S) as bans:
        await bans.put(ANN, 1000)
    for key in ("bans", "ends", "changes"):
        left_s = int(valkey.order("TTL", f"{{headgate}}:g:{key}")[1:])
        assert 86_400 + 990 < left_s <= 86_400 + 1000


async def test_without_a_server_there_is_a_fault_in_time():
    async with open_bans("unix:///nowhere", deadline_s=0.1) as bans:
        with pytest.raises(CountersFaultError):
            await bans.read()
        with pytest.raises(CountersFaultError):
            await bans.add(ANN, GROWTH)


async def test_an_error_of_the_servers_is_a_fault(valkey):
    async with open_bans(valkey.url, deadline_s=PATIENT_S) as bans:
        await bans.read()
        valkey.order("SET", "{headgate}:g:bans", "not ours")
        with pytest.raises(CountersFaultError, match="WRONGTYPE"):
            await bans.add(ANN, GROWTH)


async def test_many_are_read_page_by_page(valkey):
    async with open_bans(valkey.url, deadline_s=PATIENT_S) as bans:
        for number in range(2 * PAGE + 1):
            await bans.add(Case(f"key:{number}"), GROWTH)
        news = await bans.read()
        assert {ban.case.subject for ban in news.bans} == {f"key:{n}" for n in range(2 * PAGE + 1)}
        assert (await bans.read(news.seen)).seen == news.seen


async def test_what_another_version_has_written_is_left_alone(valkey):
    async with open_bans(valkey.url, deadline_s=PATIENT_S) as bans:
        await bans.add(ANN, GROWTH)
        for name, document in (("requests:key:bob", "{}"), ("thoughts:key:ann", "[]")):
            valkey.order("HSET", "{headgate}:g:bans", name, document)
            valkey.order("ZADD", "{headgate}:g:changes", "9e15", name)
        assert [ban.case for ban in (await bans.read()).bans] == [ANN]


async def test_what_the_server_has_evicted_is_no_ban(valkey):
    async with open_bans(valkey.url, deadline_s=PATIENT_S) as bans:
        await bans.add(ANN, GROWTH)
        valkey.order("DEL", "{headgate}:g:bans")
        assert (await bans.read()).bans == []
        await bans.add(ANN, GROWTH)
        assert [ban.case for ban in (await bans.read()).bans] == [ANN]
