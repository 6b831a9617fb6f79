"""Cursors: they come back as they went, and fit one question of one identity."""

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.common.errors import Refusal
from sidecars.common.identity import Identity
from sidecars.ledger.cursor import Cursor, bind, read_cursor, write_cursor

PLACES = st.lists(st.none() | st.integers(-(2**90), 2**90) | st.text(), max_size=5).map(tuple)
ASKED = [("by", "model"), ("model", "a"), ("model", "b")]
ACME = Identity("tenant", "acme")


@given(PLACES)
def test_a_cursor_comes_back_as_it_went(place):
    cursor = Cursor("b", 0, 10**12, place)
    text = write_cursor(cursor)
    assert text.replace("-", "").replace("_", "").isalnum()
    assert read_cursor(text, "b") == cursor


def raw(value):
    return base64.urlsafe_b64encode(msgspec.json.encode(value)).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "!",
        "é",
        "=" * 8,
        "A" * 3000,
        raw("b"),
        raw({"bound": "b"}),
        raw(["b", 0, 1]),
        raw(["b", 0, 1, [], 1]),
        raw(["b", "0", 1, []]),
        raw(["b", 0, 1, [[]]]),
        raw(["b", 0, 1, [1.5]]),
        raw(["b", -1, 1, []]),
        raw(["b", 0, 2**60, []]),
        raw(["b", 5, 5, []]),
        raw(["c", 0, 1, []]),
        base64.urlsafe_b64encode(b"[" * 3000).decode(),
        base64.urlsafe_b64encode(b'["b",0,1,["\\ud800"]]').decode(),
    ],
)
def test_what_is_no_cursor_of_this_question(text):
    with pytest.raises(Refusal) as refused:
        read_cursor(text, "b")
    assert refused.value.param == "cursor"


@pytest.mark.parametrize(
    "other",
    [
        bind(Identity("tenant", "globex"), "/p", ASKED),
        bind(Identity("all", "acme"), "/p", ASKED),
        bind(Identity("project", "acme", "p"), "/p", ASKED),
        bind(ACME, "/q", ASKED),
        bind(ACME, "/p", ASKED[:-1]),
        bind(ACME, "/p", [*ASKED, ("model", "b")]),
        bind(Identity("tenant", 'acme","/p'), "", ASKED),
    ],
)
def test_it_is_bound_to_who_asks_and_what(other):
    assert bind(ACME, "/p", ASKED) != other


def test_the_order_of_parameters_does_not_matter():
    assert bind(ACME, "/p", ASKED) == bind(ACME, "/p", reversed(ASKED))


def test_a_project_that_does_not_narrow_is_not_part_of_it():
    assert bind(Identity("all", "a", "p"), "/p", ()) == bind(Identity("all", "a"), "/p", ())
