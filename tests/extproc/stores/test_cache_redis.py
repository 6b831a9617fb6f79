"""What is special about answers in Redis; the rest is in test_cache_contract.py."""

import pytest

from extproc.cache.base import Entry
from extproc.errors import CountersFaultError
from extproc.stores.cache_redis import open_answers

PATIENT_S = 30.0
ENTRY = Entry(b"a secret", 1, 2)


async def test_another_process_finds_it(valkey):
    async with (
        open_answers(valkey.url, deadline_s=PATIENT_S) as one,
        open_answers(valkey.url, deadline_s=PATIENT_S) as other,
    ):
        await one.put("t:m:1", ENTRY, 60)
        assert await other.get("t:m:1") == ENTRY


async def test_it_has_an_end(valkey):
    async with open_answers(valkey.url, deadline_s=PATIENT_S) as answers:
        await answers.put("t:m:1", ENTRY, 60)
        assert 50 < int(valkey.order("TTL", "{headgate}:a:t:m:1")[1:]) <= 60


async def test_after_a_restart_it_begins_anew(valkey):
    async with open_answers(valkey.url, deadline_s=PATIENT_S) as answers:
        await answers.put("t:m:1", ENTRY, 60)
        valkey.order("FLUSHALL")
        valkey.order("SCRIPT", "FLUSH")
        assert await answers.get("t:m:1") is None
        assert await answers.put("t:m:1", ENTRY, 60) == 0
        assert await answers.get("t:m:1") == ENTRY


async def test_a_sum_that_is_wrong_mends_itself(valkey):
    async with open_answers(valkey.url, 5_000, deadline_s=PATIENT_S) as answers:
        valkey.order("SET", "{headgate}:asum", "4900")
        await answers.put("t:m:1", ENTRY, 60)
        assert await answers.get("t:m:1") == ENTRY
        assert int(valkey.order("GET", "{headgate}:asum").split()[1]) < 1_000


async def test_what_another_version_has_written_is_a_miss(valkey):
    async with open_answers(valkey.url, deadline_s=PATIENT_S) as answers:
        valkey.order("SET", "{headgate}:a:t:m:1", "not ours")
        assert await answers.get("t:m:1") is None


async def test_without_a_server_there_is_a_fault_in_time():
    async with open_answers("unix:///nowhere", deadline_s=0.1) as answers:
        with pytest.raises(CountersFaultError):
            await answers.get("t:m:1")
        with pytest.raises(CountersFaultError):
            await answers.put("t:m:1", ENTRY, 60)
