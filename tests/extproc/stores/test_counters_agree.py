"""Python and Lua count alike: whatever is done in whatever order, both stores answer the same."""

import asyncio
import random

from hypothesis import HealthCheck, given, settings
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

KINDS = ("reserve", "settle", "until", "wait", "renew", "reset")
STRICT = next(versions for versions in LIMITS if versions[0].name == "strict")
SEMAPHORES = next(versions for versions in LIMITS if versions[0].name == "at-once")
"""With these the clock does not go back: Redis has thrown out then whom memory still knows."""

KNOWN = st.integers(0, 5)
"""Which key, counted back from the last."""
KEYS = st.sampled_from(["new", "new", "new"]) | KNOWN
SCOPES = st.sampled_from(["", "", "a:b\u00e9*"])
AMOUNTS = st.sampled_from([0, 1, 333, 500, 1000, 1001]) | st.integers(0, 1200)
SPENT = st.none() | st.builds(
    Spent, st.integers(0, 900), st.integers(0, 1000), AMOUNTS, st.integers(0, 4 * 10**6)
)
LEASES = st.sampled_from([0.5, 30.0, 3600.0])
MOMENTS = st.tuples(
    st.just("until"), st.sampled_from(["retry", "reset"]), st.integers(0, 9), st.integers(-1, 1)
)
"""When a limit says that something fits, or that it is whole, and a microsecond before and after."""
WAITS = st.integers(-SECOND, 3 * SECOND) | st.integers(0, 40 * SECOND) | st.integers(0, 30 * HOUR)


@st.composite
def scenarios(draw):
    """A few limits, so that much happens to each, and what is done with them."""
    groups = draw(st.lists(st.sampled_from(LIMITS), unique_by=id, min_size=1, max_size=3))

    @st.composite
    def charges(draw):
        found = []
        for versions in groups:
            if not draw(st.integers(0, 3)):
                continue
            one = versions[0] if draw(st.integers(0, 4)) else draw(st.sampled_from(versions))
            amount = draw(AMOUNTS)
            if one.unit is Unit.USD:
                amount *= draw(st.sampled_from([7000, 8000, 1, 2**40]))
            if one.unit in {Unit.CONCURRENT, Unit.REQUESTS}:
                amount = 1
            found.append(Charge(one, draw(SCOPES), amount))
        return found

    names = st.sampled_from([versions[0].name for versions in groups])
    reserving = st.tuples(st.just("reserve"), KEYS, charges(), LEASES, st.booleans())
    step = st.one_of(
        reserving.map(lambda step: (*step[:-1], False)),
        reserving,
        st.tuples(st.just("settle"), KNOWN, SPENT),
        st.tuples(st.just("settle"), KNOWN, SPENT),
        st.tuples(st.just("settle"), KEYS, SPENT),
        st.tuples(st.just("renew"), KNOWN, LEASES),
        st.tuples(st.just("wait"), WAITS),
        MOMENTS,
        st.tuples(st.just("reset"), names, SCOPES) | st.tuples(st.just("look")),
    )
    return groups, draw(st.lists(step, min_size=5, max_size=40))


def wander(seed):
    """The same, long and dense: no strategy finds as much as chance does."""
    dice = random.Random(seed)
    groups = dice.sample(LIMITS, dice.randint(1, 3)) if dice.random() < 0.6 else [STRICT]
    steps = []
    for _ in range(120):
        match dice.choices(KINDS, [8, 6, 4, 3, 1, 1])[0]:
            case "reserve":
                wanted = [roll_charge(dice, versions) for versions in groups if dice.random() < 0.8]
                key = "new" if dice.random() < 0.9 else dice.randint(0, 5)
                lease_s = dice.choice([0.5, 30.0, 3600.0])
                steps.append(("reserve", key, wanted, lease_s, dice.random() < 0.1))
            case "settle":
                amount = dice.choice([0, 100, 333, dice.randint(0, 1200), 2000])
                spent = Spent(amount // 2, dice.randint(0, 200), amount, amount * 7000)
                steps.append(("settle", dice.randint(0, 5), spent if dice.random() < 0.8 else None))
            case "until":
                what = dice.choice(["retry", "reset"])
                steps.append(("until", what, dice.randint(0, 9), dice.randint(-1, 1)))
            case "wait":
                most = dice.choice([1000, SECOND, 8 * SECOND, 60 * SECOND, HOUR, 30 * HOUR])
                waits = [dice.randint(-5 if most < SECOND else 0, most), most]
                steps.append(("wait", dice.choice(waits)))
            case "renew":
                steps.append(("renew", dice.randint(0, 5), dice.choice([0.5, 30.0])))
            case "reset":
                steps.append(("reset", dice.choice(groups)[0].name, ""))
    return groups, steps


def roll_charge(dice, versions):
    one = versions[0] if dice.random() < 0.8 else dice.choice(versions)
    if one.unit in {Unit.CONCURRENT, Unit.REQUESTS}:
        return Charge(one, "", 1)
    part = dice.choice([0, 0.001, 0.3, 0.5, 0.999, 1, 1.001, dice.random()])
    return Charge(one, "", round((one.burst or one.amount) * part))


async def do(counters, groups, step):
    match step:
        case "reserve", key, wanted, lease_s, late:
            return await counters.reserve(key, wanted, lease_s, late=late)
        case "settle", key, spent:
            return await counters.settle(key, spent)
        case "renew", key, lease_s:
            return await counters.renew(key, lease_s)
        case "reset", name, scope:
            await counters.reset(name, scope)
            return None  # memory may have swept out by then what was there
        case _:
            pairs = [(v[0], scope) for v in groups for scope in ("", "a:b\u00e9*")]
            return await counters.look(pairs)


def name_key(step, keys):
    """Put a key in place of its number."""
    if step[0] not in {"reserve", "settle", "renew"}:
        return step
    if step[1] == "new":
        keys.append(f"k{len(keys)}")
        return step[0], keys[-1], *step[2:]
    return step[0], keys[-1 - step[1] % len(keys)], *step[2:]


def find_wait_us(standings, step):
    _, what, which, off_us = step
    if not standings:
        return off_us
    one = standings[which % len(standings)]
    seconds = one.reset_s if what == "reset" else one.retry_after_s or 0.0
    return round(seconds * SECOND) + off_us


async def compare(url, groups, steps):
    clock, standings, keys = Clock(NIGHT), (), ["k"]
    memory = MemoryCounters(clock)
    async with open_counters(url, deadline_s=10, clock=clock) as redis:
        for each in [*steps, ("look",)]:
            step = name_key(each, keys)
            if step[0] in {"wait", "until"}:
                wait_us = step[1] if step[0] == "wait" else find_wait_us(standings, step)
                clock.now_us += max(wait_us, 0 if SEMAPHORES in groups else wait_us)
            else:
                answer = await do(memory, groups, step)
                assert answer == await do(redis, groups, step), step
                standings = answer.standings if step[0] == "reserve" else standings


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scenario=scenarios())
def test_both_stores_answer_alike(valkey_server, scenario):
    valkey_server.order("FLUSHALL")
    asyncio.run(compare(valkey_server.url, *scenario))


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_both_stores_answer_alike_by_chance(valkey_server, seed):
    valkey_server.order("FLUSHALL")
    asyncio.run(compare(valkey_server.url, *wander(seed)))
