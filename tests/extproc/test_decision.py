"""Decisions and outcomes are values."""

from typing import get_args

import pytest

from extproc.decision import Decision, Deny, Judged, Outcome, Pause, Relay, Reply, Wait
from extproc.errors import Reason
from extproc.request import Request
from tests.extproc.requests import BARE

VALUES = [
    Deny(Reason.METHOD, "no"),
    Reply(b""),
    Relay("p"),
    Wait(1.0, BARE),
    Pause(1.0, BARE),
    Judged(BARE, None),
    Outcome({}, 200, 1, ()),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_none_can_be_changed_on_its_way(value):
    for name in value.__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(value, name, None)
    with pytest.raises((AttributeError, TypeError)):
        value.surprise = 1


def test_what_a_filter_may_decide_can_be_told_apart_by_type():
    assert set(get_args(Decision)) == {Request, Reply, Deny, Relay, Wait}


def test_a_refusal_needs_a_reason_and_a_message_only():
    deny = Deny(Reason.METHOD, "no")
    assert (deny.param, deny.retry_after_s, deny.allow) == (None, 0, "")
    assert deny == Deny(Reason.METHOD, "no")
    assert deny != Deny(Reason.METHOD, "no", "model")


@pytest.mark.parametrize(
    ("stop", "outcome"),
    [
        (None, "forward"),
        (Reply(b""), "reply"),
        (Relay("ledger"), "relay"),
        (Pause(1.0, None), "wait"),
        (Deny(Reason.METHOD, "no"), "deny"),
        (Deny(Reason.OVERLOADED, "later"), "deny"),
        (Deny(Reason.FAULT, "oh"), "fault"),
    ],
)
def test_what_became_of_a_request_in_one_word(stop, outcome):
    assert Judged(BARE, stop).outcome == outcome


@pytest.mark.parametrize(
    ("told", "tokens"), [(12.0, 12), (0.0, 0), (None, None), ("12", None), (7, 7)]
)
def test_tokens_are_whole_numbers_or_unknown(told, tokens):
    usage = {} if told is None else {"prompt_tokens": told}
    assert Outcome({}, 200, 1, (), usage).tokens("prompt_tokens") == tokens
