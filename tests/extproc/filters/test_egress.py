"""What leaves for services elsewhere: from the start, and as a stand-in."""

import threading

import pytest

from extproc.decision import Deny
from extproc.errors import Reason
from extproc.filters.egress import Egress
from extproc.filters.pii import MANY_PLACES
from extproc.filters.standins import fit, leave
from extproc.policy.models import Policy
from extproc.request import Fallback, Identity, Kind, Model, Operation, Prompt, Tries
from extproc.safety.egress import Gate
from extproc.safety.pii.own import Own
from extproc.stores.memory import MemoryEngines
from tests.extproc.requests import bare

MAIL = "mona@example.org"
ACME = Identity("acme", "k1", user="u1", region="eu")


class Audit:
    def __init__(self):
        self.records = []

    def write(self, record):
        self.records.append(record)


def asked(text="hi", model="gpt", pool="x", who=ACME, kind=Kind.CHAT, **members):
    document = {"model": model, "messages": [{"role": "user", "content": text}], **members}
    request = bare(path="/v1/chat/completions")
    for fact in (Operation(kind), who, Model(model, pool, model), Prompt(document, model)):
        request = request.having(fact)
    return request


def egress(gate=None, **more):
    return Egress({"x": gate or Gate()}, **more)


async def test_what_stays_here_is_not_looked_at():
    request = asked(MAIL, pool="here", user="u")
    assert await egress().decide(request) is request


async def test_what_says_who_asks_is_taken_out():
    found = await egress().decide(asked(user="u1", metadata={"a": "b"}, seed=1))
    assert set(found.fact(Prompt).document) == {"model", "messages", "seed"}
    kept = await egress(Gate(fields=frozenset({"user"}))).decide(asked(user="u1"))
    assert kept.fact(Prompt).document["user"] == "u1"


@pytest.mark.parametrize(
    ("gate", "request_", "param", "said"),
    [
        (Gate(), asked(MAIL), "messages[0].content", "email"),
        (Gate(types=frozenset({"phone"})), asked(MAIL), "messages[0].content", "email"),
        (Gate(fields=frozenset({"user"})), asked(user=MAIL), "user", "email"),
        (Gate(fields=frozenset({"x"})), asked(x={"y": MAIL}), "x.y", "email"),
        (Gate(), asked(guided_json={}), "guided_json", "must not leave"),
        (Gate(), asked(kind=Kind.COMPLETIONS, prompt=[1, 2]), "prompt", "cannot be looked through"),
        (Gate(regions=frozenset({"cn"})), asked(), None, "region 'eu'"),
        (Gate(regions=frozenset({"eu"})), asked(who=Identity("a", "k")), None, "without a region"),
        (Gate(tenants=frozenset({"globex"})), asked(), None, "tenant"),
    ],
)
async def test_refusals(gate, request_, param, said):
    audit = Audit()
    denied = await egress(gate, audit=audit).decide(request_)
    assert isinstance(denied, Deny)
    assert (denied.reason, denied.param) == (Reason.EGRESS, param)
    assert said in denied.message
    assert MAIL not in denied.message
    (record,) = audit.records
    assert (record.action, record.object, record.members["pool"]) == ("egress.denied", "gpt", "x")
    assert MAIL not in str(record)


async def test_what_may_leave_does():
    assert not isinstance(await egress(Gate(types=frozenset({"email"}))).decide(asked(MAIL)), Deny)
    assert not isinstance(await egress(Gate(types=frozenset({"all"}))).decide(asked(MAIL)), Deny)
    assert not isinstance(await egress().decide(asked("<EMAIL_BCDFGHJK> is masked")), Deny)


async def test_own_types_stay_as_well():
    own = Own([("staff", "EMP-[0-9]{6}")], [])
    denied = await egress(own=own).decide(asked("ask EMP-123456"))
    assert "staff" in denied.message


class Watched(frozenset):
    """Notes which threads ask what may leave."""

    def __init__(self, _):
        self.threads = set()

    def __contains__(self, name):
        self.threads.add(threading.current_thread())
        return super().__contains__(name)


@pytest.mark.parametrize(("count", "is_aside"), [(1, False), (MANY_PLACES + 1, True)])
async def test_what_takes_long_to_judge_holds_nobody_up(count, is_aside):
    types = Watched({"email"})
    request = asked(" ".join(f"a{n}@b.org" for n in range(count)))
    assert await egress(Gate(types=types)).decide(request) is request
    assert bool(types.threads - {threading.current_thread()}) == is_aside


