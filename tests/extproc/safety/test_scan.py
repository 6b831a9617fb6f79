"""Where personal data stands, however it is cut and escaped; and never what it is."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.safety.expressions import FloodError
from extproc.safety.pii.engine import shipped
from extproc.safety.pii.own import Own
from extproc.safety.scan import (
    BEFORE,
    BEHIND,
    LEAST,
    MOST_PLACES,
    WINDOW,
    Piece,
    Place,
    Report,
    Scanner,
    unescape,
    windows,
)

MAIL, PHONE, CARD = "mona@example.org", "13800138000", "4111111111111111"


def found(text, chunk=None, **options):
    chunks = [text] if not chunk else [text[i : i + chunk] for i in range(0, len(text), chunk)]
    return list(Scanner(shipped(), **options).scan(windows("f", chunks)))


def test_lines_and_columns_are_those_of_an_editor():
    text = f"one\ntwo {MAIL}, {PHONE}\n\n猎鹰{MAIL}\n"
    assert found(text) == [
        Place("email", "f", 2, 5),
        Place("phone", "f", 2, 23),
        Place("email", "f", 4, 3),
    ]


def test_only_the_types_that_were_asked_for():
    text = f"{MAIL} {PHONE} {CARD}"
    assert [each.type for each in found(text, types=frozenset({"phone"}))] == ["phone"]
    without = found(text, without=frozenset({"phone"}))
    assert [each.type for each in without] == ["email", "bank_card"]
    own = Own([("staff", "EMP-[0-9]{6}")], [])
    assert [each.type for each in found("EMP-123456", own=own)] == ["staff"]


def test_what_is_masked_is_not_found():
    assert not found("<EMAIL_BCDFGHJK> wrote to [PHONE] about PHONE_BCDFGHJK; nothing else")


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_escapes_hide_nothing(depth):
    text = f'"猎鹰 {MAIL.replace("@", chr(92) + "u0040")} y"'
    for _ in range(depth):
        text = json.dumps(text)
    (place,) = found(text)
    assert place.type == "email"
    assert text[place.column - 1 :].startswith("mona")


@given(st.text(alphabet='ab\\"u0041\n/', max_size=40))
def test_reading_escapes_never_leaves_the_text(text):
    for layer in unescape(text):
        assert len(layer.text) <= len(text)
        for at in range(len(layer.text)):
            assert 0 <= layer.back(at) < len(text)
        assert [layer.back(at) for at in range(len(layer.text))] == sorted(
            layer.back(at) for at in range(len(layer.text))
        )


@pytest.mark.parametrize("at", [WINDOW - 17, WINDOW - 8, WINDOW - 1, WINDOW, WINDOW + 1])
@pytest.mark.parametrize("chunk", [None, 4096, 100_000])
def test_nothing_is_missed_or_told_twice_at_a_seam(at, chunk):
    text = "x" * (at - 1) + f" {MAIL} " + "y" * (WINDOW + BEHIND) + f" {PHONE}"
    places = found(text, chunk)
    assert places == [
        Place("email", "f", 1, at + 1),
        Place("phone", "f", 1, text.index(PHONE) + 1),
    ]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(20, 90_000), min_size=1, max_size=5), st.integers(1000, 300_000))
def test_places_do_not_depend_on_chunks(gaps, chunk):
    text = "".join("ab\n" * (gap // 3) + f" {MAIL} " for gap in gaps)
    places = found(text, chunk)
    assert places == found(text)
    assert len(places) == len(gaps)
    lines = text.split("\n")
    assert all(lines[p.line - 1][p.column - 1 :].startswith(MAIL) for p in places)


def test_windows_are_bounded_and_a_name_stays_with_its_text():
    text = "z" * (5 * WINDOW)
    pieces = list(windows("t", iter([text]), "phone"))
    assert all(len(each.text) <= WINDOW + BEFORE + BEHIND for each in pieces)
    assert {each.name for each in pieces} == {"phone"}
    assert repr(pieces[0]) == "Piece(t:1:1)"
    assert not list(windows("t", []))


class Touchy:
    """An engine that gives up on whatever is long."""

    def __init__(self):
        self._engine = shipped()

    def find(self, said, own=None):
        if sum(len(each.text) for each in said) > 3 * LEAST:
            raise FloodError("too many values")
        return self._engine.find(said, own)


def test_what_holds_too_many_values_is_looked_at_in_parts():
    text = "".join(f"{number:04} {MAIL}\n" for number in range(2000))
    places = list(Scanner(Touchy()).scan(windows("f", [text])))
    assert [each.line for each in places] == list(range(1, 2001))
    assert {each.column for each in places} == {6}
    pieces = [Piece(f"p{number}", f"{MAIL} " * 20) for number in range(100)]
    assert len(list(Scanner(Touchy()).scan(pieces))) == 2000


def test_a_text_made_to_take_long_is_read_to_its_end():
    text = "1.1.1.1." * 16_000
    places = found(text + f" {MAIL}", types=frozenset({"email"}))
    assert [each.column for each in places] == [len(text) + 2]


def test_names_are_told_without_what_is_in_them():
    shown = Scanner(shipped()).shown(f"/home/{MAIL}\x1b[2J.txt")
    assert "[EMAIL]" in shown
    assert "mona" not in shown
    assert shown.isprintable()
    assert Scanner(shipped()).shown("log/access.jsonl.1") == "log/access.jsonl.1"


def test_many_places_are_counted_and_some_are_kept():
    report = Report()
    report.add(Place("email", "f", line, 1) for line in range(MOST_PLACES + 5))
    assert report.counts["email"] == MOST_PLACES + 5
    assert len(report.places) == MOST_PLACES
