import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.dialects.sse import Event, Splitter
from tests.extproc.chunking import chunked, recorded

STREAMS = [
    (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
    (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
    (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
    (b"data:a\ndata: b\n\n", [b"a\nb"]),
    (b"event: x\nid: 1\ndata: a\nretry: 5\n\n", [b"a"]),
    (b": ping\n\ndata: a\n\n", [b"", b"a"]),
    (b"data\n\n", [b""]),
    (b"data: a", [b"a"]),
    (b"data: a\n", [b"a"]),
    (b"data: a\r", [b"a"]),
    (b"data: a\n\r\ndata: b\r\n\n", [b"a", b"b"]),
    (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
    (b"\n\n\n", [b"", b"", b""]),
    (b"", []),
    (b"data: a\n\ndat", [b"a", b""]),
    (b"database: a\n\n", [b""]),
    (b"data:  two spaces\n\n", [b" two spaces"]),
]


def split(chunks):
    splitter = Splitter()
    events = [event for chunk in chunks for event in splitter.feed(chunk)]
    return events + splitter.finish()


@pytest.mark.parametrize(("stream", "data"), STREAMS)
def test_split(stream, data):
    assert [event.data for event in split([stream])] == data


@pytest.mark.parametrize("stream", [stream for stream, _ in STREAMS])
def test_every_byte_on_its_own(stream):
    assert split([bytes([byte]) for byte in stream]) == split([stream])


@given(
    st.lists(st.sampled_from([b"data: a", b":c", b"\n", b"\r", b"\r\n", b"data:", b"x"])).map(
        b"".join
    ),
    st.data(),
)
def test_any_chunking_gives_the_same_events_and_every_byte(stream, data):
    events = split(data.draw(chunked(stream)))
    assert events == split([stream])
    assert b"".join(event.raw for event in events) == stream


@given(st.sampled_from(recorded("text/event-stream")), st.data())
def test_recorded_answers(answer, data):
    events = split(data.draw(chunked(answer)))
    documents = [msgspec.json.decode(event.data) for event in events if event.data != b"[DONE]"]
    if answer.startswith(b"event:"):  # Responses and Messages name their events
        types = [event.raw.split(b"\n")[0].decode() for event in events]
        assert types == [f"event: {document['type']}" for document in documents]
    else:
        assert events[-1] == Event(b"data: [DONE]\n\n", b"[DONE]")
        assert all("choices" in document for document in documents)
    assert len(documents) >= len(events) - 1


def test_an_event_is_out_with_its_last_byte():
    splitter = Splitter()
    assert splitter.feed(b"data: a\n") == []
    assert [event.data for event in splitter.feed(b"\nda")] == [b"a"]
    assert splitter.feed(b"ta: b\n") == []
    assert [event.data for event in splitter.feed(b"\n")] == [b"b"]


def test_it_knows_when_it_holds_nothing():
    splitter = Splitter()
    assert splitter.empty
    splitter.feed(b"data: x\n")
    assert not splitter.empty
    splitter.feed(b"\n")
    assert splitter.empty
