"""Texts that are looked through as they come."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.safety.pii.finding import Finding
from extproc.safety.window import (
    FIRST,
    FIRST_STEP,
    HOLD,
    MOST_HELD,
    STEP,
    STEPS,
    Collected,
    LongStringError,
    Window,
    WindowEditor,
)
from tests.extproc.chunking import chunked


class Numbers:
    """Finds runs of six digits or more; keeps what it was asked to treat."""

    def __init__(self, put="[N]"):
        self.put, self.treated = put, []

    def find(self, text):
        found, at = [], 0
        while at < len(text):
            end = at
            while end < len(text) and text[end].isdigit() and text[end].isascii():
                end += 1
            if end - at >= 6:
                found.append(Finding("number", at, end))
            at = max(end, at + 1)
        return found

    def find_open(self, text):
        return len(text.rstrip("0123456789"))

    def treat(self, kind, value):
        assert kind == "number"
        self.treated.append(value)
        return value if self.put == "same" else self.put


PIECES = st.sampled_from(
    ["123456", "1234567890", "12345", "word ", "x" * 40, "é张😀", " ", "\n", '"']
)
TEXTS = st.lists(PIECES, max_size=20).map("".join)


@pytest.mark.parametrize("put", ["[N]", "same", None])
@given(st.data())
def test_any_pieces_come_to_the_same(put, data):
    text = data.draw(TEXTS)
    whole, cut = Window(Numbers(put)), Window(Numbers(put))
    pieces = [cut.feed(piece) for piece in data.draw(chunked(text))]
    assert "".join(pieces) + cut.finish() == whole.feed(text) + whole.finish()


@given(TEXTS)
def test_values_are_replaced(text):
    window, numbers = Window(Numbers()), Numbers()
    shown = window.feed(text) + window.finish()
    expected, at = "", 0
    for each in numbers.find(text):
        expected, at = expected + text[at : each.start] + "[N]", each.end
    assert shown == expected + text[at:]
    assert window.idle


def test_little_is_held():
    window = Window(Numbers())
    out = ""
    for index in range(400):
        out += window.feed("ab")
        seen = 2 * (index + 1)
        assert seen - len(out) <= (FIRST_STEP if seen < FIRST else STEP)


def test_a_long_text_is_looked_at_a_bounded_number_of_times():
    class Counting(Numbers):
        looks = 0

        def find(self, text):
            self.looks += 1
            return [Finding("number", at.start(), at.end()) for at in re.finditer("[0-9]{6}", text)]

    text = ("and so on " * 100 + "123456 ") * 1000
    counting = Counting()
    window = Window(counting)
    shown = "".join(window.feed(text[at : at + 70_001]) for at in range(0, len(text), 70_001))
    assert shown + window.finish() == text.replace("123456", "[N]")
    assert counting.looks < len(text) // 100


class Suspicious(Numbers):
    """Anything may be the beginning of a value."""

    def find_open(self, text):
        return 0


@given(st.data())
def test_where_everything_may_be_a_value_the_hold_is_bounded(data):
    text = data.draw(TEXTS)
    window, out = Window(Suspicious()), ""
    for number, char in enumerate(text, 1):
        out += window.feed(char)
        assert number - len(out) - text[:number].count("1") * 10 <= HOLD + STEP + 60
    assert out + window.finish() == Window(Numbers()).read(text)


def test_a_value_that_goes_on_is_kept_up_to_a_bound():
    window = Window(numbers := Numbers())
    assert window.feed("x" * 40 + "1" * (MOST_HELD - 200)) == "x" * 40
    shown = window.feed("1" * (200 + MOST_HELD // STEPS))
    assert shown == "[N]"
    assert MOST_HELD <= len(numbers.treated[0]) < MOST_HELD + MOST_HELD // STEPS + STEP


def test_nothing_follows_a_cut():
    window = Window(Numbers(None))
    assert window.feed("x" * 50 + "1234567 " + "y" * 200) + window.finish() == "x" * 50
    assert window.feed("more") + window.finish() == ""


@pytest.mark.parametrize("depth", [1, 2])
@given(st.data())
def test_strings_are_looked_through_as_a_whole(depth, data):
    """At depth 2 the text is JSON in a JSON string."""
    text = data.draw(TEXTS)
    written = json.dumps({"a": [text]}) if depth == 2 else text
    literal = json.dumps(written, ensure_ascii=data.draw(st.booleans()))[1:-1]
    collected = Collected(Numbers(), depth)
    assert "".join(collected.feed(piece) for piece in data.draw(chunked(literal))) == ""
    shown = json.loads(f'"{collected.finish()}"')
    window = Window(Numbers())
    expected = window.feed(text) + window.finish()
    assert (json.loads(shown)["a"][0] if depth == 2 else shown) == expected


@pytest.mark.parametrize("text", ["{1234567", '{"a": "1234567', "\\u12 1234567", '"\\ud8 1234567"'])
def test_what_is_no_json_is_looked_at_as_it_stands(text):
    collected = Collected(Numbers(), 1)
    collected.feed(text)
    assert "1234567" not in collected.finish()
    assert collected.idle


def test_a_string_without_end_is_refused():
    collected = Collected(Numbers(), 1)
    with pytest.raises(LongStringError):
        for _ in range(9):
            collected.feed("x" * 1_000_000)


def test_only_events_that_repeat_are_read_whole():
    editor = WindowEditor(Numbers(), (b'.done"',))
    assert isinstance(editor.begin(0), Window)
    assert isinstance(editor.begin(1), Collected)
    assert editor.may_change(b"{}")
    assert [editor.may_stand(raw) for raw in (b'"x.done"', b'"x.delta"')] == [True, False]
