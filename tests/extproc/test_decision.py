"""Decisions and outcomes are values."""

from typing import get_args

import pytest

from extproc.decision import Decision, Deny, Judged, Outcome, Reply
from extproc.errors import Reason
from extproc.request import Request
from tests.extproc.requests import BARE

VALUES = [
    Deny(Reason.METHOD, "no"),
    Reply(b""),
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
    assert set(get_args(Decision)) == {Request, Reply, Deny}


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
        (Deny(Reason.METHOD, "no"), "deny"),
        (Deny(Reason.OVERLOADED, "later"), "deny"),
        (Deny(Reason.FAULT, "oh"), "fault"),
    ],
)
def test_what_became_of_a_request_in_one_word(stop, outcome):
    assert Judged(BARE, stop).outcome == outcome
