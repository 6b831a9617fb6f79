"""Conditions of the policy: who, what, when."""

import pytest

from extproc.access import Access, Asked, Veto
from extproc.conditions import Condition
from extproc.decision import Deny
from extproc.errors import ConditionError, Reason
from extproc.filters.authorize import Authorize, describe
from extproc.request import Identity, Kind, Model, Operation, Prompt
from tests.extproc.requests import BARE

FRIDAY_14H = 1795183506.0
IDENTITY = Identity("acme", "k", user="ann", groups=frozenset({"interns"}))


def request(kind=Kind.CHAT, stream=False, **document):
    return (
        BARE.having(Operation(kind))
        .having(IDENTITY)
        .having(Prompt(document, "alias", stream=stream))
        .having(Model("llama", "p", "org/llama", "canary"))
    )


async def decide(condition, asked=None, message="Not allowed by policy."):
    access = Access(vetoes=[Veto("the-rule", message, Condition(condition))])
    return await Authorize(access, lambda: FRIDAY_14H).decide(asked or request())


@pytest.mark.parametrize(
    "condition",
    [
        "identity.user == 'ann'",
        "'interns' in identity.groups && request.track == 'canary'",
        "request.operation == 'chat'",
        "request.model == 'llama'",
        "request.client_ip == '192.0.2.1'",
        "time.weekday == 5 && time.hour == 14",
        "!request.stream && request.max_tokens == 0",
    ],
)
async def test_what_a_condition_is_true_for_is_refused(condition):
    denied = await decide(condition)
    assert isinstance(denied, Deny)
    assert denied.reason is Reason.ACCESS_DENIED
    assert denied.message == "Not allowed by policy. (rule: the-rule)"


@pytest.mark.parametrize(
    "condition",
    [
        "identity.user == 'bob'",
        "request.model == 'alias'",
        "request.operation == 'embeddings'",
        "time.weekday > 5",
        "request.max_tokens > 100",
    ],
)
async def test_what_it_is_not_true_for_goes_on_as_it_is(condition):
    asked = request(max_tokens=100)
    assert await decide(condition, asked) is asked


async def test_the_operators_own_words():
    assert (await decide("true", message="Ask Bob.")).message == "Ask Bob. (rule: the-rule)"


async def test_a_condition_without_a_value_is_a_fault_and_refuses():
    with pytest.raises(ConditionError, match="rule 'the-rule'"):
        await decide("identity.groups[3] == 'x'")


async def test_without_conditions_nothing_is_gathered():
    def clock():
        raise AssertionError("nobody needs the time")

    asked = request()
    assert await Authorize(Access(), clock).decide(asked) is asked


@pytest.mark.parametrize(
    ("kind", "document", "max_tokens"),
    [
        (Kind.CHAT, {"max_completion_tokens": 7}, 7),
        (Kind.CHAT, {}, 0),
        (Kind.RESPONSES, {"max_output_tokens": 8}, 8),
        (Kind.MESSAGES, {"max_tokens": 9}, 9),
        (Kind.EMBEDDINGS, {"max_tokens": 9}, 0),
    ],
)
def test_what_is_asked_for(kind, document, max_tokens):
    expected = Asked(kind.value, "llama", "canary", True, max_tokens, "192.0.2.1")
    assert describe(request(kind, stream=True, **document)) == expected
