"""The name a client used and the track it asked for -> what serves it, if it may use it."""

import pytest

from extproc.access import Access, Grant
from extproc.decision import Deny
from extproc.errors import Reason
from extproc.filters.resolve import STRATEGY_HEADER, Resolve, who
from extproc.request import Identity, Kind, Model, Operation, Prompt
from extproc.routing.tracks import Share, Tracks
from tests.extproc.requests import bare

STABLE = Model("tiny", "pool-a", "org/tiny-v3", "stable", "3")
CANARY = Model("tiny", "pool-b", "org/tiny-v4", "canary", "4")
BIG = Model("big", "pool-c", "big")
TINY = Tracks("tiny", (Share(STABLE, 100), Share(CANARY, 0)))
MODELS = {"tiny": TINY, "small": TINY, "big": Tracks("big", (Share(BIG, 100),))}
KEY = Identity("acme", "k")


async def decide(name, identity=KEY, access=None, kind=Kind.CHAT, models=MODELS, **headers):
    prompt = Prompt({"model": name, "messages": []}, name, stream=True, wants_usage=True)
    named = {header.replace("_", "-"): value for header, value in headers.items()}
    request = bare(headers=named).having(prompt).having(identity).having(Operation(kind))
    return await Resolve(models, access or Access()).decide(request)


@pytest.mark.parametrize(("name", "model"), [("tiny", STABLE), ("small", STABLE), ("big", BIG)])
async def test_names_and_aliases_lead_to_the_model(name, model):
    found = await decide(name)
    assert found.fact(Model) == model
    assert found.fact(Prompt).document == {"model": model.served_as, "messages": []}


async def test_only_the_name_in_the_document_changes():
    prompt = (await decide("small")).fact(Prompt)
    assert (prompt.model, prompt.stream, prompt.wants_usage) == ("small", True, True)


async def test_what_settle_will_know():
    witness = (await decide("small", x_routing_strategy="canary")).witness()
    named = {"model": "tiny", "pool": "pool-b", "track": "canary", "version": "4"}
    assert named.items() <= witness.items()


@pytest.mark.parametrize(
    "name", ["gone", "Tiny", " tiny", "tiny\x00", "org/tiny-v3", "*", "pool-a"]
)
async def test_an_unknown_model(name):
    denied = await decide(name)
    assert isinstance(denied, Deny)
    assert (denied.reason, denied.param) == (Reason.UNKNOWN_MODEL, "model")
    assert repr(name) in denied.message


@pytest.mark.parametrize(
    ("name", "models", "may"),
    [
        ("tiny", ["tiny"], True),
        ("small", ["tiny"], True),
        ("big", ["tiny"], False),
        ("small", ["big"], False),
        ("small", ["small"], False),
    ],
)
async def test_the_right_to_a_model_is_to_its_public_name(name, models, may):
    found = await decide(name, Identity("acme", "k", models=frozenset(models)))
    if may:
        assert found.fact(Model).name == "tiny"
    else:
        assert (found.reason, found.param) == (Reason.MODEL_FORBIDDEN, "model")


@pytest.mark.parametrize(
    ("kind", "may"),
    [
        (Kind.CHAT, False),
        (Kind.MESSAGES, True),
        (Kind.COUNT_TOKENS, True),
        (Kind.EMBEDDINGS, False),
    ],
)
async def test_a_right_may_be_to_some_operations(kind, may):
    grant = Grant(frozenset({"g"}), frozenset({"tiny"}), frozenset({"messages"}))
    identity = Identity("acme", "k", groups=frozenset({"g"}))
    found = await decide("small", identity, Access([grant]), kind)
    assert isinstance(found, Deny) is not may
    if not may:
        assert found.reason is Reason.MODEL_FORBIDDEN
        assert kind.value in found.message


async def test_what_serves_a_model_is_not_the_clients_business():
    hidden = Identity("acme", "k", models=frozenset({"big"}))
    for denied in (
        await decide("gone"),
        await decide("tiny", hidden),
        await decide("big", x_routing_strategy="canary"),
    ):
        assert not any(word in denied.message for word in ("pool", "org/tiny"))


@pytest.mark.parametrize(
    ("strategy", "model"), [("stable", STABLE), ("canary", CANARY), ("ab_test", STABLE)]
)
async def test_a_track_by_its_name(strategy, model):
    assert (await decide("small", x_routing_strategy=strategy)).fact(Model) == model


@pytest.mark.parametrize(
    "strategy", ["", "Canary", "canary ", "canary,canary", "stable,canary", "beta", "ab-test", "*"]
)
async def test_what_is_no_strategy(strategy):
    denied = await decide("tiny", x_routing_strategy=strategy)
    assert (denied.reason, denied.param) == (Reason.INVALID_REQUEST, STRATEGY_HEADER)
    assert "stable, canary or ab_test" in denied.message


async def test_a_track_that_is_not_there_is_not_replaced_by_another():
    denied = await decide("big", x_routing_strategy="canary")
    assert (denied.reason, denied.param) == (Reason.NO_TRACK, STRATEGY_HEADER)
    assert "'big'" in denied.message
    assert "'canary'" in denied.message


async def test_who_may_not_use_a_model_is_not_told_its_tracks():
    hidden = Identity("acme", "k", models=frozenset({"tiny"}))
    denied = await decide("big", hidden, x_routing_strategy="canary")
    assert denied.reason is Reason.MODEL_FORBIDDEN


async def test_a_person_stays_on_a_track_whatever_the_key():
    halves = Tracks("tiny", (Share(STABLE, 50), Share(CANARY, 50)))
    served = {}
    for number in range(40):
        for key in ("k1", "k2"):
            identity = Identity("acme", key, user=f"user-{number}")
            found = (await decide("tiny", identity, models={"tiny": halves})).fact(Model)
            served.setdefault(number, set()).add(found.track)
    assert all(len(tracks) == 1 for tracks in served.values())
    assert {track for tracks in served.values() for track in tracks} == {"stable", "canary"}


def test_whom_a_track_sticks_to():
    assert who(Identity("acme", "k", user="ann")) == who(Identity("acme", "other", user="ann"))
    assert who(Identity("acme", "k", user="ann")) != who(Identity("globex", "k", user="ann"))
    assert who(Identity("acme", "k")) != who(Identity("acme", "other"))
