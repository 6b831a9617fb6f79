"""What every store of questions promises, with every index."""

import contextlib
import functools

import numpy as np
import pytest

from extproc.cache.graph import Graph
from extproc.cache.questions import MOST_TRIED, Room
from extproc.stores.milvus import MilvusLine, Where
from extproc.stores.questions_memory import MemoryQuestions
from extproc.stores.questions_milvus import MilvusQuestions
from tests.extproc.cache.hearing import DIMS, keep, key_of, keys, question, vector


@contextlib.asynccontextmanager
async def in_milvus(server, room=None, clock=lambda: 0.0):
    line = MilvusLine(Where(server.url, collection="contract", deadline_s=10))
    questions = MilvusQuestions(line, room, clock=clock)
    await questions.prepare(DIMS)
    await questions.purge("")
    yield questions
    line.close()


@pytest.fixture(params=["exact", "hnsw", "milvus"])
async def questions(request):
    if request.param == "exact":
        yield MemoryQuestions()
    elif request.param == "hnsw":
        yield MemoryQuestions(make=functools.partial(Graph, few=4))
    else:
        async with in_milvus(request.getfixturevalue("milvus")) as opened:
            yield opened


async def test_the_nearest_come_first(questions):
    asked = [question(number) for number in range(30)]
    assert await questions.nearest(asked[0], 5) == []
    await keep(questions, *asked)
    found = await questions.nearest(asked[7], 5)
    assert 1 < len(found) <= MOST_TRIED
    assert (found[0].key, found[0].turn) == (key_of(asked[7]), "Question 7")
    similarities = [each.similarity for each in found]
    assert similarities == sorted(similarities, reverse=True)
    assert similarities[0] == pytest.approx(1, abs=0.01)
    vectors = np.array([np.frombuffer(each.vector, np.float32) for each in asked])
    right = np.sort(vectors @ vectors[7])[::-1]
    positive = [each for each in similarities if each > 0]
    assert positive == pytest.approx(right[: len(positive)].tolist(), abs=0.01)


@pytest.mark.parametrize(
    "other", [{"tenant": "globex"}, {"model": "n"}, {"conversation": "d"}], ids=str
)
async def test_nothing_is_found_across(questions, other):
    await keep(questions, question(1))
    assert await keys(questions, question(1, **other)) == []
    await keep(questions, question(1, **other))
    assert await keys(questions, question(1)) == ["acme:m:1"]


async def test_nothing_is_found_past_its_time(questions):
    await keep(questions, *(question(number) for number in range(40)), until_ms=10)
    await keep(questions, question(1, tenant="globex"), until_ms=20)
    young = next(number for number in range(99, 999) if vector(number) @ vector(1) > 0.1)
    await keep(questions, question(young), until_ms=20)
    for _ in range(40):
        found = await keys(questions, question(1), now_ms=10)
    assert found == [f"acme:m:{young}"], "nor is it hidden by what is"
    assert await keys(questions, question(1, tenant="globex"), now_ms=10) == ["globex:m:1"]


async def test_a_key_stands_once_and_the_newest_counts(questions):
    first, second = question(1), question(2)
    await questions.add(first, "acme:m:k", 10)
    await questions.add(second, "acme:m:k", 20)
    (found,) = await questions.nearest(second, 15)
    assert (found.key, found.turn) == ("acme:m:k", "Question 2")
    assert await questions.count("acme:") == 1


async def test_counting_and_purging(questions):
    asked = [
        *(question(number) for number in range(8)),
        *(question(number, model="n") for number in range(2)),
        question(1, tenant="globex"),
    ]
    await keep(questions, *asked)
    assert [await questions.count(place) for place in ("", "acme:", "acme:m", "x:")] == [
        11, 10, 8, 0,
    ]  # fmt: skip
    assert await questions.purge("acme:m") == 8
    assert await keys(questions, question(1)) == []
    assert await keys(questions, question(1, model="n"))
    assert await questions.purge("acme:") == 2
    assert await keys(questions, question(1, tenant="globex"))
    assert await questions.purge("") == 1
    assert await questions.count("") == 0
    await keep(questions, question(1))
    assert await keys(questions, question(1)) == ["acme:m:1"]


async def test_vectors_of_another_kind_meet_nothing(questions):
    await keep(questions, question(1))
    other = question(1, dims=8)
    if isinstance(questions, MilvusQuestions):
        await questions.prepare(8)
    assert await keys(questions, other) == []
    await keep(questions, other)
    assert await keys(questions, other) == ["acme:m:1"]


async def test_what_is_told_holds_no_question(questions):
    await keep(questions, question(1))
    assert "Question" not in repr(await questions.nearest(question(1), 5))


ROOM = Room(most=12, most_of_tenant=8, most_of_conversation=8)


@pytest.fixture(params=["exact", "hnsw", "milvus"])
async def small(request):
    """Questions for which there is little room, and what makes it."""

    async def at_once():
        pass

    if request.param != "milvus":
        make = functools.partial(Graph, few=4) if request.param == "hnsw" else None
        yield MemoryQuestions(ROOM, *([make] if make else [])), at_once
        return
    now_s = 0.0
    async with in_milvus(request.getfixturevalue("milvus"), ROOM, lambda: now_s) as opened:

        async def tidy():
            nonlocal now_s
            now_s += 61
            await keep(opened, question(0, tenant="last"), until_ms=10**6)
            done = opened._line._beside.submit(lambda: None)
            while not done.done():
                await opened.count("")
            await opened.purge("last:")

        yield opened, tidy


async def test_a_tenant_takes_only_its_own_room(small):
    questions, tidy = small
    await keep(questions, question(1, tenant="globex"), until_ms=10**7)
    for number in range(20):
        await keep(questions, question(number), until_ms=10**6 + 10_000 * number)
    await tidy()
    assert await questions.count("acme:") == 8
    assert await keys(questions, question(1, tenant="globex"))
    assert (await keys(questions, question(19)))[0] == "acme:m:19", "what ends last, came last"
    assert "acme:m:0" not in await keys(questions, question(0))


async def test_all_together_have_a_bound(small):
    questions, tidy = small
    for number in range(20):
        await keep(
            questions, question(number, tenant=f"t{number}"), until_ms=10**6 + 10_000 * number
        )
    await tidy()
    assert 10 <= await questions.count("") <= 12
