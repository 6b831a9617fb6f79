"""Whom a limit is for, and whose count it is."""

import pytest

from extproc.limits.base import Algorithm, Charge, Limit, Unit
from extproc.limits.reach import OWNERS, Reach
from extproc.limits.rules import Rules
from extproc.request import Identity, Kind, Model

LIMIT = Limit(name="l", algorithm=Algorithm.TOKEN_BUCKET, unit=Unit.TOKENS, amount=10, period_s=60)
ALICE = Identity("acme", "key-1", "support", "alice", groups=frozenset({"dev", "ops"}))
NOBODY = Identity("acme", "key-2")
CHAT = Model("org/llama", "gpu-a", "llama")


def reach(**members):
    sets = {n: frozenset(v) for n, v in members.items() if n != "per"}
    return Reach(limit=LIMIT, per=members.get("per", ()), **sets)


@pytest.mark.parametrize(
    ("members", "covered"),
    [
        ({}, True),
        ({"tenants": ["acme", "globex"]}, True),
        ({"tenants": ["globex"]}, False),
        ({"projects": ["support"]}, True),
        ({"projects": ["search"]}, False),
        ({"users": ["alice"]}, True),
        ({"users": ["bob"]}, False),
        ({"groups": ["ops", "admins"]}, True),
        ({"groups": ["admins"]}, False),
        ({"keys": ["key-1"]}, True),
        ({"keys": ["key-2"]}, False),
        ({"models": ["org/llama"]}, True),
        ({"models": ["llama"]}, False),
        ({"pools": ["gpu-a"]}, True),
        ({"pools": ["gpu-b"]}, False),
        ({"operations": ["chat"]}, True),
        ({"operations": ["embeddings"]}, False),
        ({"tenants": ["acme"], "users": ["alice"], "pools": ["gpu-a"]}, True),
        ({"tenants": ["acme"], "users": ["bob"], "pools": ["gpu-a"]}, False),
    ],
)
def test_all_conditions_must_hold(members, covered):
    assert reach(**members).covers(ALICE, CHAT, Kind.CHAT) is covered


@pytest.mark.parametrize(
    ("per", "who", "scope"),
    [
        ((), ALICE, ""),
        (("tenant",), ALICE, "acme"),
        (("project",), ALICE, "acme/support"),
        (("project",), NOBODY, "acme/-"),
        (("user",), ALICE, "acme/alice"),
        (("user",), NOBODY, "acme/key:key-2"),
        (("key",), ALICE, "acme/key-1"),
        (("model",), ALICE, "org%2Fllama"),
        (("pool",), ALICE, "gpu-a"),
        (("tenant", "model"), ALICE, "acme/org%2Fllama"),
        (("user",), Identity("acme", "k", user="a@b.example"), "acme/a@b.example"),
        (("user",), Identity("acme", "k", user="x/y"), "acme/x%2Fy"),
        (("user",), Identity("acme", "k", user="key:key-2"), "acme/key%3Akey-2"),
        (("user",), Identity("acme", "k", user="{a} b\n"), "acme/%7Ba%7D%20b%0A"),
    ],
)
def test_whose_count_it_is(per, who, scope):
    assert reach(per=per).scope(who, CHAT) == scope


def test_long_users_stay_apart_and_can_be_counted():
    one, other = ("界" * 256 + end for end in "ab")
    scopes = [reach(per=("user",)).scope(Identity("acme", "k", user=u), CHAT) for u in (one, other)]
    assert scopes[0] != scopes[1]
    charges = [Charge(LIMIT, scope, 1) for scope in scopes]
    assert [key for _, key in Rules().of(charges)] == [f"b:l:{scope}" for scope in scopes]
    again = scopes[0].removeprefix("acme/")
    assert reach(per=("user",)).scope(Identity("acme", "k", user=again), CHAT) != scopes[0]


@pytest.mark.parametrize(
    ("per", "scope", "tenants"),
    [
        ((), "", {"acme", "globex"}),
        (("tenant",), "acme", {"acme"}),
        (("user",), "acme/globex", {"acme"}),
        (("model",), "acme", {"acme", "globex"}),
        (("model", "tenant"), "globex/acme", {"acme"}),
        (("pool", "model", "key"), "p/m/acme/key-1", {"acme"}),
    ],
)
def test_who_has_a_part_in_a_count(per, scope, tenants):
    found = {tenant for tenant in ("acme", "globex") if reach(per=per).concerns(scope, tenant)}
    assert found == tenants


def test_no_name_can_be_made_to_look_like_anothers():
    """The user of one tenant, and a project, user or key of another."""
    sly = Identity("acme", "globex/bob", "-", "globex/bob")
    bob = Identity("globex", "bob", user="bob")
    for owner in OWNERS:
        if owner not in ("model", "pool"):
            assert reach(per=(owner,)).scope(sly, CHAT) != reach(per=(owner,)).scope(bob, CHAT)
