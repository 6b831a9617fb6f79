"""Messages on a stream, however it is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.load import Adapters, Load
from engines.rates import Rates
from engines.watch.frames import MAX_BYTES, FrameError, Frames, frame
from engines.watch.messages import (
    Ended,
    Look,
    Looks,
    Member,
    Members,
    Picked,
    Running,
    Stored,
    Used,
)

LOAD = Load(running=3, adapters=Adapters(2, ("a",), ()), ttft_buckets=((0.1, 2.0),))
SOME = [
    Members({"p": (Member("10.0.0.1:1"), Member("10.0.0.2:1", "draining", 3.5, "prefill"))}),
    Looks((Look("10.0.0.1:1", 1.5, "", LOAD, Rates(2000.0, 0.01)), Look("b:1", 2.0, "refused"))),
    Picked("k", "p", "10.0.0.1:1", 1.0, 100, 64, (2**64 - 1, 0)),
    Ended("k", "p", "", 2.0, 0, 1.5, ("10.0.0.1:1",), "m"),
    Used("m", "key-1", 9, "1 0 0 0 1", 5),
    Running("k"),
    Stored("p", "10.0.0.1:1", (1, 2), (3,), True),
]


@given(st.lists(st.sampled_from(SOME), max_size=8), st.data())
def test_messages_arrive_however_the_stream_is_cut(messages, data):
    whole = b"".join(frame(message) for message in messages)
    frames, found = Frames(), []
    while whole:
        size = data.draw(st.integers(1, len(whole)))
        piece, whole = whole[:size], whole[size:]
        found += frames.feed(piece)
    assert [message for message, _ in found] == messages
    assert [raw for _, raw in found] == [frame(message) for message in messages]


@pytest.mark.parametrize(
    "stream",
    [
        b"\xff\xff\xff\xff",
        (MAX_BYTES + 1).to_bytes(4, "big"),
        b"\x00\x00\x00\x01\xc0",
        b"\x00\x00\x00\x03\x91\xa1x",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_message_is_refused(stream):
    with pytest.raises(FrameError):
        list(Frames().feed(stream))


@given(st.binary(max_size=64))
def test_garbage_is_refused_or_waits_for_more(garbage):
    frames = Frames()
    try:
        for message, raw in frames.feed(garbage):
            assert frame(message)
            assert raw in garbage
    except FrameError:
        pass
