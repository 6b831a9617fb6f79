"""Questions that sound alike, found in one partition."""

import pytest

from extproc.cache.embedding import normed
from extproc.cache.semantic import MOST_IN_PARTITION, Semantic
from extproc.cache.turn import Sought


class Letters:
    """Implements `Embedder`: texts with the same letters sound the same."""

    async def embed(self, text):
        return normed(
            [text.lower().count(letter) + 0.01 for letter in "abcdefghijklmnopqrstuvwxyz"]
        )


async def heard(semantic, turn, tenant="acme", partition="p"):
    return await semantic.hear(Sought(tenant, partition, turn))


async def fill(semantic, count, tenant="acme", partition="p"):
    for number in range(count):
        semantic.add(
            await heard(semantic, f"Question {number}", tenant, partition), f"k{number}", 9
        )


async def test_what_asks_the_same_is_found():
    semantic = Semantic(Letters())
    semantic.add(await heard(semantic, "How do I reset my password?"), "key", 10)
    asked = await heard(semantic, "Please, how do I reset my password")
    near = semantic.find(asked, 0.75, 5)
    assert (near.key, near.similarity > 0.9) == ("key", True)
    assert semantic.find(asked, 1.0, 5) is None
    assert semantic.find(asked, 0.75, 10) is None, "its time is over"
    other = await heard(semantic, "How do I not reset my password?")
    assert semantic.find(other, 0.5, 5) is None, "the guard"


@pytest.mark.parametrize(("tenant", "partition"), [("globex", "p"), ("acme", "q")])
async def test_nothing_is_found_across(tenant, partition):
    semantic = Semantic(Letters())
    semantic.add(await heard(semantic, "Question 1"), "key", 10)
    assert semantic.find(await heard(semantic, "Question 1", tenant, partition), 0.5, 5) is None


async def test_a_partition_forgets_its_oldest():
    semantic = Semantic(Letters())
    await fill(semantic, MOST_IN_PARTITION + 1)
    assert len(semantic) == MOST_IN_PARTITION
    assert semantic.find(await heard(semantic, "Question 0"), 0.5, 1) is None
    last = await heard(semantic, f"Question {MOST_IN_PARTITION}")
    assert semantic.find(last, 0.5, 1).key == f"k{MOST_IN_PARTITION}"


async def test_a_key_stands_once():
    semantic = Semantic(Letters())
    await fill(semantic, 2)
    await fill(semantic, 2)
    assert len(semantic) == 2


async def test_a_tenant_takes_only_its_own_room():
    semantic = Semantic(Letters(), most_of_tenant=4, most=6)
    await fill(semantic, 2, "globex")
    for number in range(5):
        await fill(semantic, 2, "acme", f"p{number}")
    assert semantic.find(await heard(semantic, "Question 1", "globex"), 0.5, 1)
    assert semantic.find(await heard(semantic, "Question 1", "acme", "p4"), 0.5, 1)
    assert not semantic.find(await heard(semantic, "Question 1", "acme", "p0"), 0.5, 1)
    await fill(semantic, 4, "initech")
    assert len(semantic) <= 6


async def test_one_partition_larger_than_all_room_is_dropped():
    semantic = Semantic(Letters(), most_of_tenant=3)
    await fill(semantic, 4)
    assert len(semantic) == 0


async def test_vectors_of_another_kind_begin_anew():
    semantic = Semantic(Letters())
    await fill(semantic, 2)
    other = Sought("acme", "p", "Question 1", normed([1.0, 2.0]))
    assert semantic.find(other, 0.5, 1) is None
    semantic.add(other, "new", 9)
    assert len(semantic) == 1
