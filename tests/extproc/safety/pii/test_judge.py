"""What becomes of what was found: text by text, and what clients are told."""

import pytest

from extproc.dialects.place import JSON, KEY
from extproc.dialects.texts import Text
from extproc.safety.pii.finding import Finding
from extproc.safety.pii.judge import (
    Found,
    change,
    count,
    member_of,
    refuse,
    settle,
    spread,
    write_counts,
)
from extproc.safety.pii.mask import Masker
from extproc.safety.pii.patterns import LOOKALIKE
from extproc.safety.pii.rules import Choice, Rule

TEXT = Text(("messages", 0, "content"), "user", "abcdef")


def choose(**actions):
    return Choice([Rule(actions)])


def changed(choice, *findings, masks=True):
    return change(Found(TEXT, findings), choice, Masker("k" * 20, "acme"), masks=masks)


def test_each_action():
    both = Finding("email", 0, 2), Finding("phone", 3, 5)
    assert changed(choose(email="redact", phone="tag"), *both) == "[EMAIL]cdef"
    masked = changed(choose(email="mask", phone="redact"), *both)
    assert masked.startswith("<EMAIL_")
    assert masked.endswith("c[PHONE]f")
    assert len(changed(choose(email="hash"), both[0])) == 16 + 4


def test_what_looks_like_a_placeholder_is_masked_where_anything_is():
    look = Finding(LOOKALIKE, 1, 4)
    assert changed(choose(email="mask"), look).startswith("a<QUOTED_")
    assert changed(choose(email="redact"), look, masks=False) == "abcdef"


def test_it_is_settled_by_the_stronger_action():
    card, key = Finding("bank_card", 0, 5, 30), Finding("api_key", 0, 5, 10)
    assert [each.type for each in settle(TEXT, [card, key], choose(all="mask"))] == ["bank_card"]
    kept = settle(TEXT, [card, key], choose(bank_card="mask", api_key="deny"))
    assert [each.type for each in kept] == ["api_key"]
    assert settle(TEXT, [card], choose(email="mask")) == []


def test_a_refusal_names_the_kind_and_the_place_and_not_the_value():
    found = [Found(TEXT, [Finding("email", 0, 2), Finding("api_key", 2, 6)])]
    assert refuse(found, choose(email="mask")) is None
    denied = refuse(found, choose(email="mask", api_key="deny"))
    assert denied.param == "messages[0].content"
    assert denied.message == (
        "'messages[0].content' holds personal data that must not be sent: api_key."
    )


def test_counting():
    found = [
        Found(TEXT, [Finding("email", 0, 2), Finding("email", 3, 4), Finding(LOOKALIKE, 5, 6)])
    ]
    counts = count(found, choose(all="mask"))
    assert counts == {("email", "mask"): 2}
    assert (
        write_counts({**counts, ("phone", "mask"): 1, ("iban", "tag"): 4}) == "masked=3; tagged=4"
    )


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (("messages", 0, "content"), ""),
        (("metadata", "birthday"), "birthday"),
        (("metadata", KEY, "birthday"), ""),
        (("a", JSON), ""),
        ((), ""),
    ],
)
def test_names_that_may_tell(place, name):
    assert member_of(place) == name


def test_a_value_that_only_a_word_gave_away_is_found_again_elsewhere():
    first = Text(("messages", 0, "content"), "user", "born 1990-03-07")
    again = Text(("messages", 1, "content"), "user", "so 1990-03-07, not 11990-03-07")
    found = [Found(first, [Finding("birth_date", 5, 15, 10)])]
    spread_out = spread(found, [first, again], choose(birth_date="mask"))
    assert [each.text.place[1] for each in spread_out] == [0, 1]
    assert [(each.start, each.end) for each in spread_out[1].findings] == [(3, 13)]
    card = [Found(first, [Finding("bank_card", 5, 15, 30)])]
    assert spread(card, [first, again], choose(all="mask")) is card


def test_what_no_rule_wants_of_a_speaker_is_not_found_again():
    first = Text(("a",), "user", "born 1990-03-07")
    again = Text(("b",), "tool", "1990-03-07")
    choice = Choice([Rule({"birth_date": "mask"}, speakers=frozenset({"user"}))])
    found = [Found(first, [Finding("birth_date", 5, 15, 10)])]
    assert spread(found, [first, again], choice) == found
