"""What must be alike for two requests to have one key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.cache.key import Asked, Keys, scope_of
from extproc.request import Identity, Kind, Model

ACME = Identity("acme", "k1", project="p", user="ann")
MODEL = Model("m", "pool", "served")
DOCUMENT = {"model": "served", "messages": [{"role": "user", "content": "hi"}], "temperature": 0}
KEYS = Keys("secret", "rules")


def key(document=DOCUMENT, keys=KEYS, **changes):
    given = {"identity": ACME, "model": MODEL, "kind": Kind.CHAT, **changes}
    return keys.key(Asked(**given), document)


@pytest.mark.parametrize(
    "document",
    [
        {**DOCUMENT, "stream": True, "stream_options": {"include_usage": True}},
        {**DOCUMENT, "temperature": 0.0},
        {**DOCUMENT, "top_p": None},
        {**DOCUMENT, "user": "somebody"},
        dict(reversed(DOCUMENT.items())),
    ],
)
def test_the_same(document):
    assert key(document) == key()


@pytest.mark.parametrize(
    "document",
    [
        {**DOCUMENT, "temperature": 0.1},
        {**DOCUMENT, "max_tokens": 5},
        {**DOCUMENT, "seed": 1},
        {**DOCUMENT, "messages": [{"role": "user", "content": "hi "}]},
        {**DOCUMENT, "messages": [{"role": "system", "content": "hi"}]},
        {**DOCUMENT, "model": "other"},
        {**DOCUMENT, "logit_bias": {}},
    ],
)
def test_another_document(document):
    assert key(document) != key()


@pytest.mark.parametrize(
    "changes",
    [
        {"identity": Identity("globex", "k1", project="p", user="ann")},
        {"model": Model("m", "pool", "served", version="2")},
        {"model": Model("m", "pool", "served", track="canary")},
        {"kind": Kind.COMPLETIONS},
        {"keys": Keys("other", "rules")},
        {"keys": Keys("secret", "others")},
    ],
)
def test_another_asker(changes):
    assert key(**changes) != key()


def test_sharing():
    bob = Identity("acme", "k2", project="q", user="bob")
    assert key(identity=bob) == key()
    assert key(identity=bob, sharing="project") != key(sharing="project")
    peer = Identity("acme", "k2", project="p", user="bob")
    assert key(identity=peer, sharing="project") == key(sharing="project")
    assert key(identity=peer, sharing="user") != key(sharing="user")
    named = {**DOCUMENT, "user": "somebody"}
    assert key(named, sharing="user") != key(sharing="user")


def test_a_user_is_not_a_key_of_that_name():
    one, other = Identity("a", "ann"), Identity("a", "k", user="ann")
    assert scope_of(one, "user") != scope_of(other, "user")


def test_it_says_nothing_and_begins_with_its_place():
    assert key().startswith(KEYS.place_of("acme", "m"))
    assert KEYS.place_of("acme", "m").startswith(KEYS.place_of("acme"))
    assert not {"acme", "hi", "served"} & set(key().split(":"))


def test_what_cannot_be_written_has_none():
    assert key({"messages": "\ud800"}) is None


def test_partitions_are_no_keys():
    asked = Asked(ACME, MODEL, Kind.CHAT)
    assert KEYS.partition(asked, DOCUMENT) not in key()


NAMES = st.text(st.characters(codec="utf-8"), max_size=5)


@given(NAMES, NAMES, NAMES, NAMES, st.sampled_from(["tenant", "project", "user"]))
def test_no_two_tenants_share(one, other, project, user, sharing):
    keys = {key(identity=Identity(t, "k", project, user), sharing=sharing) for t in (one, other)}
    assert len(keys) == len({one, other})
