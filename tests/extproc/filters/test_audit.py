"""Whose requests are written down, and that no unmasked word is."""

import json

import pytest

from audit.memory import MemoryAudit
from extproc.dialects import texts
from extproc.errors import PolicyError
from extproc.filters import Outside, audit_requests
from extproc.filters.audit import MOST_CHARS, AuditRequests, Wanted
from extproc.policy.models import Policy
from extproc.request import Body, Identity, Kind, Model, Operation, Prompt
from extproc.safety.pii.rules import Rule
from extproc.stores.memory import MemoryEngines, MemoryJournal
from tests.extproc.requests import bare

ALL_MASKED = Rule({"all": "mask"})


def request(content="hello", key="k1", tenant="acme", user="", **members):
    document = {"model": "m", "messages": [{"role": "user", "content": content}], **members}
    made = bare(settle_key=key).having(Identity(tenant, "key-1", "search", user))
    made = made.having(Operation(Kind.CHAT)).having(Model("m", "p", "org/m", version="2"))
    return made.having(Prompt(document, "m")).having(Body(json.dumps(document).encode()))


async def written(wanted, *requests):
    audit = MemoryAudit()
    made = AuditRequests(wanted, audit, lambda: 12.5)
    for each in requests:
        assert await made.decide(each) is each
    return audit.records


async def test_a_record_says_who_asked_what_of_whom():
    (record,) = await written(Wanted({"acme"}), request(user="ann"))
    assert (record.at_ms, record.action, record.outcome) == (12_500, "request.received", "passed")
    assert (record.actor, record.object, record.tenant) == ("ann", "m", "acme")
    assert (record.request_id, record.settle_key) == ("r1", "k1")
    assert record.members == {
        "operation": "chat", "key_id": "key-1", "project": "search", "track": "stable",
        "version": "2", "stream": False, "why": "tenant",
    }  # fmt: skip


async def test_whoever_is_not_named_is_drawn_or_left_alone():
    assert await written(Wanted({"acme"}), request(tenant="globex")) == []
    (drawn,) = await written(Wanted((), 1.0), request(tenant="globex"))
    assert (drawn.actor, drawn.members["why"]) == ("key-1", "sample")
    some = await written(Wanted((), 0.1), *(request(key=f"k{n}") for n in range(1000)))
    assert 60 < len(some) < 150


@pytest.mark.parametrize(
    ("rules", "content"),
    [
        ((), None),
        ((ALL_MASKED,), [["user", "hello"]]),
        ((Rule({"all": "redact"}),), [["user", "hello"]]),
        ((Rule({"email": "mask"}),), []),
        ((Rule({"all": "mask", "phone": "tag"}),), None),
        ((Rule({"all": "mask"}, frozenset({"globex"})),), None),
        ((Rule({"all": "mask"}, models=frozenset({"other"})),), None),
        ((Rule({"all": "mask"}, speakers=frozenset({"user"})),), [["user", "hello"]]),
        ((Rule({"all": "mask"}, speakers=frozenset({"tool"})),), []),
    ],
)
async def test_words_only_where_all_that_is_personal_is_masked(rules, content):
    (record,) = await written(Wanted({"acme"}, content="masked", rules=rules), request())
    found = record.members.get("content")
    assert (json.loads(found) if found else None) == content
    assert ("content_left_out" in record.members) == (not content)


async def test_no_words_unless_they_are_asked_for():
    (record,) = await written(Wanted({"acme"}, rules=(ALL_MASKED,)), request())
    assert "content" not in record.members


@pytest.mark.parametrize("length", [MOST_CHARS, MOST_CHARS + 1, MOST_CHARS * 4])
async def test_long_texts_are_cut(length):
    wanted = Wanted({"acme"}, content="masked", rules=(ALL_MASKED,))
    (record,) = await written(wanted, request("x" * length))
    ((_, text),) = json.loads(record.members["content"])
    assert len(text) == MOST_CHARS
    assert record.members.get("content_cut", False) == (length > MOST_CHARS)


async def test_what_cannot_be_looked_through_is_left_out():
    deep = {}
    for _ in range(texts.MOST_DEPTH + 2):
        deep = {"a": deep}
    wanted = Wanted({"acme"}, content="masked", rules=(ALL_MASKED,))
    (record,) = await written(wanted, request(unknown=deep))
    assert record.members["content_left_out"] == "tangled"


async def test_what_cannot_be_written_is_a_fault():
    audit = MemoryAudit()
    audit.broken = True
    with pytest.raises(OSError, match="space"):
        await AuditRequests(Wanted({"acme"}), audit).decide(request())


def under(requests, pii=None):
    """What the policy makes of it."""
    sections = {"tenants": [{"name": "acme"}], "audit": {"requests": requests}, "pii": pii or {}}
    return Policy.model_validate(sections)


def outside(audit=None):
    return Outside(MemoryEngines(), MemoryJournal(), audit=audit)


PII = {"key": {"env": "X"}, "rules": [{"types": {"all": "mask"}}]}


@pytest.mark.parametrize(
    ("pii", "content"),
    [
        (PII, [["user", "hello"]]),
        ({**PII, "on_fault": "deny"}, [["user", "hello"]]),
        ({**PII, "on_fault": "continue"}, None),
        (None, None),
    ],
)
async def test_the_policy_says_it_all(pii, content):
    audit = MemoryAudit()
    wanted = {"tenants": ["acme"], "content": "masked", "on_fault": "continue"}
    (made,) = audit_requests(under(wanted, pii), outside(audit))
    assert made.on_fault == "continue"
    await made.decide(request())
    (record,) = audit.records
    found = record.members.get("content")
    assert (json.loads(found) if found else None) == content


def test_nothing_is_wanted_unless_somebody_is_named():
    assert audit_requests(under({"content": "masked"}), outside()) == ()
    with pytest.raises(PolicyError, match="nowhere to write"):
        audit_requests(under({"sample": 0.5}), outside())
