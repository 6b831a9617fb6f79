"""`/v1/models`: what this credential may use, by the same rules as asking for it."""

import msgspec
import pytest

from extproc.access import Access, Grant, Veto
from extproc.conditions import Condition
from extproc.decision import Deny, Reply
from extproc.errors import ConditionError, Reason
from extproc.filters.catalog import Catalog
from extproc.request import Identity, Kind, Model, Operation
from extproc.routing.tracks import Share, Tracks
from tests.extproc.requests import BARE

NAMES = ("tiny", "org/big:70b", "internal")
TABLE = {name: Tracks(name, (Share(Model(name, "p", name), 1),)) for name in NAMES}
TABLE["small"] = TABLE["tiny"]
FRIDAY_14H = 1795183506.0


async def ask(operation, *models, access=None, groups=()):
    identity = Identity("acme", "k", models=frozenset(models or ["*"]), groups=frozenset(groups))
    request = BARE.having(operation).having(identity)
    return await Catalog(TABLE, access or Access(), lambda: FRIDAY_14H).decide(request)


def card(name):
    return {"id": name, "created": 0, "object": "model", "owned_by": "headgate"}


def listed(reply):
    return tuple(each["id"] for each in msgspec.json.decode(reply.body)["data"])


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ([], NAMES),
        (["internal", "tiny"], ("tiny", "internal")),
        (["tiny", "*"], NAMES),
        (["gone"], ()),
    ],
)
async def test_the_list_is_what_the_key_may_use_in_the_order_of_the_policy(models, expected):
    reply = await ask(Operation(Kind.MODELS), *models)
    assert isinstance(reply, Reply)
    assert reply.content_type == "application/json"
    whole = {"object": "list", "data": [card(name) for name in expected]}
    assert msgspec.json.decode(reply.body) == whole


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ((), ("org/big:70b",)),
        (("interns",), ("tiny", "org/big:70b")),
        (("staff",), ("org/big:70b", "internal")),
        (("staff", "interns"), NAMES),
    ],
)
async def test_groups_decide_too(groups, expected):
    access = Access(
        [
            Grant(frozenset({"interns"}), frozenset({"tiny"}), frozenset({"embeddings"})),
            Grant(frozenset({"staff"}), frozenset({"internal"})),
        ]
    )
    assert listed(await ask(Operation(Kind.MODELS), access=access, groups=groups)) == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("request.model == 'tiny' && !('staff' in identity.groups)", NAMES[1:]),
        ("request.operation == 'models' && request.model != 'tiny'", ("tiny",)),
        ("request.operation == 'embeddings'", NAMES),
        ("identity.tenant == 'acme'", ()),
        ("time.hour == 14", ()),
        ("time.hour == 15", NAMES),
        ("request.client_ip == '192.0.2.1'", ()),
    ],
)
async def test_what_conditions_refuse_is_not_shown(condition, expected):
    access = Access(vetoes=[Veto("r", "no", Condition(condition))])
    assert listed(await ask(Operation(Kind.MODELS), access=access)) == expected
    for name in NAMES:
        one = await ask(Operation(Kind.MODELS, name), access=access)
        assert isinstance(one, Reply) is (name in expected)


async def test_a_condition_without_a_value_is_a_fault():
    access = Access(vetoes=[Veto("r", "no", Condition("identity.groups[0] == 'x'"))])
    with pytest.raises(ConditionError):
        await ask(Operation(Kind.MODELS), access=access)


@pytest.mark.parametrize("item", ["tiny", "small"])
async def test_one_model_by_its_name_or_alias(item):
    assert msgspec.json.decode((await ask(Operation(Kind.MODELS, item))).body) == card("tiny")


@pytest.mark.parametrize("item", ["gone", "Tiny", "tiny ", "*", "tiny/"])
async def test_what_is_not_there(item):
    denied = await ask(Operation(Kind.MODELS, item))
    assert isinstance(denied, Deny)
    assert (denied.reason, denied.param) == (Reason.UNKNOWN_MODEL, "model")


async def test_what_may_not_be_used_is_forbidden_as_everywhere_else():
    denied = await ask(Operation(Kind.MODELS, "internal"), "tiny")
    assert (denied.reason, denied.param) == (Reason.MODEL_FORBIDDEN, "model")


@pytest.mark.parametrize("item", ["x" * 60_000, "\x00" * 60_000, "\u00e9" * 60_000])
async def test_what_is_repeated_of_a_name_is_bounded(item):
    assert len((await ask(Operation(Kind.MODELS, item))).message) < 1100


@pytest.mark.parametrize("kind", [Kind.CHAT, Kind.COMPLETIONS, Kind.EMBEDDINGS])
async def test_other_operations_go_on_as_they_are(kind):
    request = BARE.having(Operation(kind)).having(Identity("acme", "k"))
    assert await Catalog(TABLE, Access(), lambda: 0.0).decide(request) is request


async def test_without_models_the_list_is_empty():
    request = BARE.having(Operation(Kind.MODELS)).having(Identity("acme", "k"))
    assert listed(await Catalog({}, Access(), lambda: 0.0).decide(request)) == ()
