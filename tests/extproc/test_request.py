"""The request and its facts: only added, never changed, and nothing secret in the witness."""

import pytest

from extproc.request import (
    Body,
    Fact,
    Identity,
    Kind,
    Model,
    Operation,
    Payload,
    Prompt,
    Route,
    Strip,
)
from tests.extproc.requests import TRACE, TRACE_ID, bare


def request(**changes):
    return bare(headers={"authorization": "Bearer s3cret"}, **changes)


def test_trace_id_is_the_second_field_of_traceparent():
    assert request().trace_id == TRACE_ID


@pytest.mark.parametrize(
    ("headers", "keeps"),
    [({}, False), ({"traceparent": TRACE}, True), ({"traceparent": TRACE + "x"}, False)],
)
def test_a_trace_is_kept_or_begun_here(headers, keeps):
    assert bare(headers=headers).keeps_trace is keeps


@pytest.mark.parametrize(
    ("headers", "size"),
    [
        ({}, 0),
        ({"content-length": "0"}, 0),
        ({"content-length": "1048577"}, 1_048_577),
        ({"content-length": "9" * 15}, 10**15 - 1),
        ({"content-length": "9" * 16}, 0),
        ({"content-length": "12,12"}, 0),
        ({"content-length": "-1"}, 0),
        ({"content-length": "\u0663"}, 0),
        ({"content-length": "1e3"}, 0),
        ({"content-length": ""}, 0),
    ],
)
def test_what_is_announced_is_a_plain_number_or_nothing(headers, size):
    assert bare(headers=headers).announced_bytes == size


def test_what_is_shown_of_a_request_is_no_secret():
    """Not in an assertion, a traceback, or a log line that someone adds."""
    known = (
        request(claims={"sub": "s3cret"})
        .having(Body(b"s3cret"))
        .having(Prompt({"prompt": "s3cret"}, "m"))
        .having(Payload(b"s3cret"))
    )
    shown = [known, known.fact(Body), known.fact(Prompt), known.fact(Payload)]
    assert "s3cret" not in repr(shown)


def test_facts_are_added_to_a_copy():
    before = request()
    after = before.having(Operation(Kind.CHAT))
    assert before.facts == {}
    assert after.fact(Operation).kind is Kind.CHAT
    assert after.having(Body(b"x")).fact(Operation) is after.fact(Operation)


def test_a_fact_is_known_by_its_exact_type():
    known = request().having(Body(b"x"))
    assert known.find(Body) == Body(b"x")
    assert known.find(Prompt) is None
    assert known.find(Fact) is None
    with pytest.raises(KeyError):
        known.fact(Prompt)


def test_what_is_kept_of_a_request_is_what_was_asked_for():
    who = Identity("acme", "key1")
    whole = request(claims={"sub": "u1"})
    whole = whole.having(Operation(Kind.CHAT)).having(who)
    kept = whole.keeping(Identity, Prompt)
    assert kept == bare(facts={Identity: who})
    assert whole.headers
    assert whole.find(Operation)


def test_a_later_fact_of_a_type_stands_for_the_earlier():
    known = request().having(Prompt({"a": 1}, "m")).having(Prompt({"a": 2}, "m"))
    assert known.fact(Prompt).document == {"a": 2}
    assert len(known.facts) == 1


def test_values_are_frozen():
    with pytest.raises(AttributeError):
        request().path = "/elsewhere"
    with pytest.raises(AttributeError):
        Identity("acme", "k").tenant = "globex"


def test_the_witness_is_exactly_what_settle_may_know():
    full = (
        request()
        .having(Operation(Kind.COMPLETIONS))
        .having(Identity("acme", "key-1", "support", "ann", frozenset({"m"})))
        .having(Body(b"a secret prompt"))
        .having(Prompt({"prompt": "a secret prompt"}, "alias", stream=True, wants_usage=True))
        .having(Model("m", "pool-a", "internal-name", "canary", "2"))
        .having(Strip("continuous"))
        .having(Payload(b"a secret prompt"))
        .having(Route(("10.0.0.1:80",)))
    )
    assert full.witness() == {
        "settle_key": "k1",
        "trace_id": TRACE_ID,
        "operation": "completions",
        "tenant": "acme",
        "key_id": "key-1",
        "project": "support",
        "user": "ann",
        "stream": True,
        "model": "m",
        "pool": "pool-a",
        "track": "canary",
        "version": "2",
        "strip": "continuous",
    }


def test_more_than_one_answer_is_told_to_settle():
    assert Prompt({}, "m", n=3).witness() == {"stream": False, "n": 3}
    assert Prompt({}, "m", n=1).witness() == {"stream": False}


def test_what_is_not_known_is_absent_from_the_witness():
    assert request().witness() == {"settle_key": "k1", "trace_id": TRACE_ID}
    assert Identity("acme", "key-1").witness() == {"tenant": "acme", "key_id": "key-1"}
    assert Body(b"x").witness() == {}
    assert Route(("10.0.0.1:80",)).witness() == {}


@pytest.mark.parametrize(
    ("models", "name", "may"),
    [
        ({"*"}, "anything", True),
        ({"a", "b"}, "b", True),
        ({"a"}, "b", False),
        ({"a"}, "A", False),
        ({"a"}, "*", False),
        ({"a*"}, "ab", False),
        (set(), "a", False),
    ],
)
def test_may_use(models, name, may):
    assert Identity("acme", "k", models=frozenset(models)).may_use(name) is may


def test_editing_a_prompt_leaves_the_one_it_came_from():
    original = Prompt({"model": "alias", "seed": 1}, "alias", stream=True)
    edited = original.editing(model="m", extra=None)
    assert original.document == {"model": "alias", "seed": 1}
    assert edited.document == {"model": "m", "seed": 1, "extra": None}
    assert (edited.model, edited.stream) == ("alias", True), "the facts are about what was asked"
