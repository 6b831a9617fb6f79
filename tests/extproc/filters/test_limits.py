"""Reserved before it leaves, settled when it has ended: through the filter, over counters in memory."""

import asyncio
from types import SimpleNamespace

import msgspec
import pytest

from alerts.alert import Kind as AlertKind
from extproc.counting.counted import Counted
from extproc.decision import Deny, Outcome
from extproc.errors import Reason
from extproc.filter import AnswerMode, Shown
from extproc.filters.limits import Limits, Reserved
from extproc.limits.base import Algorithm, Calendar, Limit, Unit
from extproc.limits.reach import Reach
from extproc.request import Body, Identity, Kind, Model, Operation, Prompt
from extproc.stores.counters_memory import MemoryCounters
from extproc.stores.memory import MemoryLimitMeter
from tests.extproc.requests import bare

TPM = Limit(
    name="tpm", algorithm=Algorithm.TOKEN_BUCKET, unit=Unit.TOKENS, amount=1000, period_s=60
)
SLOTS = Limit(name="slots", algorithm=Algorithm.SEMAPHORE, unit=Unit.CONCURRENT, amount=2)
CALLS = Limit(
    name="calls", algorithm=Algorithm.SLIDING_WINDOW, unit=Unit.REQUESTS, amount=3, period_s=86400
)
MONTH = Limit(
    name="month", algorithm=Algorithm.BUDGET, unit=Unit.USD, amount=10**7, calendar=Calendar.MONTH,
    alerts=(50, 100),
)  # fmt: skip
NOW_US = 1_800_000_000 * 10**6


class Desk:
    """A filter over counters in memory, with a clock that stands still until it is moved."""

    def __init__(self, *limits, per=("tenant",), **reach):
        self.now_us = NOW_US
        self.meter = MemoryLimitMeter()
        self.told = []
        self.counters = MemoryCounters(lambda: self.now_us)
        reaches = [Reach(limit=each, per=per, **reach) for each in limits]
        self.filter = Limits(
            reaches, self.counters, self.meter, clock=lambda: 1.8e9, alert=self.told.append
        )
        self.limits = limits
        self.number = 0

    def request(
        self,
        *,
        prompt=100,
        likely=50,
        most=400,
        kind=Kind.CHAT,
        stream=False,
        by="tokenizer",
        **who,
    ):
        self.number += 1
        return (
            bare(settle_key=f"k{self.number}")
            .having(Operation(kind))
            .having(Identity(**{"tenant": "acme", "key_id": "key-1", **who}))
            .having(Prompt({}, "m", stream=stream))
            .having(Model("m", "p", "m", price="1/0.5/2"))
            .having(Body(b"x" * 120))
            .having(Counted(prompt, by, likely_tokens=likely, most_tokens=most))
        )

    async def left(self, scope="acme"):
        standings = await self.counters.look([(limit, scope) for limit in self.limits])
        return [standing.remaining for standing in standings]

    async def end(self, request, status=200, attempts=1, **usage):
        witness = {**request.witness(), "settle_key": request.settle_key}
        await self.filter.settle(Outcome(witness, status, attempts, (), usage))


async def test_a_request_that_no_limit_is_for_passes_as_it_is():
    desk = Desk(TPM, tenants=frozenset({"globex"}))
    request = desk.request()
    assert await desk.filter.decide(request) is request
    await desk.end(request, prompt_tokens=5)
    assert (desk.meter.verdicts, desk.meter.settlements) == ([], [])


async def test_what_is_expected_is_reserved_and_what_was_used_is_kept():
    desk = Desk(TPM, SLOTS, CALLS, MONTH)
    request = await desk.filter.decide(desk.request())
    assert await desk.left() == [850, 1, 2, 10**7 - 200_000]
    assert request.fact(Reserved).witness() == {
        "reserved_tokens": 150, "limit-requests": "3", "remaining-requests": "2",
        "reset-requests": "24h24m0s", "limit-tokens": "1000", "remaining-tokens": "850",
        "reset-tokens": "9s",
    }  # fmt: skip
    await desk.end(request, prompt_tokens=90, completion_tokens=10, cached_tokens=50)
    assert await desk.left() == [900, 2, 2, 10**7 - (40_000 + 25_000 + 20_000)]
    await desk.end(request, prompt_tokens=90, completion_tokens=10)
    assert (await desk.left())[0] == 900, "a request is settled once"
    assert [s.state for s in desk.meter.settlements] == ["settled", "repeated"]


