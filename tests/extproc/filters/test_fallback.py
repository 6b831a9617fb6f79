"""Which other model stands in, when it may, and what exactly is sent to it."""

from math import inf

import msgspec
import pytest

from engines.base import ENGINES
from engines.load import Load
from extproc.access import Access, Grant
from extproc.decision import Outcome
from extproc.filters.fallback import (
    HEAD_BYTES,
    Alternatives,
    Instead,
    Keep,
    Kept,
    Others,
    may_move,
    may_repeat,
    may_resend,
    switch,
)
from extproc.filters.measure import Measure
from extproc.filters.parameters import Parameters
from extproc.filters.salt import Salting
from extproc.limits.base import Algorithm, Limit, Unit
from extproc.limits.reach import Reach
from extproc.policy.catalog import ParameterRule
from extproc.request import Fallback, Identity, Kind, Model, Operation, Prompt, Tries
from extproc.routing.tracks import Share, Tracks
from extproc.stores.memory import MemoryEngines
from tests.extproc.requests import BARE, bare

POOLS = {"big": "a", "mid": "b", "twin": "a", "gpt": "x"}
MODELS = {n: Model(n, p, f"{n}-served", price=f"{len(n)}/1/1") for n, p in POOLS.items()}
ENGINES_OF = {
    **dict.fromkeys("ab", ENGINES["vllm"]),
    "x": ENGINES["openai"],
}
CHAIN = {"big": ["mid", "gpt"]}


def others(chains=None, access=None):
    tracks = {name: Tracks(name, (Share(model, 100),)) for name, model in MODELS.items()}
    return Others(chains or CHAIN, tracks, access or Access(), frozenset("x"))


def asked(kind=Kind.CHAT, *, model="big", who=None, stream=False, headers=None, **members):
    served = MODELS[model]
    document = {"model": served.served_as, "stream": stream, **members}
    return (
        bare(headers=headers or {})
        .having(Operation(kind))
        .having(who or Identity("acme", "k1"))
        .having(served)
        .having(Prompt(document, model, stream=stream))
    )


def view(**pools):
    return MemoryEngines({name: ["10.0.0.1:80"] for name, up in pools.items() if up})


async def instead(request, given=None, **pools):
    return await Instead(given or others(), view(**pools), lambda *_: None).decide(request)


async def test_nothing_happens_while_its_own_engines_are_up():
    request = asked()
    assert await instead(request, a=True, b=True) is request


async def test_the_first_that_is_up_stands_in():
    found = await instead(asked(), a=False, b=True)
    assert found.fact(Model).name == "mid"
    assert found.fact(Prompt).document["model"] == "mid-served"
    assert found.witness()["fallback"] == "from=big; reason=unavailable"
    assert found.witness()["requested_model"] == "big"
    assert found.witness()["model"] == "mid"


async def test_a_service_elsewhere_counts_as_up():
    assert (await instead(asked())).fact(Model).name == "gpt"


async def test_when_nobody_is_up_the_refusal_is_for_the_first():
    request = asked()
    assert await instead(request, others({"big": ["mid"]})) is request


async def test_only_what_the_credential_may_use_stands_in():
    who = Identity("acme", "k1", models=frozenset({"big", "gpt"}))
    assert (await instead(asked(who=who), b=True)).fact(Model).name == "gpt"
    for_staff = Access([Grant(frozenset({"staff"}), frozenset({"mid"}))])
    assert (await instead(asked(), others(access=for_staff), b=True)).fact(Model).name == "gpt"
    staff = asked(who=Identity("acme", "k1", groups=frozenset({"staff"})))
    assert (await instead(staff, others(access=for_staff), b=True)).fact(Model).name == "mid"


async def test_a_track_that_was_asked_for_is_kept():
    request = asked(headers={"x-routing-strategy": "canary"})
    assert await instead(request, b=True) is request


