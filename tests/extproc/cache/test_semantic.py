"""Questions that ask the same, of those that sound alike."""

import msgspec

from extproc.cache.semantic import Semantic
from extproc.cache.turn import Sought
from extproc.stores.questions_memory import MemoryQuestions
from tests.extproc.cache.hearing import Letters


async def heard(semantic, turn, place="acme:m", partition="p"):
    return await semantic.hear(Sought(place, partition, turn))


async def test_what_asks_the_same_is_found():
    semantic = Semantic(Letters(), MemoryQuestions())
    await semantic.add(await heard(semantic, "How do I reset my password?"), "key", 10)
    asked = await heard(semantic, "Please, how do I reset my password")
    (near,) = await semantic.find(asked, 0.75, 5)
    assert (near.key, near.similarity > 0.9) == ("key", True)
    assert await semantic.find(asked, 1.0, 5) == []
    assert await semantic.find(asked, 0.75, 10) == [], "its time is over"
    other = await heard(semantic, "How do I not reset my password?")
    assert await semantic.find(other, 0.5, 5) == [], "the guard"


async def test_near_misses_hide_nothing():
    """The guard turns down those that sound most alike; the one that asks the same stands behind them."""
    semantic = Semantic(Letters(), MemoryQuestions())
    right = await heard(semantic, "Please tell me, how can I reset password 10?")
    await semantic.add(right, "right", 10)
    for number in range(12):
        wrong = await heard(semantic, f"How do I reset password {number + 20}?")
        await semantic.add(wrong, f"wrong {number}", 10)
    asked = await heard(semantic, "How do I reset password 10?")
    found = await semantic.find(asked, 0.5, 5)
    assert [near.key for near in found] == ["right"]


async def test_the_nearest_of_several_comes_first():
    semantic = Semantic(Letters(), MemoryQuestions())
    for key, turn in (("far", "Please, how can I reset it"), ("near", "How do I reset it please?")):
        await semantic.add(await heard(semantic, turn), key, 10)
    found = await semantic.find(await heard(semantic, "how do I reset it?"), 0.5, 5)
    assert [near.key for near in found] == ["near", "far"]


async def test_hearing_adds_the_vector_alone():
    semantic = Semantic(Letters(), MemoryQuestions())
    sought = await heard(semantic, "How?")
    assert msgspec.structs.replace(sought, vector=b"") == Sought("acme:m", "p", "How?")
    assert sought.tenant == "acme"
