"""The bytes around the text of an event."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.dialects.deltas import Channel, Piece
from extproc.dialects.frame import make_frame

CONTENT = ("choices", 0, "delta", "content")


def event(text, *, head='"n":1', tail='"total_tokens":7,"completion_tokens": 3'):
    return f'data: {{{head},"content":{json.dumps(text, ensure_ascii=False)},{tail}}}\n\n'.encode()


def frame(raw, text, place=CONTENT):
    return make_frame(raw, Piece(Channel(0, "content"), place, text), {})


@given(st.text(), st.text(), st.integers(0, 10**9))
def test_the_next_text_is_read_as_json_reads_it(first, then, number):
    made = frame(event(first), first)
    following = event(then, tail=f'"total_tokens":{number},"completion_tokens": 4')
    numbered = frame(event(first, tail=f'"sequence_number":{number}'), first)
    assert numbered.read(event(then, tail='"sequence_number":3')) is not None
    text, tail = made.read(following)
    assert text == then
    assert made.write(text, tail) == following


@pytest.mark.parametrize(
    "other",
    [
        event("b", head='"n":2'),
        event("b", tail='"total_tokens":7,"completion_tokens": 3,"finish_reason":"stop"'),
        event("b", tail='"index":1,"completion_tokens": 3'),
        event("b") + event("b"),
        event("b")[:-1],
        event("b")[:24],
        event("b")[:-50],
        event("b").replace(b'"b"', b'"b'),
        event("b").replace(b'"b"', b'"\\x"'),
        event("b").replace(b'"b"', b'"\xff"'),
        event("b").replace(b'"b"', b'"\\ud800"'),
        event("b").replace(b'"b"', b'"b\x01"'),
        event("b").replace(b'"b"', b'"b\n"'),
        event("b").replace(b'"b"', b"null"),
        b"",
    ],
)
def test_others_are_told(other):
    assert frame(event("a"), "a").read(other) is None


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b'{"content":"a"}', "b"),
        (b'{"content" :"a"}', "a"),
        (b'{"content":"a","x":{"content":"a"}}', "a"),
        (b'{"content":  "a"}', "a"),
        (b'{"content":null}', "a"),
        (b'{"content":', "a"),
    ],
)
def test_what_is_not_plain_at_a_glance_has_none(raw, text):
    assert frame(raw, text) is None


@pytest.mark.parametrize("raw", [b'{"content":"a"}', b'{"content": "a"}', b'{"content":"\\u0061"}'])
def test_the_usual_ways_of_writing(raw):
    made = frame(raw, "a")
    assert made.head + b'a"}' == raw.replace(b"\\u0061", b"a")
    assert made.write('"\ud800', made.tail) == made.head + b'\\"\\ud800"}'