@pytest.mark.parametrize(
    ("kind", "members", "here", "elsewhere"),
    [
        (Kind.CHAT, {"store": True}, True, True),
        (Kind.RESPONSES, {}, True, False),
        (Kind.RESPONSES, {"store": True}, False, False),
        (Kind.RESPONSES, {"store": False}, True, True),
        (Kind.RESPONSES, {"store": False, "background": True}, False, False),
        (Kind.EMBEDDINGS, {}, True, True),
    ],
)
def test_what_may_be_repeated(kind, members, here, elsewhere):
    request = asked(kind, **members)
    assert may_repeat(request, elsewhere=False) is here
    assert may_repeat(request, elsewhere=True) is elsewhere


@pytest.mark.parametrize("member", ["previous_response_id", "conversation", "background"])
async def test_what_is_kept_in_one_place_does_not_move(member):
    request = asked(Kind.RESPONSES, store=False, **{member: "x"})
    assert not may_move(request)
    assert await instead(request, b=True) is request
    assert (await alternatives(request)).find(Tries) is None


@pytest.mark.parametrize(
    ("pools", "may"),
    [("ab", True), ("abx", True), ("axb", False), ("x", True), ("xb", False), ("xx", False)],
)
def test_nothing_is_resent_that_a_service_elsewhere_may_have_begun(pools, may):
    assert may_resend(list(pools), frozenset("x")) is may


THREE = ("10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80")


async def alternatives(
    request, given=None, *, checks=(), rules=None, reaches=(), up=3, engines=None
):
    """As the pipeline does it: keep, make fit, line up."""
    fits = (Measure(ENGINES_OF), Salting(ENGINES_OF, dict.fromkeys("abx", "tenant"), "salt"))
    engines = engines or MemoryEngines({"b": THREE[:up]})
    last = Alternatives(given or others(), engines, checks, fits, rules or {}, reaches)
    for each in (Keep(), *fits, last):
        request = await each.decide(request)
    return request


def bodies(request):
    """By model, what its engine would read."""
    raw = msgspec.json.encode(request.fact(Prompt).document)
    tries = request.fact(Tries)
    assert raw.startswith(tries.head)
    tail = raw[len(tries.head) :]
    found = {request.fact(Model).name: raw}
    found |= {each.model.name: each.head + tail for each in tries.alternatives}
    return {name: msgspec.json.decode(body) for name, body in found.items()}


async def test_each_gets_the_body_that_it_would_have_got_alone():
    request = asked(stream=True, messages=[{"role": "user", "content": "é"}], seed=1)
    found = await alternatives(request)
    read = bodies(found)
    assert list(read) == ["big", "mid", "gpt"]
    for name, body in read.items():
        alone = asked(model=name, stream=True, messages=[{"role": "user", "content": "é"}], seed=1)
        for fit in (
            Measure(ENGINES_OF),
            Salting(ENGINES_OF, dict.fromkeys("abx", "tenant"), "salt"),
        ):
            alone = await fit.decide(alone)
        assert body == alone.fact(Prompt).document
    assert read["gpt"]["stream_options"] == {"include_usage": True}
    assert "cache_salt" in read["mid"]
    assert "cache_salt" not in read["gpt"]
    tries = found.fact(Tries)
    here, elsewhere = (each.endpoints for each in tries.alternatives)
    assert len({*here} & {*THREE}) == 2
    assert elsewhere == ()
    assert tries.may_resend


async def test_the_idlest_are_named_and_equals_as_often():
    """Nobody counts what comes to a pool that stands in: engines tell of it."""
    engines = MemoryEngines({"b": THREE})
    first = set()
    for number in range(50):
        request = asked().having(Prompt({"model": "m"}, "m"))
        request = msgspec.structs.replace(request, settle_key=f"k{number}")
        tries = (await alternatives(request, engines=engines)).fact(Tries)
        first.add(tries.alternatives[0].endpoints[0])
    assert first == {*THREE}
    busy, idle, ours = engines.pools["b"]
    busy.load, busy.seen_s = Load(running=3, waiting=1), inf
    idle.load, idle.seen_s = Load(running=1), inf
    ours.in_flight = 2
    tries = (await alternatives(asked(), engines=engines)).fact(Tries)
    assert tries.alternatives[0].endpoints == (idle.endpoint, ours.endpoint)


