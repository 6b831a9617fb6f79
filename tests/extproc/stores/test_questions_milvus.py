"""What is special about questions in Milvus; the rest is in test_questions_contract.py."""

import asyncio
import signal
import time
from contextlib import suppress

import pytest

from extproc.cache.turn import Sought
from extproc.errors import QuestionsFaultError
from extproc.stores.milvus import MilvusLine, Where
from extproc.stores.questions_milvus import MilvusQuestions, begins, quoted
from tests.extproc.cache.hearing import DIMS, keep, keys, question


def questions_at(url, *, deadline_s=10.0, kind="", collection="special"):
    line = MilvusLine(Where(url, collection=collection, deadline_s=deadline_s))
    return MilvusQuestions(line, kind=kind, clock=lambda: 0.0)


@pytest.fixture
async def questions(milvus):
    opened = questions_at(milvus.url)
    await opened.prepare(DIMS)
    await opened.purge("")
    yield opened
    opened._line.close()


def rows(questions, **more):
    """All there is, as whoever reads Milvus sees it."""
    client = questions._line._connected()
    fields = ["id", "tenant", "conversation", "until_ms", "turn", "vector"]
    return client.query(
        f"special_{DIMS}", filter="until_ms > 0", output_fields=fields, timeout=10, **more
    )


async def test_another_worker_finds_it(questions, milvus):
    await keep(questions, question(1))
    other = questions_at(milvus.url)
    with suppress(QuestionsFaultError):  # it connects beside the question, which is rarely as slow
        assert await keys(other, question(1)) == ["acme:m:1"]
    await other.prepare(DIMS)
    assert await keys(other, question(1)) == ["acme:m:1"]
    other._line.close()


async def test_who_asks_does_not_wait_for_a_connection():
    nowhere = questions_at("http://127.0.0.1:9")
    with pytest.raises(QuestionsFaultError, match="not there yet"):
        await keys(nowhere, question(1))
    nowhere._line.close()


async def test_vectors_of_another_model_meet_nothing(questions, milvus):
    await keep(questions, question(1))
    other = questions_at(milvus.url, kind="bge")
    await other.prepare(DIMS)
    assert await keys(other, question(1)) == []
    other._line.close()


async def test_who_reads_it_cannot_read_what_was_asked(questions):
    await keep(questions, question(1))
    (row,) = rows(questions)
    told = str({name: value for name, value in row.items() if name != "vector"})
    assert "Question" not in told
    assert question(1).partition not in told


@pytest.mark.parametrize("change", ["tenant", "conversation", "turn", "until_ms", "id"])
async def test_what_was_moved_or_changed_is_not_believed(questions, change):
    """Milvus itself gives a row to the wrong tenant, or a changed one: it cannot be opened."""
    await keep(questions, question(1), question(1, tenant="globex"))
    row = next(dict(each) for each in rows(questions) if each["tenant"] == "acme")
    client, name = questions._line._connected(), f"special_{DIMS}"
    client.delete(name, filter='tenant == "acme"', timeout=10)
    wrong = question(1, tenant="globex") if change == "tenant" else question(1)
    other = {
        "tenant": {"tenant": "globex", "conversation": questions._name(wrong.partition)},
        "conversation": {"conversation": questions._name("other")},
        "turn": {"turn": row["turn"][:-2] + ("00" if row["turn"][-2:] != "00" else "01")},
        "until_ms": {"until_ms": 99},
        "id": {"id": "acme:m:2"},
    }
    client.upsert(name, [row | other[change]], timeout=10)
    asked = wrong
    if change == "conversation":
        asked = Sought(wrong.place, "other", wrong.turn, wrong.vector)
    found = await keys(questions, asked)
    assert found == (["globex:m:1"] if change == "tenant" else [])


async def test_one_that_stops_is_a_fault_in_time(milvus):
    questions = questions_at(milvus.url, deadline_s=0.2)
    await questions.prepare(DIMS)
    milvus.process.send_signal(signal.SIGSTOP)
    try:
        began_s = time.monotonic()
        for _ in range(3):
            with pytest.raises(QuestionsFaultError):
                await keys(questions, question(1))
        assert time.monotonic() - began_s < 20
        with pytest.raises(QuestionsFaultError, match="left alone"):
            await keep(questions, question(1))
    finally:
        milvus.process.send_signal(signal.SIGCONT)
    questions._line._again_s = 0.0
    async with asyncio.timeout(30):
        while True:
            questions._line._again_s = 0.0
            try:
                await keys(questions, question(1))
            except QuestionsFaultError:
                await asyncio.sleep(0.05)
            else:
                break
    assert not questions._line._breaker.open
    questions._line.close()


async def test_without_a_milvus_there_is_a_fault_and_no_wait():
    questions = questions_at("http://127.0.0.1:9")
    began_s = time.monotonic()
    for _ in range(2):
        with pytest.raises(QuestionsFaultError):
            await keys(questions, question(1))
    assert time.monotonic() - began_s < 20
    with pytest.raises(QuestionsFaultError):
        await questions.prepare(DIMS)
    questions._line.close()


@pytest.mark.parametrize("text", ['a"', "a\\", "a b", "a_", "a%b", "a\n", "x" * 161])
def test_nothing_ends_the_quotes(text):
    with pytest.raises(ValueError, match="filter"):
        quoted(text)


def test_filters():
    assert quoted("a:b.c-1") == '"a:b.c-1"'
    assert begins("a:m") == 'id like "a:m%"'
    assert begins("") == "until_ms > 0"
