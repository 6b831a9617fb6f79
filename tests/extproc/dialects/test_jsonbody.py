"""Answers in JSON, scanned as they come."""

import json

from hypothesis import given
from hypothesis import strategies as st

from extproc.dialects.jsonbody import JsonBody
from extproc.request import Kind
from tests.extproc.chunking import chunked
from tests.extproc.dialects.shouting import Shouting

TEXTS = st.text('ab \\"\n/é张😀\x00', max_size=8)
ANSWERS = st.fixed_dictionaries(
    {"a": TEXTS, "arguments": TEXTS, "b": st.lists(TEXTS | st.none() | st.integers(), max_size=3)}
)


def play(body, chunks):
    return b"".join([*map(body.feed, chunks), body.finish()])


@given(st.data())
def test_any_chunks_come_to_the_same(data):
    answer = data.draw(ANSWERS)
    raw = json.dumps(
        answer, ensure_ascii=False, indent=data.draw(st.sampled_from([None, 2]))
    ).encode()
    shown = play(JsonBody(Kind.CHAT, Shouting(), frozenset()), data.draw(chunked(raw)))
    # Escapes are letters here, too: what the editor sees are literals as they are written.
    assert shown == play(JsonBody(Kind.CHAT, Shouting(), frozenset()), [raw])
    assert shown.decode().lower() == raw.decode().lower()


def test_every_string_is_a_text_of_its_depth():
    editor = Shouting()
    raw = b'{"a":"x","arguments" : "{}", "b":["y"],"content":"z"}'
    assert play(JsonBody(Kind.CHAT, editor, frozenset({"content"})), [raw]) == raw.upper()
    assert editor.begun == [1, 1, 1, 2, 1, 1, 1, 2]


def test_what_is_cut_off_goes_out():
    for raw in (b'{"a":"b c', b'{"a":"b\\', b'{"a":"b\\u12', b'{"a":"\xe5\xbc'):
        assert play(JsonBody(Kind.CHAT, Shouting(), frozenset()), [raw]).lower() == raw.lower()


def test_bytes_that_are_no_utf8_stay():
    raw = b'{"a":"\xff \xe5\xbc\xa0\xfe"}'
    assert play(JsonBody(Kind.CHAT, Shouting(), frozenset()), [raw]) == raw.upper()


def test_a_long_answer_is_not_kept():
    body = JsonBody(Kind.CHAT, Shouting(), frozenset())
    body.feed(b'{"a":"')
    for _ in range(100):
        assert len(body.feed(b"word " * 1000)) == 5000
    assert body.feed(b'"}') == b'"}'
