"""Past requests against other limits."""

import msgspec

from extproc.limits.base import Algorithm, Limit, Unit
from extproc.limits.reach import Reach
from extproc.limits.replay import Past, Replay
from extproc.request import Identity, Kind, Model
from extproc.stores.counters_memory import MemoryCounters
from ledger.sighting import Usage

TPM = Limit(name="tpm", algorithm=Algorithm.TOKEN_BUCKET, unit=Unit.TOKENS, amount=100, period_s=60)
SLOTS = Limit(name="slots", algorithm=Algorithm.SEMAPHORE, unit=Unit.CONCURRENT, amount=1)
START_MS = 1_800_000_000_000


def past(number, *, at_s=0.0, takes_s=1.0, tenant="acme", tokens=40, limited=False, price="1//2"):
    start_ms = START_MS + round(at_s * 1000)
    usage = Usage(None, None, None) if limited else Usage(tokens, 10, 0)
    return Past(
        f"k{number}", start_ms, start_ms + round(takes_s * 1000), Kind.CHAT,
        Identity(tenant, "key-1"), Model("m", "p", "m", price=price), usage, 7, limited,
    )  # fmt: skip


async def play(pasts, *limits):
    now_ms = [0]

    def set_clock_ms(ms):
        assert ms >= now_ms[0], "time does not run backwards"
        now_ms[0] = ms

    counters = MemoryCounters(lambda: now_ms[0] * 1000)
    reaches = [Reach(limit=limit, per=("tenant",)) for limit in limits]
    return await Replay(reaches, counters, set_clock_ms).run(pasts)


async def test_who_would_have_been_refused_and_what_it_would_cost():
    pasts = [past(n, at_s=n) for n in range(3)] + [past(9, at_s=3, tenant="globex")]
    found = await play(pasts, TPM)
    acme = found["acme"]
    assert (acme.requests, acme.refused, acme.by_limit) == (3, 1, {"tpm": 1})
    assert (acme.cost_then_pusd, acme.cost_now_pusd) == (21, 2 * 60 * 10**6)
    assert (found["globex"].refused, found["globex"].requests) == (0, 1)


async def test_time_passes_as_it_did():
    assert (await play([past(n, at_s=60 * n) for n in range(5)], TPM))["acme"].refused == 0


async def test_what_has_ended_makes_room():
    pasts = [past(0, takes_s=2), past(1, at_s=1), past(2, at_s=2.5)]
    assert (await play(pasts, SLOTS))["acme"].by_limit == {"slots": 1}


async def test_what_was_refused_then_is_played_with_the_usual_size():
    pasts = [past(0), past(1, at_s=90, limited=True), past(2, at_s=91, limited=True),
             past(3, at_s=92, limited=True)]  # fmt: skip
    acme = (await play(pasts, TPM))["acme"]
    assert (acme.admitted_now, acme.refused) == (2, 1)
    assert acme.cost_now_pusd == 3 * 60 * 10**6


async def test_what_failed_is_given_back():
    calls = Limit(
        name="calls", algorithm=Algorithm.SLIDING_WINDOW, unit=Unit.REQUESTS, amount=2, period_s=60
    )
    failed = [msgspec.structs.replace(past(n, at_s=2 * n, tokens=0), failed=True) for n in range(4)]
    assert (await play([*failed, past(8, at_s=9), past(9, at_s=9)], calls))["acme"].refused == 0


async def test_a_limit_in_shadow_refuses_nobody():
    shadow = msgspec.structs.replace(TPM, shadow=True)
    acme = (await play([past(n) for n in range(4)], shadow))["acme"]
    assert (acme.refused, acme.shadowed) == (0, {"tpm": 2})


async def test_without_limits_only_the_cost_differs():
    acme = (await play([past(n, price="0/0/0") for n in range(4)]))["acme"]
    assert (acme.refused, acme.cost_then_pusd, acme.cost_now_pusd) == (0, 28, 0)
