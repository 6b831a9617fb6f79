"""What is special about answers in memory; the rest is in test_cache_contract.py."""

from extproc.cache.base import Entry
from extproc.stores.cache_memory import MemoryAnswers

ENTRY = Entry(b"x" * 600, 1, 2)


async def test_what_was_used_last_stays():
    answers = MemoryAnswers(2_500)
    for name in "ab":
        await answers.put(name, ENTRY, 60)
    await answers.get("a")
    assert await answers.put("c", ENTRY, 60) == 1
    assert await answers.get("a")
    assert await answers.get("b") is None


async def test_it_ends_in_time():
    now_s = 0.0
    answers = MemoryAnswers(clock=lambda: now_s)
    await answers.put("a", ENTRY, 60)
    now_s = 60.0
    assert await answers.get("a") is None
    assert await answers.look() == []
