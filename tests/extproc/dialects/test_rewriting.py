"""Streams in which texts change and nothing else does. `safety/test_restore.py` has all the rest."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.dialects.rewriting import Rewriting, parse, replace_data
from extproc.dialects.sse import BOM, Splitter
from extproc.request import Kind
from tests.extproc.chunking import chunked
from tests.extproc.dialects.shouting import Shouting


def play(kind, stream, *, stands=False, chunks=None):
    transform = Rewriting(kind, Shouting(stands=stands))
    return b"".join([*map(transform.feed, chunks or [stream]), transform.finish()])


def delta(text, **more):
    return {"id": "c", "choices": [{"index": 0, "delta": {"content": text}, **more}]}


def sse(*documents):
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in documents)


def test_a_held_word_goes_out_with_the_next_one():
    assert play(Kind.CHAT, sse(delta("one tw"), delta("o three "))) == sse(
        delta("ONE "), delta("TWO THREE ")
    )


def test_it_goes_out_in_the_event_that_ends_it_or_before():
    stream = sse(delta("one"), delta(" two", finish_reason="stop"))
    assert play(Kind.CHAT, stream) == sse(delta(""), delta("ONE TWO", finish_reason="stop"))
    end = {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    shown = [json.loads(e.data) for e in Splitter().feed(play(Kind.CHAT, sse(delta("one"), end)))]
    assert [each["choices"][0]["delta"] for each in shown] == [
        {"content": ""}, {"content": "ONE"}, {},
    ]  # fmt: skip


@pytest.mark.parametrize("end", [b"data: [DONE]\n\n", b""])
def test_a_stream_without_an_end_loses_nothing(end):
    shown = play(Kind.CHAT, sse(delta("one")) + end)
    assert shown.endswith(end)
    assert b'"ONE"' in shown


def test_other_bytes_stay():
    raw = b'event: x\r\nid: 7\r\ndata: {"choices" : [{"delta":{"content" :"a "},"x":1.0,"y":"a "}]}\r\n\r\n'
    assert play(Kind.CHAT, raw) == raw.replace(b'"content" :"a "', b'"content" :"A "')
    whole = play(Kind.CHAT, raw, stands=True)
    assert whole == raw.replace(b'"a "', b'"A "').replace(b'"choices"', b'"CHOICES"').replace(
        b'"delta"', b'"DELTA"'
    ).replace(b'"content"', b'"CONTENT"').replace(b'"x"', b'"X"').replace(b'"y"', b'"Y"')
    pings = b": ping\n\ndata: no json\n\ndata: {broken\n\ndata: [1]\n\n"
    assert play(Kind.CHAT, pings) == pings


def test_data_in_several_lines():
    raw = b'id: 1\ndata: {"choices": [{"index": 0,\ndata: "delta": {"content": "a "}}]}\n\n'
    (event,) = Splitter().feed(play(Kind.CHAT, raw))
    assert event.raw.startswith(b"id: 1\ndata: ")
    assert json.loads(event.data)["choices"][0]["delta"] == {"content": "A "}


def test_equal_texts_of_two_choices():
    both = delta("a ")
    both["choices"].append({"index": 1, "delta": {"content": "a "}})
    assert play(Kind.CHAT, sse(both)) == sse(both).replace(b'"a "', b'"A "')
    other = {"choices": [{"index": 0, "delta": {"content": "a "}, "note": {"content": "a "}}]}
    changed = json.loads(play(Kind.CHAT, sse(other))[6:])
    assert changed["choices"][0]["delta"] == {"content": "A "}
    assert changed["choices"][0]["note"] == {"content": "a "}


def test_numbers_of_later_events_count_what_was_put_in():
    at = {"output_index": 0, "content_index": 0}
    said = 'in text: "sequence_number":9 '
    stream = sse(
        {"type": "response.output_text.delta", **at, "delta": said, "sequence_number": 0},
        {"type": "response.output_text.delta", **at, "delta": "end", "sequence_number": 1},
        {"type": "response.output_text.done", **at, "text": said + "end", "sequence_number": 2},
        {"type": "response.completed", "response": {}, "sequence_number": 3},
    )
    shown = [json.loads(e.data) for e in Splitter().feed(play(Kind.RESPONSES, stream))]
    assert [each["sequence_number"] for each in shown] == [0, 1, 2, 3, 4]
    assert [each.get("delta") for each in shown[:3]] == [said.upper(), "", "END"]


@given(st.data())
def test_any_chunks_come_to_the_same(data):
    stream = sse(delta("one tw"), delta("o thr"), delta("ee ", finish_reason="stop"), {"x": "y z"})
    for raw in (stream, stream.replace(b"\n", b"\r\n"), stream.replace(b"\n", b"\r")):
        chunks = data.draw(chunked(raw))
        assert play(Kind.CHAT, raw, chunks=chunks) == play(Kind.CHAT, raw)


@pytest.mark.parametrize("raw", [b"", b" \n", b'  {"error": "it "}', b'[{"error": "it "}]'])
def test_the_first_byte_tells_json(raw):
    assert play(Kind.CHAT, raw, chunks=[raw[:2], raw[2:]]) == raw.upper()


TEXTS = st.text(st.sampled_from('a b"\\\n<é😀\u2028\x01'), max_size=6)


class Parsed(Rewriting):
    """Forgets what it has seen, so that each event is parsed."""

    def feed(self, chunk):
        if self._body:
            self._body._frame = None
        return super().feed(chunk)


@pytest.mark.parametrize("stands", [False, True])
@given(st.lists(st.tuples(st.integers(0, 1), TEXTS, st.booleans()), max_size=9), st.booleans())
def test_events_that_are_not_parsed_come_to_the_same(stands, said, ascii_only):
    events = []
    for number, (index, text, is_last) in enumerate(said):
        choice = {"index": index, "delta": {"content": text, "x": "y z"}}
        if is_last:
            choice["finish_reason"] = "stop"
        document = {"id": "c", "choices": [choice], "usage": {"total_tokens": number}}
        events.append(b"data: " + json.dumps(document, ensure_ascii=ascii_only).encode() + b"\n\n")
    each, parsed = (
        [*map(made.feed, events), made.finish()]
        for made in (cls(Kind.CHAT, Shouting(stands=stands)) for cls in (Rewriting, Parsed))
    )
    assert each == parsed


def test_parse_and_replace():
    assert parse(b'{"a":1}') == {"a": 1}
    assert parse(b"[1]") is parse(b"{") is parse(b"") is None
    assert parse(b'{"a":' * 5000 + b"1" + b"}" * 5000) is None
    (event,) = Splitter().feed(b"data: x\n\n")
    assert replace_data(event, b"y") == b"data: y\n\n"


@given(st.data())
def test_a_byte_order_mark_hides_no_answer(data):
    plain = b'{"choices": [{"message": {"content": "one"}}]}'
    for raw in (plain, sse(delta("one "), delta("two "))):
        chunks = data.draw(chunked(BOM + raw))
        assert play(Kind.CHAT, raw, chunks=chunks) == play(Kind.CHAT, raw)


def test_spaces_before_an_object_hide_no_event():
    raw = sse(delta("one "), delta("two ")).replace(b"data: ", b"data: \t ")
    assert play(Kind.CHAT, raw) == raw.replace(b"one", b"ONE").replace(b"two", b"TWO")