async def test_what_cannot_be_looked_through_is_refused():
    deep = "x"
    for _ in range(100):
        deep = [deep]
    gate = Gate(fields=frozenset({"deep"}))
    assert (await egress(gate).decide(asked(deep=deep))).reason is Reason.INVALID_REQUEST


def policy(egress=None, **sections):
    """`big` here, `gpt` elsewhere; each stands in for the other."""
    where = {"url": "https://api.example.com/v1", "egress": egress or {}}
    return Policy.model_validate(
        {
            "tenants": [{"name": "acme"}],
            "pools": [
                {"name": "here", "endpoints": ["10.0.0.1:80"]},
                {"name": "spare", "endpoints": ["10.0.0.2:80"]},
                {"name": "x", "upstream": where},
            ],
            "models": [
                {"name": "big", "pool": "here", "fallback": ["gpt"]},
                {"name": "gpt", "pool": "x", "fallback": ["posh", "big"]},
                {"name": "posh", "pool": "spare", "parameters": [{"system_prompt": "Be posh."}]},
            ],
            **sections,
        }
    )


VIEW = MemoryEngines({"here": ["10.0.0.1:80"], "spare": ["10.0.0.2:80"]})


async def through(given, request):
    """As the pipeline does it: look at what leaves, then line up who stands in."""
    for each in (*leave(given, VIEW, None, lambda: 0.0), *fit(given, VIEW, lambda: 0.0)):
        request = await each.decide(request)
        if isinstance(request, Deny):
            break
    return request


def pools(request):
    found = request.find(Tries)
    return [each.model.pool for each in found.alternatives] if found else []


async def test_a_request_with_personal_data_is_not_offered_elsewhere():
    assert pools(await through(policy(), asked("hi", "big", "here"))) == ["x"]
    assert pools(await through(policy(), asked(MAIL, "big", "here"))) == []
    assert pools(await through(policy({"types": ["email"]}), asked(MAIL, "big", "here"))) == ["x"]
    assert pools(await through(policy({"regions": ["cn"]}), asked("hi", "big", "here"))) == []
    assert pools(await through(policy(), asked("hi", "big", "here", guided_json={}))) == []


async def test_what_is_offered_elsewhere_says_not_who_asks():
    request = await through(policy(), asked("hi", "big", "here", user="u1"))
    assert request.fact(Prompt).document["user"] == "u1"
    (other,) = request.fact(Tries).alternatives
    assert b"u1" in request.fact(Tries).head
    assert b"u1" not in other.head


async def test_where_masking_differs_from_model_to_model_none_stands_in():
    """`big` needs nothing masked, `gpt` all: what was not masked for one is not sent to the other."""
    rules = [{"models": ["gpt"], "types": {"email": "mask"}}]
    pii = {"key": {"env": "K"}, "rules": rules}
    given = policy({"types": ["all"]}, pii=pii)
    assert pools(await through(given, asked(MAIL, "big", "here"))) == []
    assert pools(await through(given, asked(MAIL))) == ["here"]


async def test_what_may_not_leave_goes_on_to_who_may_see_it():
    given = policy({"on_violation": "next"})
    request = await through(given, asked(MAIL))
    assert request.fact(Model).name == "big"  # posh would be told something else
    assert request.fact(Fallback).witness()["fallback"] == "from=gpt; reason=egress"
    assert pools(request) == []
    assert (await through(policy(), asked(MAIL))).reason is Reason.EGRESS


async def test_it_goes_on_only_where_somebody_may():
    given = policy({"on_violation": "next"})
    moved = asked(MAIL, kind=Kind.RESPONSES, previous_response_id="r1")
    assert (await through(given, moved)).reason is Reason.EGRESS
    who = Identity("acme", "k1", models=frozenset({"gpt"}))
    assert (await through(given, asked(MAIL, who=who))).reason is Reason.EGRESS
    authority = {"authority": {"url": "http://opa.example/v1/data/x"}}
    given = policy({"on_violation": "next"}, access=authority)
    assert (await through(given, asked(MAIL))).reason is Reason.EGRESS
    strict = {"rules": [{"name": "r", "words": ["bad"], "models": ["big"]}]}
    given = policy({"on_violation": "next"}, moderation=strict)
    assert (await through(given, asked(MAIL))).reason is Reason.EGRESS


def test_nothing_is_added_where_nothing_leaves():
    given = Policy.model_validate({"pools": [{"name": "a", "endpoints": ["10.0.0.1:80"]}]})
    assert not leave(given, VIEW, None, lambda: 0.0)
    assert [each.name for each in leave(policy(), VIEW, None, lambda: 0.0)] == ["egress"]