async def test_an_end_that_was_told_to_nobody_is_settled_when_it_is_told_again():
    desk = Desk(TPM, SLOTS)
    request = await desk.filter.decide(desk.request())
    witness = {**request.witness(), "settle_key": request.settle_key}
    used = {"prompt_tokens": 90, "completion_tokens": 10}
    for _ in range(2):
        await desk.filter.settle_again(Outcome(witness, 200, 1, (), used))
        assert await desk.left() == [900, 2]
    assert [s.state for s in desk.meter.settlements] == ["settled", "repeated"]


async def test_an_end_that_is_told_again_waits_for_nothing():
    """Those that waited in a worker which was killed are a thousand, and are told one after the other."""
    desk = Desk(SLOTS)
    request = await desk.filter.decide(desk.request())
    told = desk.filter.settle_again(Outcome({"settle_key": request.settle_key}, 503, 0, ()))
    with pytest.raises(StopIteration):
        told.send(None)
    assert await desk.left() == [2]


async def test_all_or_none():
    desk = Desk(TPM, SLOTS)
    held = [await desk.filter.decide(desk.request()) for _ in range(2)]
    before = await desk.left()
    deny = await desk.filter.decide(desk.request())
    assert isinstance(deny, Deny)
    assert (deny.reason, deny.headers["x-headgate-limit"]) == (Reason.RATE_LIMIT, "slots")
    assert await desk.left() == before == [700, 0]
    await desk.end(held[0], status=503)
    assert await desk.left() == [850, 1], "an error is given back in full"


async def test_a_place_that_is_just_being_given_back_is_waited_for():
    """The client has its answer before we hear of it."""
    desk = Desk(SLOTS)
    held = [await desk.filter.decide(desk.request()) for _ in range(2)]
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(desk.filter.decide(desk.request()))
        await asyncio.sleep(0.002)
        assert not asking.done()
        await desk.end(held[0], prompt_tokens=1)
    assert asking.result().fact(Reserved)


@pytest.mark.parametrize(
    ("end", "kept"),
    [
        ({"status": 400}, 0),
        ({"status": 503, "attempts": 4}, 0),
        ({"status": 0, "attempts": 0}, 0),
        ({"status": 0}, 100),
        ({"status": 0, "prompt_tokens": 90, "completion_tokens": 3}, 93),
        ({"status": 200, "prompt_tokens": 90, "completion_tokens": 700}, 790),
    ],
)
async def test_refunds(end, kept):
    desk = Desk(TPM)
    await desk.end(await desk.filter.decide(desk.request()), **end)
    assert await desk.left() == [1000 - kept]


async def test_a_later_refusal_gives_everything_back():
    desk = Desk(TPM, CALLS)
    request = await desk.filter.decide(desk.request())
    witness = {**request.witness(), "deny": "no_endpoint"}
    await desk.filter.settle(Outcome(witness, 503, 0, ()))
    assert await desk.left() == [1000, 3]


async def test_strict_reserves_the_longest_answer():
    desk = Desk(msgspec.structs.replace(TPM, strict=True))
    request = await desk.filter.decide(desk.request())
    assert request.fact(Reserved).tokens == 500
    deny = await desk.filter.decide(desk.request(most=2000))
    assert (deny.reason, deny.headers["x-should-retry"]) == (Reason.ABOVE_LIMIT, "false")


async def test_a_sign_of_life_keeps_a_place():
    desk = Desk(SLOTS)
    request = await desk.filter.decide(desk.request())
    desk.now_us += 30 * 10**6
    await desk.filter.renew(Outcome(request.witness(), 0, 1, (), running=True))
    await desk.filter.renew(Outcome({}, 0, 1, (), running=True))
    desk.now_us += 30 * 10**6
    assert await desk.left() == [1]
    desk.now_us += 10 * 10**6
    assert await desk.left() == [2], "nobody vouched for it any more"


async def test_a_budget_that_reaches_a_level_is_told_once():
    desk = Desk(MONTH)
    for _ in range(3):
        request = await desk.filter.decide(desk.request())
        await desk.end(request, prompt_tokens=4000)
    assert [(told.kind, told.facts["percent"]) for told in desk.told] == [
        (AlertKind.BUDGET_LEVEL, 50), (AlertKind.BUDGET_LEVEL, 100),
    ]  # fmt: skip
    assert desk.told[0].tenant == "acme"
    refused = await desk.filter.decide(desk.request())
    assert (refused.reason, refused.headers["x-should-retry"]) == (Reason.BUDGET, "false")


