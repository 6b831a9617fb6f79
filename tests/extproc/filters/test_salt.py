"""Nobody finds what another tenant has in an engine's cache."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import ENGINES
from extproc.decision import Deny
from extproc.errors import Reason
from extproc.filters.salt import MOST_CHARS, Salt, Salting, salt_of, scope_of
from extproc.request import Identity, Kind, Model, Operation, Prompt
from tests.extproc.requests import BARE

SECRET = "a salt of tests"
ANN = Identity("acme", "k1", project="support", user="ann")
BOB = Identity("acme", "k2", project="support", user="bob")
CARL = Identity("acme", "k3", project="sales", user="ann")
SERVICE = Identity("acme", "k4", project="support")
GLOBEX = Identity("globex", "k5", project="support", user="ann")
EVERYBODY = (ANN, BOB, CARL, SERVICE, GLOBEX)
UNSALTED = object()


async def decide(who=ANN, *, engine="vllm", sharing="tenant", kind=Kind.CHAT, **document):
    request = (
        BARE.having(Operation(kind))
        .having(who)
        .having(Model("llama", "p", "x"))
        .having(Prompt({"model": "x", **document}, "llama"))
    )
    return await Salting({"p": ENGINES[engine]}, {"p": sharing}, SECRET).decide(request)


async def sent(*args, **kwargs):
    """The salt that the engine gets."""
    found = await decide(*args, **kwargs)
    return found.fact(Prompt).document.get("cache_salt", UNSALTED)


@pytest.mark.parametrize(
    ("sharing", "groups"),
    [
        ("tenant", [(ANN, BOB, CARL, SERVICE), (GLOBEX,)]),
        ("project", [(ANN, BOB, SERVICE), (CARL,), (GLOBEX,)]),
        ("user", [(ANN,), (BOB,), (CARL,), (SERVICE,), (GLOBEX,)]),
    ],
)
async def test_only_those_share_who_may(sharing, groups):
    salts = [{await sent(who, sharing=sharing) for who in group} for group in groups]
    assert all(len(group) == 1 for group in salts)
    assert len(set().union(*salts)) == len(groups)
    for salt in set().union(*salts):
        assert re.fullmatch("[0-9a-f]{64}", salt), "vLLM takes 128 characters, and not all"


async def test_the_fact_is_what_the_engine_gets():
    found = await decide(cache_salt="mine")
    assert found.fact(Salt).value == found.fact(Prompt).document["cache_salt"]
    assert found.fact(Salt).witness() == {}
    assert await sent(GLOBEX) not in repr(found)


async def test_a_client_may_isolate_itself_and_join_nobody():
    alone = await sent(ANN, cache_salt="mine")
    assert alone == await sent(BOB, cache_salt="mine"), "the same tenant may share it"
    others = {await sent(who) for who in EVERYBODY}
    others |= {await sent(GLOBEX, cache_salt=salt) for salt in ("mine", alone, await sent(ANN))}
    assert alone not in others
    assert await sent(GLOBEX, cache_salt=await sent(ANN)) != await sent(ANN)


async def test_a_pool_that_shares_everything():
    found = await decide(sharing="pool")
    assert found.fact(Salt).value == ""
    assert "cache_salt" not in found.fact(Prompt).document
    mine = await sent(ANN, sharing="pool", cache_salt="mine")
    assert mine == await sent(GLOBEX, sharing="pool", cache_salt="mine")
    assert mine not in {"mine", await sent(ANN, cache_salt="mine")}


@pytest.mark.parametrize(
    ("engine", "salted"),
    [
        ("vllm", set(Kind) - {Kind.COUNT_TOKENS, Kind.MODELS, Kind.USAGE}),
        ("sim", set(Kind) - {Kind.COUNT_TOKENS, Kind.MODELS, Kind.USAGE}),
        ("sglang", {Kind.CHAT, Kind.COMPLETIONS, Kind.RESPONSES}),
        ("tgi", set()),
        ("ollama", set()),
        ("openai", set()),
    ],
)
async def test_only_engines_that_know_it_get_one(engine, salted):
    for kind in Kind:
        found = await decide(engine=engine, kind=kind)
        assert bool(found.fact(Salt).value) == (kind in salted), kind
        assert ("cache_salt" in found.fact(Prompt).document) == (kind in salted), kind
    kept = await decide(engine="tgi", cache_salt=7)
    assert kept.fact(Prompt).document["cache_salt"] == 7, "its engine may judge it"


@pytest.mark.parametrize("asked", ["", 7, ["x"], {}, True, "x" * (MOST_CHARS + 1)])
@pytest.mark.parametrize("sharing", ["tenant", "pool"])
async def test_a_salt_that_is_none(asked, sharing):
    found = await decide(cache_salt=asked, sharing=sharing)
    assert isinstance(found, Deny)
    assert (found.reason, found.param) == (Reason.INVALID_REQUEST, "cache_salt")


async def test_null_is_not_sent():
    assert await sent(cache_salt=None) == await sent()


texts = st.text(max_size=20) | st.sampled_from(["", "acme", "4:acme", "0:", "10:cache_salt"])


@given(texts, texts, texts, texts)
def test_no_two_have_the_same(tenant, asked, other, wanted):
    same = (tenant, asked) == (other, wanted)
    assert (salt_of(SECRET, tenant, asked) == salt_of(SECRET, other, wanted)) == same
    assert salt_of("another secret", tenant, asked) != salt_of(SECRET, tenant, asked)


@given(st.lists(st.tuples(texts, texts, texts, texts), min_size=2, max_size=2, unique=True))
def test_no_two_users_have_the_same_scope(two):
    one, other = (Identity(tenant, key, project, user) for tenant, key, project, user in two)
    alike = [
        (i.tenant, i.project, i.user or None, None if i.user else i.key_id) for i in (one, other)
    ]
    for sharing, size in (("tenant", 1), ("project", 2), ("user", 4)):
        same = alike[0][:size] == alike[1][:size]
        assert (scope_of(sharing, one) == scope_of(sharing, other)) == same


def test_lone_surrogates_have_a_salt_too():
    assert len(salt_of("\ud800", "\ud800", "\udfff")) == 64
