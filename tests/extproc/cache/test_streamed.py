"""An answer read from its stream is that of the JSON."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.cache.answer import read_answer
from extproc.cache.streamed import read_stream
from extproc.request import Kind
from tests.extproc.cache.answers import KINDS, body, document


@given(st.sampled_from(KINDS), st.text(st.characters(codec="utf-8"), min_size=1))
def test_it_is_the_same(kind, text):
    found = read_stream(kind, body(kind, text, stream=True))
    assert found == read_answer(kind, document(kind, text))


def test_reasoning_is_kept_by_its_name():
    more = {"reasoning": "Let me see.", "reasoning_name": "reasoning"}
    found = read_stream(Kind.CHAT, body(stream=True, **more))
    assert (found.reasoning, found.reasoning_name) == ("Let me see.", "reasoning")


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_that_lost_its_end_is_none(kind):
    whole = body(kind, stream=True)
    events = whole.split(b"\n\n")
    for cut in range(len(events) - 1):
        assert read_stream(kind, b"\n\n".join(events[:cut]) + b"\n\n") is None
    assert read_stream(kind, whole[:-1]) is None


@pytest.mark.parametrize(
    "event",
    [
        b'{"error":{"message":"no"}}',
        b'{"choices":[{"index":1,"delta":{"content":"x"}}]}',
        b'{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0}]}}]}',
        b"{",
        b'"text"',
    ],
)
def test_nor_is_one_with_something_else_in_it(event):
    assert read_stream(Kind.CHAT, b"data: " + event + b"\n\n" + body(stream=True)) is None


@pytest.mark.parametrize("choices", [b"5", b"[null]", b"[[]]", b'[{"delta":[]}]'])
def test_what_makes_no_sense_is_none(choices):
    """Engines beyond our reach may send anything."""
    assert read_stream(Kind.CHAT, b'data: {"choices":' + choices + b"}\n\ndata: [DONE]\n\n") is None


def test_two_blocks_are_not_kept():
    block = b'event: content_block_start\ndata: {"type":"content_block_start","index":1}\n\n'
    assert read_stream(Kind.MESSAGES, block + body(Kind.MESSAGES, stream=True)) is None


def test_other_operations_have_none():
    assert read_stream(Kind.EMBEDDINGS, body(stream=True)) is None