STOPPING = {"stop": True, "ample": 10_000}


def shown(request):
    return request.having(Shown(AnswerMode.DUPLEX))


async def test_an_answer_that_is_watched_is_reserved_slice_by_slice():
    desk = Desk(TPM, **STOPPING)
    assert desk.filter.wish(desk.request()) is AnswerMode.DUPLEX
    asked = desk.request(stream=True, prompt=100, likely=50, most=2000)
    request = await desk.filter.decide(shown(asked))
    assert await desk.left() == [850]
    stop = desk.filter.transform(request)
    for _ in range(3):
        await stop.wait()
        stop.feed(b"")
    assert await desk.left() == [850 - 3 * 256]
    await stop.wait()
    assert await desk.left() == [82], "refused: nothing taken"
    await desk.end(request, prompt_tokens=100, completion_tokens=818)
    assert await desk.left() == [82], "slices are given back against the truth"
    assert request.witness()["sliced"] is True


class Noting(MemoryCounters):
    """Tells what was asked to be settled."""

    def __init__(self, clock_us):
        super().__init__(clock_us)
        self.keys = []

    async def settle(self, key, spent, **more):
        self.keys.append(key)
        return await super().settle(key, spent, **more)


async def test_as_many_slices_are_looked_for_as_the_answer_may_have_taken():
    """One of them may be unknown, where the counters were away for a while."""
    desk = Desk(TPM, **STOPPING)
    counters = Noting(lambda: desk.now_us)
    reaches = [Reach(limit=desk.limits[0], per=("tenant",), **STOPPING)]
    desk.filter = Limits(reaches, counters, desk.meter, clock=lambda: 1.8e9)
    asked = desk.request(stream=True, prompt=100, likely=50, most=2000)
    request = await desk.filter.decide(shown(asked))
    await desk.end(request, prompt_tokens=100, completion_tokens=600)
    key = request.settle_key
    assert counters.keys == [key, *(f"{key}+{number}" for number in (1, 2, 3, 4))]


@pytest.mark.parametrize(
    ("end", "left"),
    [
        ({"status": 0, "attempts": 0}, [1000, 2]),  # the client had left
        ({"status": 503, "attempts": 0}, [1000, 2]),  # the worker died
        ({"status": 200, "attempts": 0}, [850, 1]),
        ({"status": 0, "attempts": 1}, [850, 1]),
    ],
)
async def test_a_reservation_whose_reply_was_lost_is_given_back(end, left):
    desk = Desk(TPM, SLOTS)
    request = desk.request()
    await desk.filter.decide(request)
    await desk.filter.settle(Outcome({"settle_key": request.settle_key}, failed=(), **end))
    assert await desk.left() == left


@pytest.mark.parametrize("stream", [True, False])
async def test_what_is_not_watched_is_reserved_in_full(stream):
    desk = Desk(TPM, **STOPPING)
    request = desk.request(stream=stream)
    request = await desk.filter.decide(request if stream else shown(request))
    assert await desk.left() == [500]
    assert desk.filter.transform(request) is None


async def test_where_ample_room_is_left_nobody_is_watched():
    desk = Desk(TPM, stop=True, ample=400)
    await desk.filter.decide(desk.request())
    assert desk.filter.wish(desk.request()) is AnswerMode.NONE
    assert desk.filter.wish(desk.request(tenant="globex")) is AnswerMode.DUPLEX


async def test_a_request_without_limits_has_nothing_to_transform():
    desk = Desk(TPM)
    assert desk.filter.transform(desk.request()) is None
    assert desk.filter.wish(desk.request()) is AnswerMode.NONE


async def test_a_verdict_without_the_shared_counters_says_so():
    desk = Desk(TPM)
    reserve = desk.counters.reserve

    async def degraded(*given, **more):
        return msgspec.structs.replace(await reserve(*given, **more), degraded="local")

    counters = SimpleNamespace(reserve=degraded)
    apart = Limits([Reach(limit=TPM, per=())], counters, desk.meter, clock=lambda: 0.0)
    request = await apart.decide(desk.request())
    assert request.fact(Reserved).witness()["limits"] == "local"
