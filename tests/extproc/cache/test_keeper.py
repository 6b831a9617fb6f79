"""What becomes of answers that went by."""

import asyncio
import dataclasses
import json

import pytest

from extproc.cache.answer import unpack
from extproc.cache.flights import Flights
from extproc.cache.keeper import LONG_BYTES, MOST_WAITING, Keeper, Whole
from extproc.cache.turn import Sought
from extproc.errors import CountersFaultError, QuestionsFaultError
from extproc.request import Kind
from extproc.stores.cache_memory import MemoryAnswers
from extproc.stores.memory import MemoryCacheMeter
from tests.extproc.cache.answers import KINDS, body, document


class Broken(MemoryAnswers):
    async def put(self, key, entry, keep_s):
        raise CountersFaultError("away")


def whole(raw, kind=Kind.CHAT, *, stream=False, lead=None):
    return Whole("p:k", kind, stream, raw, 60, 120, lead)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stream", [True, False])
async def test_whole_answers_are_kept(kind, stream):
    answers, meter = MemoryAnswers(), MemoryCacheMeter()
    keeper = Keeper(answers, meter, clock=lambda: 1.0)
    await keeper.keep(whole(body(kind, stream=stream), kind, stream=stream))
    entry = await answers.get("p:k")
    assert unpack(entry.answer).text == "Paris."
    assert (entry.at_ms, entry.fresh_ms, meter.answers) == (1000, 61_000, ["kept"])


async def test_a_long_one_is_read_in_a_thread():
    answers, meter = MemoryAnswers(), MemoryCacheMeter()
    await Keeper(answers, meter).keep(whole(body(text="x" * LONG_BYTES)))
    assert meter.answers == ["kept"]


@pytest.mark.parametrize("raw", [b"{", b"[]", b'{"error":{}}', b"\xff", body(text="\\ud800")[:-2]])
async def test_what_is_unfit_is_not_and_those_who_wait_are_told(raw):
    meter, flights = MemoryCacheMeter(), Flights()
    lead, flight = flights.join("p:k"), flights.join("p:k")
    await Keeper(MemoryAnswers(), meter).keep(whole(raw, lead=lead))
    assert meter.answers == ["unfit"]
    assert await flight is None


async def test_a_number_that_no_store_can_keep_is_unfit():
    """Engines repeat what clients send: a schema may say so."""
    text = {"format": {"schema": {"maximum": 10**20}}}
    raw = json.dumps({**document(Kind.RESPONSES), "text": text}).encode()
    meter, flights = MemoryCacheMeter(), Flights()
    lead, flight = flights.join("p:k"), flights.join("p:k")
    await Keeper(MemoryAnswers(), meter).keep(whole(raw, Kind.RESPONSES, lead=lead))
    assert meter.answers == ["unfit"]
    assert (await flight).text == "Paris."


async def test_a_store_that_is_away_keeps_nobody_from_the_answer():
    meter, flights = MemoryCacheMeter(), Flights()
    lead, flight = flights.join("p:k"), flights.join("p:k")
    await Keeper(Broken(), meter).keep(whole(body(), lead=lead))
    assert meter.answers == ["fault"]
    assert (await flight).text == "Paris."


async def test_what_must_go_is_counted():
    meter = MemoryCacheMeter()
    keeper = Keeper(MemoryAnswers(most_bytes=700), meter)
    await keeper.keep(whole(body()))
    await keeper.keep(
        Whole("p:k2", Kind.CHAT, stream=False, body=body(), ttl_s=1, keep_s=1, lead=None)
    )
    assert meter.evictions == 1


class Slow:
    """Implements what is asked of `Likeness`: it finds out who was told before it."""

    def __init__(self, flight, error=None):
        self.flight, self.error, self.added = flight, error, []

    async def add(self, sought, key, until_ms):
        assert self.flight.done(), "who waits for the answer does not wait for this"
        self.added.append((sought, key, until_ms))
        if self.error:
            raise self.error


@pytest.mark.parametrize(
    ("error", "looks"), [(None, []), (QuestionsFaultError("away"), [("fault", "questions")])]
)
async def test_questions_are_kept_last_of_all(error, looks):
    meter, flights = MemoryCacheMeter(), Flights()
    lead, flight = flights.join("p:k"), flights.join("p:k")
    likeness, sought = Slow(flight, error), Sought("p", "c", "How?")
    keeper = Keeper(MemoryAnswers(), meter, likeness, clock=lambda: 1.0)
    await keeper.keep(dataclasses.replace(whole(body(), lead=lead), sought=sought))
    assert likeness.added == [(sought, "p:k", 61_000)]
    assert (meter.answers, meter.looks) == (["kept"], looks)
    await keeper.keep(dataclasses.replace(whole(b"{"), sought=sought))
    assert len(likeness.added) == 1, "without an answer there is nothing to find"


class Faulty(MemoryAnswers):
    """Has a mistake of ours in it, the first time."""

    faults = 1

    async def put(self, key, entry, keep_s):
        self.faults -= 1
        if self.faults == 0:
            raise ZeroDivisionError
        return await super().put(key, entry, keep_s)


async def test_no_fault_ends_it():
    """It runs in the worker's group of tasks: all of the worker would end."""
    meter, flights = MemoryCacheMeter(), Flights()
    keeper = Keeper(Faulty(), meter)
    lead, flight = flights.join("p:k"), flights.join("p:k")
    keeper.put(whole(body(), lead=lead))
    del lead
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(keeper.run())
        assert await flight is None
        keeper.put(whole(body()))
        while not meter.answers:  # noqa: ASYNC110 - a list tells nobody
            await asyncio.sleep(0.01)
        running.cancel()
    assert meter.answers == ["kept"]


async def test_it_runs_and_drops_what_is_too_much():
    answers, meter = MemoryAnswers(), MemoryCacheMeter()
    keeper = Keeper(answers, meter)
    for _ in range(MOST_WAITING + 1):
        keeper.put(whole(body()))
    assert meter.answers == ["dropped"]
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(keeper.run())
        while len(meter.answers) <= MOST_WAITING:  # noqa: ASYNC110 - a list tells nobody
            await asyncio.sleep(0.01)
        running.cancel()
    assert len(meter.answers) == MOST_WAITING + 1
    assert await answers.get("p:k")
    assert "Paris" not in repr(whole(body()))
