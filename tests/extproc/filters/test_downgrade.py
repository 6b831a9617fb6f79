"""Less in place of nothing, for those who have agreed."""

from time import monotonic

import pytest

from engines.load import Load
from extproc.access import Access
from extproc.errors import CountersFaultError
from extproc.filters.downgrade import Budgets, Downgrade, Step, choose, is_full, saturation, used
from extproc.filters.fallback import Others
from extproc.limits.base import Algorithm, Calendar, Charge, Limit, Unit
from extproc.limits.reach import Reach
from extproc.request import Identity, Kind, Model, Operation, Prompt
from extproc.routing.candidate import Candidate
from extproc.routing.tracks import Share, Tracks
from extproc.stores.counters_memory import MemoryCounters
from extproc.stores.memory import MemoryEngines
from tests.extproc.requests import bare

NOW = monotonic()
EMPTY, FULL = Load(running=9), Load(waiting=1)
TIGHT = Load(kv_usage=0.96)
STEPS = [
    Step("int8", "saturated", 0.5),
    Step("small", "saturated", 0.5),
    Step("small", "budget", 0.8),
]
MODELS = {name: Model(name, f"pool-{name}", f"{name}-served") for name in ("big", "int8", "small")}
BUDGET = Limit(
    name="money", algorithm=Algorithm.BUDGET, unit=Unit.USD, amount=1000, calendar=Calendar.DAY
)


def seen(load, age_s=0.0):
    return Candidate("10.0.0.1:80", load, NOW - age_s)


@pytest.mark.parametrize(
    ("load", "age_s", "full"),
    [(EMPTY, 0, False), (FULL, 0, True), (TIGHT, 0, True), (FULL, 6, False), (Load(), 0, False)],
)
def test_what_is_full(load, age_s, full):
    assert is_full(seen(load, age_s), NOW) is full


def test_saturation_is_the_share_that_is_full():
    assert saturation([], NOW) == 0
    assert saturation([seen(FULL), seen(EMPTY)], NOW) == 0.5


@pytest.mark.parametrize(
    ("saturated", "spent", "free", "to"),
    [
        (0.0, 0.0, {"int8", "small"}, None),
        (0.5, 0.0, {"int8", "small"}, "int8"),
        (0.5, 0.0, {"small"}, "small"),
        (0.4, 0.8, {"int8", "small"}, "small"),
        (1.0, 1.0, set(), None),
    ],
)
def test_the_first_step_that_applies_and_has_room(saturated, spent, free, to):
    step = choose(STEPS, saturated, spent, free.__contains__)
    assert (step.to if step else None) == to


class Pools(MemoryEngines):
    def __init__(self, **loads):
        super().__init__({f"pool-{name}": [] for name in loads})
        for name, load in loads.items():
            just_now = monotonic() + 3600  # however long a test takes
            self.pools[f"pool-{name}"] = [Candidate("10.0.0.1:80", load, just_now)]


async def decide(view, *, tenant="acme", budgets=None, steps=STEPS, **members):
    tracks = {name: Tracks(name, (Share(model, 100),)) for name, model in MODELS.items()}
    others = Others({}, tracks, Access(), frozenset())
    request = (
        bare()
        .having(Operation(Kind.CHAT))
        .having(Identity(tenant, "k1"))
        .having(MODELS["big"])
        .having(Prompt({"model": "big-served", **members}, "big"))
    )
    given = budgets or Budgets((), None)
    filter_ = Downgrade({"big": steps}, frozenset({"acme"}), others, view, given)
    return await filter_.decide(request)


async def test_full_engines_lead_one_step_down():
    found = await decide(Pools(big=FULL, int8=EMPTY, small=EMPTY))
    assert found.fact(Model).name == "int8"
    assert found.fact(Prompt).document["model"] == "int8-served"
    assert found.witness()["fallback"] == "from=big; reason=saturated"


async def test_what_is_full_itself_is_passed_over():
    assert (await decide(Pools(big=FULL, int8=FULL, small=EMPTY))).fact(Model).name == "small"
    assert (await decide(Pools(big=FULL, int8=FULL, small=FULL))).fact(Model).name == "big"
    assert (await decide(Pools(big=FULL))).fact(Model).name == "big"


async def test_nobody_gets_less_who_has_not_agreed():
    view = Pools(big=FULL, int8=EMPTY, small=EMPTY)
    assert (await decide(view, tenant="globex")).fact(Model).name == "big"


async def test_a_conversation_that_is_kept_stays_where_it_is():
    view = Pools(big=FULL, int8=EMPTY)
    assert (await decide(view, previous_response_id="r")).fact(Model).name == "big"


class Broken(MemoryCounters):
    async def look(self, pairs):
        raise CountersFaultError("gone")


async def test_money_that_is_nearly_gone_leads_down():
    counters, view = MemoryCounters(lambda: 1_800_000_000 * 10**6), Pools(big=EMPTY, small=EMPTY)
    budgets = Budgets([Reach(limit=BUDGET, per=("tenant",))], counters)
    assert (await decide(view, budgets=budgets)).fact(Model).name == "big"
    await counters.reserve("k", [Charge(BUDGET, "acme", 800)], 60)
    found = await decide(view, budgets=budgets)
    assert found.witness()["fallback"] == "from=big; reason=budget"
    assert found.fact(Model).name == "small"
    assert used(await counters.look([(BUDGET, "acme")])) == pytest.approx(0.8)


async def test_what_cannot_be_looked_at_is_no_reason():
    budgets = Budgets([Reach(limit=BUDGET, per=("tenant",))], Broken())
    assert (await decide(Pools(big=EMPTY, small=EMPTY), budgets=budgets)).fact(Model).name == "big"
