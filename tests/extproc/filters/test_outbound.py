"""Whose answers are looked through, with what in mind, and what is written down."""

import json

import pytest

from audit.memory import MemoryAudit
from extproc.filter import AnswerMode
from extproc.filters.outbound import (
    OutboundCheck,
    OutboundScreen,
    Sent,
    SentDocument,
    check_answers,
)
from extproc.policy.models import Policy
from extproc.request import Identity, Kind, Model, Operation, Prompt
from extproc.safety.outbound import OutboundRule
from extproc.safety.pii.engine import shipped
from tests.extproc.large import watch_prompt
from tests.extproc.requests import BARE

EMAIL, CARD = "bob@example.org", "4111 1111 1111 1111"
MASK = OutboundRule(frozenset({"email"}), "mask", frozenset({"acme"}))
CUT = OutboundRule(frozenset({"bank_card"}), "cut", frozenset({"globex"}), frozenset({"demo"}))


class Count:
    def __init__(self):
        self.told = []

    def found(self, kind, action, count):
        self.told.append((kind, action, count))


def make(*rules, meter=None, audit=None):
    return OutboundCheck(
        OutboundScreen(rules or (MASK, CUT), shipped()), "deny", meter, audit, lambda: 7.0
    )


def request(tenant="acme", kind=Kind.CHAT, text="hi", *, stream=False, model="demo"):
    document = {"messages": [{"role": "user", "content": text}]}
    found = BARE
    for fact in (
        Operation(kind),
        Identity(tenant, "key-1"),
        Model(model, "pool", "served"),
        Prompt(document, model, stream),
    ):
        found = found.having(fact)
    return found


def answer(text):
    return json.dumps({"choices": [{"message": {"content": text}}]}).encode()


async def hear(check, asked, raw):
    transform = check.transform(await check.decide(asked))
    return None if transform is None else transform.feed(raw) + transform.finish()


@pytest.mark.parametrize(
    ("tenant", "kind", "mode"),
    [
        ("acme", Kind.CHAT, AnswerMode.STREAMED),
        ("globex", Kind.RESPONSES, AnswerMode.DUPLEX),
        ("other", Kind.CHAT, AnswerMode.NONE),
        ("globex", Kind.EMBEDDINGS, AnswerMode.NONE),
        ("globex", Kind.COUNT_TOKENS, AnswerMode.NONE),
    ],
)
def test_wish(tenant, kind, mode):
    assert make().wish(request(tenant, kind)) is mode


async def test_only_answers_that_a_rule_is_for_are_touched():
    check = make()
    assert await hear(check, request(), answer(EMAIL)) == answer("[EMAIL]")
    assert await hear(check, request("globex"), answer(f"no. {CARD}")) == answer("no. ")
    assert await hear(check, request("other"), answer(EMAIL)) is None
    assert await hear(check, request("globex", model="big"), answer(CARD)) is None
    assert await hear(check, request(kind=Kind.EMBEDDINGS), answer(EMAIL)) is None


async def test_what_was_masked_later_still_counts_as_sent():
    check = make()
    asked = await check.decide(request(text=f"I am {EMAIL.upper()}"))
    masked = asked.having(asked.fact(Prompt).editing(messages=[]))
    transform = check.transform(masked)
    assert transform.feed(answer(EMAIL)) + transform.finish() == answer(EMAIL)


async def test_values_are_counted_and_the_first_of_a_type_is_written_down():
    check = make(meter=(meter := Count()), audit=(audit := MemoryAudit()))
    await hear(check, request(), answer(f"{EMAIL} and ann@example.org"))
    assert meter.told == [("email", "outbound_mask", 1)] * 2
    (record,) = audit.records
    assert (record.action, record.outcome, record.tenant) == ("outbound.masked", "masked", "acme")
    assert record.members == {"type": "email"}
    assert record.at_ms == 7000
    assert EMAIL not in repr(record)


async def test_nothing_goes_out_unrecorded():
    audit = MemoryAudit()
    audit.broken = True
    with pytest.raises(OSError, match="space"):
        await hear(make(audit=audit), request(), answer(EMAIL))


@pytest.mark.parametrize(
    ("sent", "kind", "value", "found"),
    [
        ("my card: 4111-1111-1111-1111", "bank_card", CARD, True),
        ("my card: 4111-1111-1111-1112", "bank_card", CARD, False),
        ("Bob@Example.org", "email", EMAIL, True),
        ("rob@example.org", "email", EMAIL, False),
        ("１３８ 0013 8000", "phone", "13800138000", True),  # noqa: RUF001 - full width
    ],
)
def test_sent_values_are_known_however_they_are_written(sent, kind, value, found):
    document = {"messages": [{"role": "user", "content": sent}]}
    known = Sent(Kind.CHAT, document)
    assert known.has(kind, value) is found
    assert known.has(kind, value) is found


def test_a_request_that_cannot_be_read_has_sent_nothing():
    document = {"messages": EMAIL}
    for _ in range(200):
        document = {"x": [document]}
    assert not Sent(Kind.CHAT, document).has("email", EMAIL)


def test_it_is_there_when_the_policy_has_rules():
    assert not check_answers(Policy(), None, None, lambda: 0)
    rules = {"rules": [{"types": ["all"], "action": "tag"}]}
    (check,) = check_answers(Policy.model_validate({"outbound": rules}), None, None, lambda: 0)
    assert check.wish(request("anybody")) is AnswerMode.STREAMED
    assert check.on_fault == "deny"


@pytest.mark.parametrize(
    ("own", "first"),
    [({}, "Nothing is"), ({"dictionaries": [{"name": "project", "words": ["falcon"]}]}, "")],
)
def test_only_how_shipped_types_begin_is_known(own, first):
    rules = {"rules": [{"types": ["email"], "action": "mask"}]}
    policy = Policy.model_validate({"outbound": rules, "pii": own})
    (check,) = check_answers(policy, None, None, lambda: 0)
    asked = request("acme").having(SentDocument({"messages": []}))
    choice = {"index": 0, "delta": {"content": "Nothing is found."}}
    event = b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"
    shown = json.loads(check.transform(asked).feed(event).removeprefix(b"data: "))
    assert shown["choices"][0]["delta"]["content"].startswith(first)
    assert bool(shown["choices"][0]["delta"]["content"]) == bool(first)


async def test_of_a_request_only_what_the_caller_sent_is_kept_with_its_answer():
    """Of that no more than his document, which values are looked up in."""
    audit = MemoryAudit()
    check = make(audit=audit)
    asked, is_held = watch_prompt(await check.decide(request()))
    transform = check.transform(asked)
    del asked
    assert not is_held()
    assert transform.feed(answer(EMAIL)) + transform.finish() == answer("[EMAIL]")
    [record] = audit.records
    assert (record.actor, record.object) == ("key-1", "demo")
