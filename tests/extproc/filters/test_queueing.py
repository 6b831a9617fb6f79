"""Who waits, in which class, for how long, and what those are told that do not."""

import asyncio
from contextlib import asynccontextmanager

import msgspec
import pytest

from extproc.decision import Deny, Wait
from extproc.errors import Reason
from extproc.filters.limits import Limits, Reserved
from extproc.filters.queueing import REST_S, Queue, shed
from extproc.limits.base import Charge, Spent
from extproc.limits.reach import Priority, Reach
from extproc.limits.waiting import Waiting
from extproc.stores.memory import MemoryQueueMeter
from tests.extproc.filters.test_limits import CALLS, SLOTS, TPM, Desk

QUEUED = msgspec.structs.replace(SLOTS, wait_s=5.0)
PRIORITIES = [
    Priority(name="interactive", weight=8, tenants=frozenset({"acme"})),
    Priority(name="staff", weight=3, groups=frozenset({"staff"})),
]


@asynccontextmanager
async def desk_with_a_queue(*limits, most=1000):
    desk = Desk(*limits)
    desk.queue_meter = MemoryQueueMeter()
    desk.waiting = Waiting(desk.counters, desk.queue_meter, "w1", most)
    desk.filter = Limits(
        [Reach(limit=each, per=()) for each in limits],
        desk.counters,
        desk.meter,
        clock=lambda: 1.8e9,
        queue=Queue(desk.waiting, PRIORITIES),
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(desk.waiting.run())
        yield desk
        running.cancel()


def patient(request, seconds):
    return msgspec.structs.replace(request, headers={"x-request-timeout": str(seconds)})


async def fill(desk, count=2):
    return [await desk.filter.decide(desk.request()) for _ in range(count)]


async def test_who_is_refused_by_a_limit_with_a_line_waits_and_is_told_how_long():
    async with desk_with_a_queue(QUEUED, TPM) as desk:
        held = await fill(desk)
        wait = await desk.filter.decide(desk.request())
        assert isinstance(wait, Wait)
        assert wait.most_s == 5.0 + REST_S
        served = asyncio.ensure_future(wait.decide())
        await asyncio.sleep(0.01)
        assert desk.queue_meter.lengths == {"interactive": 1}
        await desk.counters.settle(held[0].settle_key, Spent())
        request = await served
        assert request.fact(Reserved).witness()["queued_ms"] > 0
        assert request.fact(Reserved).tokens == 150
        assert len(desk.meter.verdicts) == 3, "one for each request"
        assert all(verdict.admitted for verdict in desk.meter.verdicts)


@pytest.mark.parametrize(
    ("who", "priority"),
    [
        ({}, "interactive"),
        ({"groups": frozenset({"staff"})}, "interactive"),
        ({"tenant": "globex", "groups": frozenset({"staff"})}, "staff"),
        ({"tenant": "globex"}, "default"),
    ],
)
async def test_the_first_class_that_is_for_it(who, priority):
    async with desk_with_a_queue(QUEUED) as desk:
        await fill(desk)
        asking = asyncio.ensure_future((await desk.filter.decide(desk.request(**who))).decide())
        await asyncio.sleep(0)
        assert desk.queue_meter.lengths == {priority: 1}
        asking.cancel()


async def test_a_client_is_not_kept_longer_than_it_waits():
    async with desk_with_a_queue(QUEUED) as desk:
        await fill(desk)
        wait = await desk.filter.decide(patient(desk.request(), 0.05))
        assert wait.most_s == pytest.approx(0.05 + REST_S)
        deny = await wait.decide()
        assert isinstance(deny, Deny)
        assert (deny.reason, deny.headers["x-headgate-queue"]) == (Reason.RATE_LIMIT, "expired")
        assert int(deny.headers["x-headgate-queue-ms"]) >= 50
        assert deny.retry_after_s >= 1
        assert "has waited" in deny.message


async def test_what_would_take_too_long_is_refused_at_once_with_an_honest_time():
    async with desk_with_a_queue(QUEUED, msgspec.structs.replace(TPM, wait_s=4.0)) as desk:
        await desk.filter.decide(desk.request(likely=900))
        deny = await desk.filter.decide(desk.request(likely=300))
        assert isinstance(deny, Deny)
        assert (deny.headers["x-headgate-queue"], deny.retry_after_s) == ("shed", 24)
        assert "longer than it may" in deny.message
        assert desk.queue_meter.sheds == [("interactive", "late")]


async def test_one_limit_without_a_line_among_those_that_refuse_is_enough_for_a_plain_refusal():
    async with desk_with_a_queue(QUEUED, CALLS) as desk:
        for request in await fill(desk):
            await desk.counters.settle(request.settle_key, Spent())
        await fill(desk, 1)
        await desk.counters.reserve("other", [Charge(QUEUED, "", 1)], 30)
        deny = await desk.filter.decide(desk.request())
        assert isinstance(deny, Deny)
        assert "x-headgate-queue" not in deny.headers


async def test_a_full_queue_sheds():
    async with desk_with_a_queue(QUEUED, most=1) as desk:
        await fill(desk)
        asking = asyncio.ensure_future((await desk.filter.decide(desk.request())).decide())
        await asyncio.sleep(0)
        deny = await desk.filter.decide(desk.request())
        assert (deny.headers["x-headgate-queue"], desk.queue_meter.sheds) == (
            "shed", [("interactive", "full")],
        )  # fmt: skip
        asking.cancel()


async def test_without_lines_nobody_minds_them():
    """No ticket, no more work than ever."""
    shown = []

    async with desk_with_a_queue(TPM) as desk:
        reserve = desk.counters.reserve

        async def watched(*given, **how):
            shown.append(how["ticket"])
            return await reserve(*given, **how)

        desk.counters.reserve = watched
        await desk.filter.decide(desk.request())
    assert shown == [None]


def test_words():
    deny = Deny(Reason.RATE_LIMIT, "No room.", retry_after_s=3, headers={"a": "b"})
    assert shed(deny, "full").headers == {"a": "b", "x-headgate-queue": "shed"}
    assert shed(deny, "expired", 1.2341).headers["x-headgate-queue-ms"] == "1235"
    assert shed(deny, "draining").message == ("No room. This part of the gateway is being stopped.")
