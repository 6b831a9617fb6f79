"""Calls to Milvus have a deadline and a breaker, whatever Milvus does."""

import asyncio
import threading
import time
from contextlib import asynccontextmanager

import pytest

from extproc.errors import QuestionsFaultError
from extproc.stores.milvus import PAUSE_S, MilvusLine, Where, fault

SECRET = "what somebody asked"


class Client:
    """A client that does what it is told to."""

    def __init__(self):
        self.closed = threading.Event()

    def close(self):
        self.closed.set()


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@asynccontextmanager
async def opened(clock, deadline_s):
    made = MilvusLine(Where("http://x", deadline_s=deadline_s), lambda _: Client(), clock)
    await made.prepare("c", lambda _: None)
    yield made
    made.close()


@pytest.fixture
async def line(clock):
    async with opened(clock, 30) as made:
        yield made


@pytest.fixture
async def hasty(clock):
    async with opened(clock, 0.05) as made:
        yield made


def broken(_):
    raise ValueError(SECRET)


async def over(line, job):
    line.begin("c", job)
    await asyncio.wait([asyncio.wrap_future(line._prepared["c"])])


async def test_it_answers(line):
    assert await line.call(type, "c") is Client


async def test_a_slow_one_is_left_at_the_deadline(hasty):
    end = threading.Event()
    began_s = time.monotonic()
    with pytest.raises(QuestionsFaultError, match="no answer within 50 ms"):
        await hasty.call(lambda _: end.wait(30), "c")
    assert time.monotonic() - began_s < 20
    end.set()


async def test_threads_that_hang_stall_nobody(hasty):
    """All threads hang; who asks then is told at the deadline, and the breaker opens."""
    end = threading.Event()
    async with asyncio.timeout(20):
        results = await asyncio.gather(
            *(hasty.call(lambda _: end.wait(30), "c") for _ in range(20)), return_exceptions=True
        )
    assert {type(each) for each in results} == {QuestionsFaultError}
    with pytest.raises(QuestionsFaultError, match="left alone"):
        await hasty.call(lambda _: None, "c")
    end.set()


async def test_it_is_left_alone_and_tried_again(line, clock, caplog):
    for _ in range(3):
        with pytest.raises(QuestionsFaultError, match="ValueError") as raised:
            await line.call(broken, "c")
        assert SECRET not in str(raised.value)
    with pytest.raises(QuestionsFaultError, match="left alone"):
        await line.call(lambda _: None, "c")
    clock.now_s += PAUSE_S
    assert await line.call(lambda _: "well", "c") == "well"
    assert await line.call(lambda _: "well", "c") == "well"
    told = [record.getMessage() for record in caplog.records]
    assert (len(told), SECRET in caplog.text) == (2, False)
    assert ["questions_down" in told[0], "questions_back" in told[1]] == [True, True]


async def test_what_cannot_be_prepared_is_tried_again(clock):
    tries = []

    def connect(_):
        tries.append(1)
        if len(tries) < 2:
            raise OSError("away")
        return Client()

    line = MilvusLine(Where("http://x", deadline_s=30), connect, clock)
    with pytest.raises(QuestionsFaultError, match="OSError"):
        await line.prepare("c", lambda _: None)
    await over(line, broken)
    with pytest.raises(QuestionsFaultError, match="ValueError"):
        await line.call(lambda _: None, "c")
    await over(line, lambda _: None)
    assert await line.call(lambda _: "well", "c") == "well"
    line.close()


async def test_what_goes_wrong_beside_is_told(line, caplog):
    done = threading.Event()
    line.beside(broken)
    line.beside(lambda _: done.set())
    assert await asyncio.to_thread(done.wait, 20)
    assert "questions_down" in caplog.text
    assert SECRET not in caplog.text


async def test_closing_hangs_up():
    line = MilvusLine(Where("http://x", deadline_s=30), lambda _: Client())
    await line.prepare("c", lambda _: None)
    client = await line.call(lambda client: client, "c")
    line.close()
    assert await asyncio.to_thread(client.closed.wait, 20)
    with pytest.raises(QuestionsFaultError):
        await line.call(lambda _: None, "c")


async def test_who_asks_while_it_is_closed_is_told(clock):
    """A policy that keeps questions elsewhere closes it under those who ask: nobody's task may be cancelled."""
    line = MilvusLine(Where("http://x", deadline_s=30), lambda _: Client(), clock)
    await line.prepare("c", lambda _: None)
    end = threading.Event()
    asking = [asyncio.ensure_future(line.call(lambda _: end.wait(30), "c")) for _ in range(6)]
    await asyncio.sleep(0)
    line.close()
    end.set()
    async with asyncio.timeout(20):
        assert await asyncio.gather(*asking) == [True] * 6
    with pytest.raises(QuestionsFaultError, match="closed"):
        line.beside(lambda _: None)
    with pytest.raises(QuestionsFaultError, match="closed"):
        line.begin("other", lambda _: None)


def test_what_is_told_of_faults():
    class CodedError(Exception):
        code = 7

    assert str(fault(CodedError(SECRET))) == "CodedError 7"
    assert "token" not in repr(Where("http://x", "token"))
