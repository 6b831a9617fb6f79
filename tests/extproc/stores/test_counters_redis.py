"""What only counters in Redis promise: the rest is in test_counters_contract.py."""

import re

import pytest

from extproc.errors import CountersFaultError
from extproc.limits.base import LONGEST_LEASE_S
from extproc.stores.counters_redis import RedisCounters, open_counters, read_script
from tests.extproc.stores.limits import (
    BEGIN,
    Clock,
    ask,
    bucket,
    budget,
    leaky,
    semaphore,
    used,
    window,
)

ALL = (bucket(), window(), leaky(), semaphore(), budget())
DEADLINE_S = 10.0


@pytest.fixture
async def counters(valkey):
    async with open_counters(valkey.url, DEADLINE_S) as opened:
        yield opened


class Recorder:
    """A line that notes what is sent on it."""

    def __init__(self, line):
        self.line = line
        self.commands = []

    async def call(self, command):
        self.commands.append(command)
        return await self.line.call(command)


async def test_one_call_each(counters, valkey):
    recorder = Recorder(counters._line)
    noted = RedisCounters(recorder)
    for key in ("warm", "k"):
        recorder.commands.clear()
        await noted.reserve(key, ask(*ALL), 30)
        await noted.renew(key, 30)
        await noted.settle(key, used(30))
        await noted.look([(one, "ann") for one in ALL])
    assert [command[0] for command in recorder.commands] == ["EVALSHA"] * 4


async def test_a_server_that_has_lost_the_scripts_gets_them_again(counters, valkey):
    await counters.reserve("k", ask(*ALL), 30)
    valkey.order("SCRIPT", "FLUSH", "SYNC")
    assert (await counters.settle("k", used(30))).state == "settled"


async def test_all_keys_lie_under_one_tag_and_have_an_end(counters, valkey):
    await counters.reserve("open", ask(*ALL), 30)
    await counters.reserve("closed", ask(*ALL), 30)
    await counters.settle("closed", used(30))
    await counters.settle("early", used(30))
    keys = re.findall(r"\{headgate\}:\S+", valkey.order("KEYS", "*"))
    assert len(keys) == int(valkey.order("DBSIZE")[1:]) == 9
    for key in keys:
        assert int(valkey.order("PTTL", key)[1:]) > 0, key


async def test_what_is_idle_vanishes(counters, valkey):
    """The scopes go, and what is left of a request that was settled is small."""
    await counters.reserve("k", ask(leaky(), bucket(amount=10**6)), 30)
    await counters.settle("k", used(30))
    ends_ms = [
        int(valkey.order("PTTL", "{headgate}:" + key)[1:])
        for key in ("b:rate:ann", "b:tpm:ann", "r:k")
    ]
    assert ends_ms[0] < 1100
    assert ends_ms[1] < 1100
    assert 500_000 < ends_ms[2] <= 601_000
    assert int(valkey.order("STRLEN", "{headgate}:r:k")[1:]) < 10


async def test_what_vanished_is_begun_anew_when_the_estimate_was_short(counters, valkey):
    await counters.reserve("k", ask(leaky(period_s=3600), window(period_s=3600), budget()), 30)
    for key in ("b:rate:ann", "w:tpd:ann", "m:money:ann"):
        assert valkey.order("DEL", "{headgate}:" + key) == ":1\r\n"
    assert len((await counters.settle("k", used(700))).limits) == 3
    pairs = [(one, "ann") for one in (leaky(period_s=3600), window(period_s=3600), budget())]
    assert [one.remaining for one in await counters.look(pairs)] == [400, 400, 1000]


async def test_an_open_request_is_known_as_long_as_its_limits_remember_it(counters, valkey):
    await counters.reserve("day", ask(bucket()), 30)
    await counters.reserve("week", ask(window(period_s=7 * 86_400)), 30)
    lives_s = [int(valkey.order("TTL", "{headgate}:r:" + key)[1:]) for key in ("day", "week")]
    assert 86_300 < lives_s[0] <= 86_402
    assert lives_s[1] > 7 * 86_400