async def test_one_that_nobody_serves_now_does_not_stand_in():
    tries = (await alternatives(asked(), up=0)).fact(Tries)
    assert [each.model.name for each in tries.alternatives] == ["gpt"]


async def test_a_pool_is_no_alternative_to_itself():
    assert (await alternatives(asked(), others({"big": ["twin"]}))).find(Tries) is None
    found = await alternatives(asked(), others({"big": ["twin", "gpt"]}))
    assert [each.model.name for each in found.fact(Tries).alternatives] == ["gpt"]


async def test_what_stood_in_goes_on_behind_itself():
    request = switch(asked(), MODELS["mid"], "unavailable")
    tries = (await alternatives(request)).fact(Tries)
    assert tries.source == "big"
    assert [each.model.name for each in tries.alternatives] == ["gpt"]


async def test_one_whose_rules_forbid_it_does_not_stand_in():
    forbids = ParameterRule.model_validate({"forbid": ["seed"]})
    checks = (Parameters({"mid": [forbids]}),)
    tries = (await alternatives(asked(seed=1), checks=checks)).fact(Tries)
    assert [each.model.name for each in tries.alternatives] == ["gpt"]
    tries = (await alternatives(asked(), checks=checks)).fact(Tries)
    assert [each.model.name for each in tries.alternatives] == ["mid", "gpt"]


async def test_one_that_says_something_else_to_the_system_does_not_stand_in():
    rule = ParameterRule.model_validate({"system_prompt": "Be brief."})
    other = ParameterRule.model_validate({"system_prompt": "Be long."})
    rules = {"big": [rule], "mid": [rule], "gpt": [other]}
    tries = (await alternatives(asked(), rules=rules)).fact(Tries)
    assert [each.model.name for each in tries.alternatives] == ["mid"]


async def test_one_under_other_limits_does_not_stand_in():
    limit = Limit(name="l", algorithm=Algorithm.SLIDING_WINDOW, unit=Unit.TOKENS, amount=1)
    everybody = Reach(limit=limit, per=("tenant",))
    its_own = Reach(limit=limit, per=("tenant", "model"))
    of_mid = Reach(limit=limit, per=("tenant",), models=frozenset({"mid"}))
    names = [
        [each.model.name for each in found.alternatives] if (found := r.find(Tries)) else []
        for r in [
            await alternatives(asked(), reaches=[everybody]),
            await alternatives(asked(), reaches=[of_mid]),
            await alternatives(asked(), reaches=[its_own]),
        ]
    ]
    assert names == [["mid", "gpt"], ["gpt"], []]


async def test_a_long_difference_cannot_travel():
    rule = ParameterRule.model_validate({"defaults": {"grammar": "x" * HEAD_BYTES}})
    found = await alternatives(asked(), checks=(Parameters({"mid": [rule], "gpt": [rule]}),))
    assert found.find(Tries) is None


async def test_who_stood_in_is_told_at_the_end_once():
    told = []
    fallback = Instead(others(), view(), lambda *what: told.append(what))
    known = {"requested_model": "big", "model": "mid", "fallback": "from=big; reason=failed"}
    await fallback.settle(Outcome(known, 200, 1, ()))
    await fallback.settle(Outcome(known, 200, 1, (), running=True))
    await fallback.settle(Outcome({"model": "big"}, 200, 1, ()))
    assert told == [("big", "mid", "failed")]


async def test_keeping_changes_nothing():
    request = asked()
    assert (await Keep().decide(request)).fact(Kept).prompt is request.fact(Prompt)
    assert Fallback("big", "budget").witness()["requested_model"] == "big"
    assert BARE.find(Tries) is None
