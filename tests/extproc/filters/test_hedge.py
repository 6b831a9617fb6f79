"""Asked twice: what, when, and how often at most."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.watch.messages import Ended
from extproc.filters.hedge import LEAST_SEEN, HedgeRule, Hedging, Latencies
from extproc.request import Alternative, Hedge, Kind, Model, Operation, Payload, Prompt, Tries
from extproc.stores.memory import MemoryEngines
from tests.extproc.requests import bare

MODEL = Model("m", "p", "m")


def asked(kind=Kind.CHAT, *, stream=False, size=100, model=MODEL, key="k"):
    return (
        bare(settle_key=key)
        .having(Operation(kind))
        .having(model)
        .having(Prompt({}, "m", stream=stream))
        .having(Payload(b"x" * size))
    )


def ended(latency_s=0.1, *, key="k", status=200, **more):
    return Ended(key, "p", "a:1", 0.0, status, latency_s, model="m", **more)


def make(view=None, **rule):
    return Hedging({"m": HedgeRule(**rule)}, frozenset({"x"}), view or MemoryEngines())


async def hedged(filter_, request):
    found = (await filter_.decide(request)).find(Hedge)
    return found and found.after_ms


async def test_after_a_time_that_the_policy_names():
    assert await hedged(make(after_s=0.25), asked()) == 250
    assert Hedge(250).witness() == {"hedge_ms": 250}


async def test_after_the_p95_once_there_is_one():
    filter_ = make()
    for n in range(LEAST_SEEN - 1):
        filter_.heard(ended(0.001 * (n + 1)))
    assert await hedged(filter_, asked()) is None
    filter_.heard(ended(0.1))
    assert await hedged(filter_, asked()) == 95


@pytest.mark.parametrize(
    "request_",
    [
        asked(stream=True),
        asked(Kind.RESPONSES),
        asked(size=513 * 4),
        asked(model=Model("other", "p", "o")),
        asked(model=Model("m", "x", "m")),
        asked().having(Tries("m", b"{", (Alternative(MODEL, b"{"),), True)),
    ],
    ids=["stream", "leaves something", "long", "no rule", "elsewhere", "goes on"],
)
async def test_what_is_never_asked_twice(request_):
    assert await hedged(make(after_s=0.1), request_) is None


async def test_no_more_than_a_share_is_asked_twice():
    """By however many workers, and whichever of them Envoy tells of the ends."""
    views = [MemoryEngines() for _ in range(2)]
    workers = [make(view, after_s=0.1, max_share=0.1) for view in views]
    twice = 0
    for n in range(1000):
        if await hedged(workers[n % 2], asked(key=f"k{n}")):
            twice += 1
            for view in views:
                view.ended(ended(key=f"k{n}", attempts=2))  # each of them was slow
    assert 90 <= twice <= 101


async def test_what_was_answered_in_time_costs_nothing():
    filter_ = make(after_s=0.1, max_share=0.01)
    for n in range(100):
        assert await hedged(filter_, asked(key=f"k{n}"))
        filter_.heard(ended(key=f"k{n}", attempts=1))
        filter_.heard(ended(key="another's", attempts=2))


async def test_only_answers_in_one_piece_are_learned_from():
    filter_ = make()
    for end in (ended(is_stream=True), ended(status=503), ended(0.0)):
        for _ in range(LEAST_SEEN):
            filter_.heard(end)
    assert await hedged(filter_, asked()) is None


@given(st.lists(st.floats(0.001, 10), min_size=LEAST_SEEN, max_size=300))
def test_the_p95_is_that_of_the_latest(seen):
    latencies = Latencies(150)
    for each in seen:
        latencies.add(each)
    latest = sorted(seen[-150:])
    p95 = latencies.p95()
    assert sum(each <= p95 for each in latest) >= 0.95 * len(latest)
    assert sum(each < p95 for each in latest) < 0.95 * len(latest)