async def test_all_given_back_leaves_no_state(counters, valkey):
    await counters.reserve("k", ask(*ALL[:4]), 30)
    await counters.settle("k", None)
    keys = set(re.findall(r"\{headgate\}:\S+", valkey.order("KEYS", "*")))
    assert keys == {"{headgate}:r:k", "{headgate}:s:at-once:ann"}, "and what it learned"


async def test_the_server_s_clock_rules(valkey):
    """Whatever the clocks of workers say: theirs only names the calendar's days."""
    async with open_counters(valkey.url, DEADLINE_S) as counters:
        verdict = await counters.reserve("k", ask(bucket(), amount=1000), 30)
        seconds, micros = re.findall(r"\r\n(\d+)\r\n", valkey.order("TIME"))
        assert verdict.standings[0].reset_s == 60.0
        refused = await counters.reserve("b", ask(bucket()), 30)
        assert 5.9 < refused.retry_after_s <= 6.0
        assert int(seconds) > BEGIN // 10**6
        assert micros


async def test_clocks_a_whole_period_apart_are_a_fault(valkey):
    async with open_counters(valkey.url, DEADLINE_S) as counters:
        counters._calendar_us = Clock(BEGIN - 90 * 86_400 * 10**6)
        with pytest.raises(CountersFaultError, match="a whole budget period apart"):
            await counters.reserve("k", ask(budget(), bucket()), 30)
        assert (await counters.look([(bucket(), "ann")]))[0].remaining == 1000


async def test_prefixes_keep_gateways_apart(valkey):
    async with (
        open_counters(valkey.url, DEADLINE_S, prefix="{\u00e9}:") as one,
        open_counters(valkey.url, DEADLINE_S, prefix="{two}:") as two,
    ):
        await one.reserve("k", ask(*ALL), 30)
        assert await one.scopes("tpm") == ["ann"]
        assert await two.scopes("tpm") == []
        assert not (await two.reserve("k", ask(*ALL), 30)).repeated
        assert (await one.settle("k", None)).limits[0].name == "tpm"


async def test_two_workers_share(valkey):
    async with (
        open_counters(valkey.url, DEADLINE_S) as one,
        open_counters(valkey.url, DEADLINE_S) as two,
    ):
        await one.reserve("a", ask(*ALL, amount=600), 30)
        assert not (await two.reserve("b", ask(*ALL, amount=600), 30)).admitted
        assert (await two.settle("a", None)).state == "settled"
        assert (await one.reserve("b", ask(*ALL, amount=600), 30)).admitted


async def test_what_the_server_says_against_it_is_a_fault(counters, valkey):
    await counters.reserve("k", ask(bucket()), 30)
    valkey.order("DEL", "{headgate}:b:tpm:ann")
    valkey.order("RPUSH", "{headgate}:r:bad", "what")
    with pytest.raises(CountersFaultError, match="WRONGTYPE"):
        await counters.settle("bad", None)


async def test_out_of_memory_is_a_fault(counters, valkey):
    valkey.order("CONFIG", "SET", "maxmemory", "1")
    try:
        with pytest.raises(CountersFaultError, match="OOM"):
            await counters.reserve("k", ask(bucket()), 30)
        with pytest.raises(CountersFaultError, match="OOM"):
            await counters.probe()
    finally:
        valkey.order("CONFIG", "SET", "maxmemory", "0")
    await counters.probe()


async def test_no_lease_is_longer_than_its_key_lives(counters, valkey):
    await counters.reserve("k", ask(semaphore()), LONGEST_LEASE_S)
    assert int(valkey.order("PTTL", "{headgate}:l:at-once:ann")[1:]) > LONGEST_LEASE_S * 1000


def test_scripts_say_what_they_are():
    for name in ("reserve", "settle", "renew", "look"):
        script = read_script(name)
        assert len(script.digest) == 40
        assert f"-- {name}".encode() in script.text
