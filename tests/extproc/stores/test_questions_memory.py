"""What is special about questions in memory; the rest is in test_questions_contract.py."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.cache.questions import Room
from extproc.stores.questions_memory import MemoryQuestions
from tests.extproc.cache.hearing import keep, keys, question


async def test_a_conversation_forgets_its_oldest():
    questions = MemoryQuestions(Room(most_of_conversation=3))
    await keep(questions, *(question(number) for number in range(4)))
    assert len(questions) == 3
    assert "acme:m:0" not in await keys(questions, question(0))
    assert (await keys(questions, question(3)))[0] == "acme:m:3"
    await keep(questions, question(1), question(9))
    assert "acme:m:2" not in await keys(questions, question(2)), "1 was asked again since"
    assert (await keys(questions, question(1)))[0] == "acme:m:1"


async def test_conversations_that_were_used_last_stay():
    questions = MemoryQuestions(Room(most=100, most_of_tenant=4))
    for name in ("c", "d"):
        await keep(questions, *(question(number, conversation=name) for number in range(2)))
    await keys(questions, question(0))
    await keep(questions, question(5, conversation="e"))
    assert await keys(questions, question(0))
    assert await keys(questions, question(0, conversation="d")) != ["acme:m:d0", "acme:m:d1"]
    assert len(questions) == 4


async def test_what_is_past_its_time_makes_room_when_it_is_met():
    questions = MemoryQuestions()
    await keep(questions, *(question(number) for number in range(10)), until_ms=10)
    assert await keys(questions, question(1), now_ms=10) == []
    assert len(questions) < 10
    for number in range(10):
        await keys(questions, question(number), now_ms=10)
    assert (len(questions), questions._tenants, questions._counts) == (0, {}, {})


TENANTS = st.sampled_from(["a", "b", "c"])
ASKED = st.tuples(st.integers(0, 9), TENANTS, st.sampled_from(["c", "d"]), st.integers(1, 20))


@pytest.mark.parametrize("room", [Room(7, 4, 3), Room(5, 5, 5), Room(3, 2, 9)], ids=str)
@settings(max_examples=60, deadline=None)
@given(st.lists(ASKED, max_size=40))
async def test_there_is_never_more_than_there_is_room_for(room, asked):
    questions = MemoryQuestions(room)
    for now_ms, (number, tenant, conversation, until_ms) in enumerate(asked):
        sought = question(number, tenant=tenant, conversation=conversation)
        await keep(questions, sought, until_ms=until_ms)
        for key in await keys(questions, sought, now_ms):
            assert key.startswith(f"{tenant}:")
        assert len(questions) == await questions.count("") <= room.most
        for name in "abc":
            assert await questions.count(f"{name}:") <= room.most_of_tenant
    await questions.purge("")
    assert (questions._tenants, questions._counts) == ({}, {})
