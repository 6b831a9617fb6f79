"""Python and Lua count alike: whatever is done in whatever order, both stores answer the same."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.limits.base import Algorithm, Calendar, Charge, Spent, Unit
from extproc.stores.counters_memory import MemoryCounters
from extproc.stores.counters_redis import open_counters
from tests.extproc.stores.limits import SECOND, Clock, limit

HOUR = 3600 * SECOND
NIGHT = 1_774_735_200 * SECOND  # 28 March 2026, 23:00 in Berlin, before an hour is left out


TOKEN, WINDOW, LEAKY, SEMAPHORE, BUDGET = Algorithm
LIMITS = [
    # Of one name, only one may be in a reservation: they are versions of a policy.
    [
        limit("tpm", TOKEN, Unit.TOKENS, 1000, period_s=60, cached_weight=0.333),
        limit("tpm", TOKEN, Unit.TOKENS, 700, period_s=60, burst=1500),
        limit("tpm", WINDOW, Unit.TOKENS, 1000, period_s=60),
    ],
    [
        limit("strict", TOKEN, Unit.PROMPT_TOKENS, 999, period_s=7, strict=True),
        limit("strict", TOKEN, Unit.PROMPT_TOKENS, 12_345, period_s=31, strict=True, burst=2000),
    ],
    [limit("rate", LEAKY, Unit.TOKENS, 10_000, period_s=1, burst=3000)],
    [limit("odd", LEAKY, Unit.COMPLETION_TOKENS, 1_234_567, period_s=86_400, burst=3000)],
    [
        limit("tpd", WINDOW, Unit.TOKENS, 5000, period_s=86_400, strict=True),
        limit("tpd", WINDOW, Unit.TOKENS, 3000, period_s=3600),
    ],
    [limit("qps", WINDOW, Unit.REQUESTS, 3, period_s=1)],
    [
        limit("at-once", SEMAPHORE, Unit.CONCURRENT, 2),
        limit("at-once", SEMAPHORE, Unit.CONCURRENT, 3),
        limit("at-once", SEMAPHORE, Unit.CONCURRENT, 1, shadow=True),
    ],
    [
        limit(
            "money", BUDGET, Unit.USD, 7_000_001, calendar=Calendar.DAY, zone="Europe/Berlin",
            alerts=(1, 50, 80, 100, 130),
        ),
        limit("money", BUDGET, Unit.USD, 9_000_000, calendar=Calendar.MONTH, alerts=(100,)),
        limit("money", BUDGET, Unit.USD, 9_000_000, calendar=Calendar.WEEK, zone="Asia/Tokyo"),
    ],
    [limit("ghost", TOKEN, Unit.TOKENS, 500, period_s=3600, shadow=True)],
]  # fmt: skip

KEYS = st.sampled_from(["k1", "k2", "k3", "k4", "k5", "k6"])
SCOPES = st.sampled_from(["", "acme/ann", "a:b\u00e9*"])
AMOUNTS = st.integers(0, 1200) | st.integers(0, 2**53)


@st.composite
def charges(draw):
    taken = draw(st.lists(st.sampled_from(LIMITS), unique_by=id, max_size=6))
    found = []
    for versions in taken:
        one = draw(st.sampled_from(versions))
        small = one.unit in {Unit.CONCURRENT, Unit.REQUESTS}
        amount = 1 if small else draw(AMOUNTS if one.unit is Unit.USD else st.integers(0, 1200))
        found.append(Charge(one, draw(SCOPES), amount))
    return found


SPENT = st.none() | st.builds(
    Spent,
    st.integers(0, 900),
    st.integers(0, 1000),
    st.integers(0, 3000),
    st.integers(0, 4 * 10**6),
)
LEASES = st.sampled_from([0.5, 30.0, 3600.0])
STEPS = st.one_of(
    st.tuples(st.just("reserve"), KEYS, charges(), LEASES, st.booleans()),
    st.tuples(st.just("reserve"), KEYS, charges(), LEASES, st.just(False)),
    st.tuples(st.just("settle"), KEYS, SPENT),
    st.tuples(st.just("renew"), KEYS, LEASES),
    st.tuples(
        st.just("wait"),
        st.integers(-SECOND, 3 * SECOND) | st.integers(0, 40 * SECOND) | st.integers(0, 30 * HOUR),
    ),
    st.tuples(st.just("look")),
    st.tuples(st.just("reset"), st.sampled_from(LIMITS).map(lambda v: v[0].name), SCOPES),
    st.tuples(st.just("scopes"), st.sampled_from(LIMITS).map(lambda v: v[0].name)),
)


async def do(counters, step):
    match step:
        case "reserve", key, wanted, lease_s, late:
            return await counters.reserve(key, wanted, lease_s, late=late)
        case "settle", key, spent:
            return await counters.settle(key, spent)
        case "renew", key, lease_s:
            return await counters.renew(key, lease_s)
        case ("look",):
            pairs = [(v[0], scope) for v in LIMITS for scope in ("", "acme/ann", "a:b\u00e9*")]
            return await counters.look(pairs)
        case "reset", name, scope:
            await counters.reset(name, scope)
            return None  # memory may have swept out by then what was there
        case _:
            return None


async def compare(url, steps):
    clock = Clock(NIGHT)
    memory = MemoryCounters(clock)
    async with open_counters(url, deadline_s=10, clock=clock) as redis:
        for step in [*steps, ("look",)]:
            if step[0] == "wait":
                clock.now_us += step[1]
            else:
                assert await do(memory, step) == await do(redis, step), step


@settings(max_examples=300, deadline=None)
@given(steps=st.lists(STEPS, max_size=40))
def test_both_stores_answer_alike(valkey_server, steps):
    valkey_server.order("FLUSHALL")
    asyncio.run(compare(valkey_server.url, steps))
