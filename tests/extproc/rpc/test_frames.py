import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.rpc import frames
from extproc.rpc.frames import Frame, PeerError, check, frame, split, unpadded

FRAMES = st.lists(
    st.builds(
        Frame,
        kind=st.integers(0, 255),
        flags=st.integers(0, 255),
        stream=st.integers(0, 2**31 - 1),
        payload=st.binary(max_size=300),
    ),
    max_size=8,
)


@given(FRAMES, st.lists(st.integers(1, 50), min_size=1))
def test_frames_are_the_same_however_they_arrive(sent, cuts):
    data = b"".join(frame(f.kind, f.flags, f.stream, f.payload) for f in sent)
    got, rest = [], b""
    while data:
        size = cuts[len(data) % len(cuts)]
        found, rest = split(rest + data[:size])
        got += found
        data = data[size:]
    assert (got, rest) == (sent, b"")


def test_the_reserved_bit_means_nothing():
    found, _ = split(frame(0, 0, 2**31 + 5))
    assert found[0].stream == 5


def test_a_larger_frame_is_refused_by_its_head():
    with pytest.raises(PeerError, match="16385") as caught:
        split(frames.head(frames.DATA, 0, 1, frames.FRAME_BYTES + 1))
    assert caught.value.code == frames.FRAME_SIZE_ERROR


@pytest.mark.parametrize(
    ("kind", "flags", "payload", "kept"),
    [
        (frames.DATA, 0, b"abc", b"abc"),
        (frames.DATA, frames.PADDED, b"\x02abc", b"a"),
        (frames.DATA, frames.PADDED, b"\x00", b""),
        (frames.DATA, frames.PADDED, b"\x02ab", b""),
        (frames.HEADERS, frames.HAS_PRIORITY, b"12345abc", b"abc"),
        (frames.HEADERS, frames.HAS_PRIORITY | frames.PADDED, b"\x01" + b"12345abc", b"ab"),
        (frames.DATA, frames.HAS_PRIORITY, b"12345abc", b"12345abc"),
    ],
)
def test_padding_and_priority_come_off(kind, flags, payload, kept):
    assert unpadded(Frame(kind, flags, 1, payload)) == kept


@pytest.mark.parametrize(
    ("kind", "flags", "payload", "code"),
    [
        (frames.DATA, frames.PADDED, b"", frames.PROTOCOL_ERROR),
        (frames.DATA, frames.PADDED, b"\x04abc", frames.PROTOCOL_ERROR),
        (frames.HEADERS, frames.HAS_PRIORITY, b"1234", frames.FRAME_SIZE_ERROR),
    ],
)
def test_padding_that_cannot_be(kind, flags, payload, code):
    with pytest.raises(PeerError) as caught:
        unpadded(Frame(kind, flags, 1, payload))
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("kind", "stream", "payload", "code"),
    [
        (frames.HEADERS, 0, b"", frames.PROTOCOL_ERROR),
        (frames.PRIORITY, 0, b"12345", frames.PROTOCOL_ERROR),
        (frames.PRIORITY, 1, b"1234", frames.FRAME_SIZE_ERROR),
        (frames.RST_STREAM, 0, b"1234", frames.PROTOCOL_ERROR),
        (frames.RST_STREAM, 1, b"123", frames.FRAME_SIZE_ERROR),
        (frames.CONTINUATION, 0, b"", frames.PROTOCOL_ERROR),
        (frames.SETTINGS, 1, b"", frames.PROTOCOL_ERROR),
        (frames.PING, 1, b"12345678", frames.PROTOCOL_ERROR),
        (frames.PING, 0, b"1234567", frames.FRAME_SIZE_ERROR),
        (frames.GOAWAY, 1, b"12345678", frames.PROTOCOL_ERROR),
        (frames.WINDOW_UPDATE, 0, b"12345", frames.FRAME_SIZE_ERROR),
        (frames.PUSH_PROMISE, 1, b"1234", frames.PROTOCOL_ERROR),
    ],
)
def test_frames_that_cannot_be(kind, stream, payload, code):
    with pytest.raises(PeerError) as caught:
        check(Frame(kind, 0, stream, payload))
    assert caught.value.code == code


@pytest.mark.parametrize("stream", [0, 1])
def test_a_window_is_a_call_s_or_the_connection_s(stream):
    check(Frame(frames.WINDOW_UPDATE, 0, stream, b"1234"))


def test_settings_are_pairs():
    those = {frames.HEADER_TABLE_SIZE: 0, frames.INITIAL_WINDOW_SIZE: 2**31 - 1}
    (sent,), _ = split(frames.settings(those))
    assert frames.read_settings(sent.payload) == list(those.items())
    with pytest.raises(PeerError):
        frames.read_settings(sent.payload[:-1])


def test_a_window_grows_by_something():
    assert frames.read_increment(b"\x80\x00\x00\x07") == 7
    with pytest.raises(PeerError):
        frames.read_increment(b"\x80\x00\x00\x00")
