"""What belongs to all calls of a connection."""

import asyncio

import pytest
from hpack import Encoder
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from extproc.rpc import frames
from extproc.rpc.call import Method
from extproc.rpc.connection import HIGH_WATER_BYTES, MOST_CALLS, REPLENISH_BYTES
from extproc.rpc.frames import PREFACE, frame
from extproc.rpc.status import CallError, Status
from tests.extproc.rpc.peer import ECHO, REQUEST, Peer, Transport, wrap

HEADERS = Encoder().encode(REQUEST)
OPEN = frames.END_HEADERS


async def test_our_settings_come_first_and_once_and_not_before_the_peer_speaks():
    peer = Peer(ECHO)

    async def kinds():
        await asyncio.sleep(0)
        return [each.kind for each in frames.split(peer.transport.take())[0]]

    assert await kinds() == []
    peer.connection.retire()
    assert await kinds() == [frames.SETTINGS, frames.WINDOW_UPDATE, frames.GOAWAY]
    peer.deliver(peer.client.data_to_send())
    assert await kinds() == [frames.SETTINGS], "for the peer's own, an acknowledgement"


async def test_calls_side_by_side():
    peer = Peer(ECHO)
    numbers = [peer.begin() for _ in range(5)]
    for number in reversed(numbers):
        peer.client.send_data(number, wrap(str(number).encode()), end_stream=True)
    await peer.turn()
    assert [peer.messages(n) for n in numbers] == [[str(n).encode()] for n in numbers]
    assert {peer.status(n) for n in numbers} == {Status.OK}
    assert not peer.resets
    assert not peer.connection.calls


async def all_ended(peer):
    while peer.connection.calls:  # noqa: ASYNC110 - a connection has no event for it
        await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_what_is_sent_in_one_turn_leaves_in_one_write():
    peer = Peer(ECHO)
    await peer.turn()
    for _ in range(8):
        peer.client.send_data(peer.begin(), wrap(b"x"), end_stream=True)
    peer.deliver(peer.client.data_to_send())
    await all_ended(peer)
    assert len(peer.transport.written) == 1


async def fail(_):
    raise CallError(Status.NOT_FOUND, "not here: é")


async def crash(_):
    raise ZeroDivisionError("secret")


async def leave(call):
    await call.read()


@pytest.mark.parametrize(
    ("serve", "status", "message"),
    [
        (fail, Status.NOT_FOUND, "not here: %C3%A9"),
        (crash, Status.INTERNAL, "internal error"),
        (leave, Status.OK, None),
    ],
)
async def test_how_a_call_ends(serve, status, message):
    peer = Peer({"/test/Echo": Method(serve, bytes, bytes)})
    number = peer.begin()
    peer.client.send_data(number, wrap(b"x"))
    await peer.turn()
    assert peer.status(number) == status
    assert peer.headers[number].get("grpc-message") == message
    assert peer.resets == {number: frames.NO_ERROR}, "the rest of the request is not needed"


async def test_a_method_that_is_not_there():
    peer = Peer(ECHO)
    other = [(name, "/other" if name == ":path" else value) for name, value in REQUEST]
    number = peer.begin(other, end=True)
    await peer.turn()
    assert peer.status(number) == Status.UNIMPLEMENTED


class Waiting:
    def __init__(self):
        self.cancelled = 0

    async def serve(self, call):
        try:
            await call.read()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


@pytest.mark.parametrize("message", [b"", wrap(b"x")])
async def test_a_call_that_is_reset_is_cancelled_wherever_it_waits(message):
    waiting = Waiting()
    peer = Peer({"/test/Echo": Method(waiting.serve, bytes, bytes)})
    number = peer.begin()
    peer.client.send_data(number, message)
    await peer.turn()
    peer.client.reset_stream(number, frames.CANCEL)
    await peer.turn()
    assert waiting.cancelled == 1
    assert peer.ended is None
    assert number not in peer.headers


async def test_data_for_a_call_that_has_ended_is_passed_over():
    """The peer sent it before it knew."""
    peer = Peer({"/test/Echo": Method(leave, bytes, bytes)})
    number = peer.begin()
    peer.client.send_data(number, wrap(b"x"))
    await peer.turn()
    peer.connection.data_received(frame(frames.DATA, 0, number, wrap(b"late")))
    peer.connection.data_received(frame(frames.WINDOW_UPDATE, 0, number, b"\0\0\0\1"))
    peer.connection.data_received(frame(frames.RST_STREAM, 0, number, b"\0\0\0\0"))
    await peer.turn()
    assert peer.ended is None


async def test_a_connection_that_is_lost_takes_its_calls_along():
    waiting = Waiting()
    peer = Peer({"/test/Echo": Method(waiting.serve, bytes, bytes)})
    for _ in range(3):
        peer.begin()
    await peer.turn()
    assert peer.everyone == {peer.connection}
    peer.connection.connection_lost(ConnectionResetError())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert waiting.cancelled == 3
    assert not peer.everyone
    assert peer.connection.lost.done()


async def test_no_more_calls_than_were_announced():
    peer = Peer({"/test/Echo": Method(leave, bytes, bytes)})
    await peer.turn()
    assert peer.client.remote_settings.max_concurrent_streams == MOST_CALLS
    hear = peer.connection.data_received
    numbers = range(1, 2 * MOST_CALLS + 5, 2)
    *open_ones, _, refused = numbers
    hear(b"".join(frame(frames.HEADERS, OPEN, number, HEADERS) for number in numbers))
    hear(frame(frames.DATA, frames.END_STREAM, refused, wrap(b"sent before it knew")))
    await asyncio.sleep(0)
    said = peer.transport.take()
    assert said == b"".join(frames.reset(n, frames.REFUSED_STREAM) for n in numbers[-2:])
    assert [*peer.connection.calls] == open_ones
    hear(frame(frames.RST_STREAM, 0, 1, bytes(4)))
    hear(frame(frames.HEADERS, OPEN, refused + 2, HEADERS))
    assert [*peer.connection.calls] == [*open_ones[1:], refused + 2]
    peer.transport.close()
    await peer.connection.lost
    assert not peer.connection.calls


class Unread(Transport):
    """Whose other end reads nothing."""

    def write(self, data):
        super().write(data)
        if sum(map(len, self.written)) > self.high:
            self.protocol.pause_writing()


RECEIVED_BYTES = 256 * 1024
"""What asyncio's loops read at once, or less."""
FLOODS = {
    "pings": frame(frames.PING, 0, 0, bytes(8)),
    "settings": frames.settings({}),
    "calls": frame(frames.HEADERS, OPEN | frames.END_STREAM, 0, HEADERS),
    "calls that are left": frame(frames.HEADERS, OPEN, 0, HEADERS)
    + frame(frames.RST_STREAM, 0, 0, bytes(4)),
    "resets of calls that are over": frame(frames.RST_STREAM, 0, 1, bytes(4)),
    "windows": frame(frames.WINDOW_UPDATE, 0, 1, bytes(3) + b"\1"),
}


def numbered(flood, first, count):
    """Repeat the frames for one call after the other, where they begin any."""
    if flood[3] != frames.HEADERS:
        return flood * count
    those, _ = frames.split(flood)
    return b"".join(
        frame(each.kind, each.flags, number, each.payload)
        for number in range(first, first + 2 * count, 2)
        for each in those
    )


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
async def test_who_does_not_read_is_not_read_either(flood):
    """Whatever it sends, what is kept for it does not grow."""
    peer = Peer(ECHO, transport=Unread())
    hear, transport = peer.connection.data_received, peer.transport
    hear(PREFACE + frames.settings({}) + frame(frames.HEADERS, OPEN | 1, 1, HEADERS))
    await all_ended(peer)
    count, first = RECEIVED_BYTES // len(flood), 3
    for _ in range(2 + HIGH_WATER_BYTES // RECEIVED_BYTES):
        if transport.reading:
            hear(numbered(flood, first, count))
            first += 2 * count
            await all_ended(peer)
    kept = sum(map(len, transport.written))
    assert kept <= HIGH_WATER_BYTES + 2 * RECEIVED_BYTES
    assert transport.reading == (kept <= HIGH_WATER_BYTES)
    assert not peer.connection.calls
    assert not peer.connection._outlet._parts
    assert not transport.closed
    transport.close()
    await peer.connection.lost


async def test_trailers_end_the_client_s_side():
    peer = Peer(ECHO)
    number = peer.begin()
    peer.client.send_data(number, wrap(b"x"))
    peer.client.send_headers(number, [("a", "b")], end_stream=True)
    await peer.turn()
    assert peer.messages(number) == [b"x"]
    assert peer.status(number) == Status.OK
    assert not peer.resets


async def test_headers_in_pieces():
    peer = Peer(ECHO)
    await peer.turn()
    block = Encoder().encode([*REQUEST, *[(f"x-{i}", "y" * 100) for i in range(300)]])
    pieces = [block[i : i + 9000] for i in range(0, len(block), 9000)]
    kinds = [frames.HEADERS, *[frames.CONTINUATION] * (len(pieces) - 1)]
    for kind, piece in zip(kinds, pieces, strict=True):
        end = frames.END_HEADERS if piece is pieces[-1] else 0
        peer.connection.data_received(frame(kind, end, 1, piece))
    await asyncio.sleep(0)
    assert 1 in peer.connection.calls


async def test_a_ping_is_answered_and_an_answer_is_not():
    peer = Peer(ECHO)
    await peer.turn()
    peer.connection.data_received(frame(frames.PING, frames.ACK, 0, b"12345678"))
    await asyncio.sleep(0)
    assert peer.transport.take() == b""
    peer.connection.data_received(frame(frames.PING, 0, 0, b"12345678"))
    await asyncio.sleep(0)
    assert peer.transport.take() == frame(frames.PING, frames.ACK, 0, b"12345678")


async def test_the_connection_s_window_is_given_back():
    """Calls have windows of their own; this one must only never run dry."""
    peer = Peer(ECHO)
    peer.begin()
    await peer.turn()
    piece = frame(frames.DATA, 0, 1, bytes(frames.FRAME_BYTES))
    pieces = REPLENISH_BYTES // frames.FRAME_BYTES
    peer.connection._received = (pieces - 1) * frames.FRAME_BYTES
    peer.connection.data_received(piece)
    await asyncio.sleep(0)
    sent, _ = frames.split(peer.transport.take())
    given = [f for f in sent if (f.kind, f.stream) == (frames.WINDOW_UPDATE, 0)]
    assert [frames.read_increment(f.payload) for f in given] == [REPLENISH_BYTES]


async def test_frames_of_other_kinds_are_passed_over():
    peer = Peer(ECHO)
    await peer.turn()
    for kind in (frames.PRIORITY, 99):
        peer.connection.data_received(frame(kind, 0xFF, 1, b"12345"))
    await peer.turn()
    assert peer.ended is None


def settings(name, value):
    return frames.settings({name: value})


BAD = {
    "HTTP/1": (b"GET / HTTP/1.1\r\n\r\n", frames.PROTOCOL_ERROR),
    "frame too large": (frames.head(0, 0, 1, 20_000), frames.FRAME_SIZE_ERROR),
    "data for nothing": (frame(frames.DATA, 0, 1, b"x"), frames.PROTOCOL_ERROR),
    "data for stream 0": (frame(frames.DATA, 0, 0, b"x"), frames.PROTOCOL_ERROR),
    "reset of nothing": (frame(frames.RST_STREAM, 0, 1, b"1234"), frames.PROTOCOL_ERROR),
    "even number": (frame(frames.HEADERS, OPEN, 2, HEADERS), frames.PROTOCOL_ERROR),
    "bad block": (frame(frames.HEADERS, OPEN, 1, b"\xff"), frames.COMPRESSION_ERROR),
    "no block": (frame(frames.HEADERS, OPEN, 1), frames.PROTOCOL_ERROR),
    "headers again": (
        frame(frames.HEADERS, OPEN, 1, HEADERS) + frame(frames.HEADERS, OPEN, 1, b"\x00\x01a\x01b"),
        frames.STREAM_CLOSED,
    ),
    "data after the end": (
        frame(frames.HEADERS, OPEN | frames.END_STREAM, 1, HEADERS)
        + frame(frames.DATA, 0, 1, b"x"),
        frames.STREAM_CLOSED,
    ),
    "continuation of nothing": (
        frame(frames.CONTINUATION, OPEN, 1, HEADERS),
        frames.PROTOCOL_ERROR,
    ),
    "continuation of another": (
        frame(frames.HEADERS, 0, 1, HEADERS) + frame(frames.CONTINUATION, OPEN, 3),
        frames.PROTOCOL_ERROR,
    ),
    "something in between": (
        frame(frames.HEADERS, 0, 1, HEADERS) + frame(frames.PING, 0, 0, bytes(8)),
        frames.PROTOCOL_ERROR,
    ),
    "a block without end": (
        frame(frames.HEADERS, 0, 1, HEADERS) + 5 * frame(frames.CONTINUATION, 0, 1, bytes(16_000)),
        frames.ENHANCE_YOUR_CALM,
    ),
    "tiny frames": (settings(frames.MAX_FRAME_SIZE, 1), frames.PROTOCOL_ERROR),
    "huge window": (settings(frames.INITIAL_WINDOW_SIZE, 2**31), frames.FLOW_CONTROL_ERROR),
    "push twice": (settings(frames.ENABLE_PUSH, 2), frames.PROTOCOL_ERROR),
    "odd settings": (frame(frames.SETTINGS, 0, 0, b"12345"), frames.FRAME_SIZE_ERROR),
    "ack that says": (
        frame(frames.SETTINGS, frames.ACK, 0, b"123456"),
        frames.FRAME_SIZE_ERROR,
    ),
    "window of nothing": (frame(frames.WINDOW_UPDATE, 0, 0, bytes(4)), frames.PROTOCOL_ERROR),
    "window over all": (
        2 * frame(frames.WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"),
        frames.FLOW_CONTROL_ERROR,
    ),
}


@pytest.mark.parametrize(("data", "code"), BAD.values(), ids=BAD)
async def test_who_breaks_the_protocol_is_told_and_left(data, code, caplog):
    peer = Peer(ECHO)
    start = b"" if data.startswith(b"GET") else PREFACE + frames.settings({})
    peer.connection.data_received(start + data)
    peer.hear(peer.transport.take())
    assert peer.ended == code
    assert peer.transport.closed
    await asyncio.sleep(0)
    assert not peer.connection.calls
    assert [record.message for record in caplog.records] == ["wire_fault"]


ANYTHING = st.lists(
    st.binary(max_size=40)
    | st.builds(
        frame,
        st.integers(0, 10),
        st.integers(0, 255),
        st.integers(0, 5),
        st.binary(max_size=20) | st.just(HEADERS) | st.just(wrap(b"x")) | st.just(bytes(8)),
    ),
    max_size=8,
)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ANYTHING)
def test_whatever_comes_is_answered_or_left(caplog, pieces):
    async def run():
        peer = Peer(ECHO)
        peer.connection.data_received(PREFACE)
        for piece in pieces:
            peer.connection.data_received(piece)
            await asyncio.sleep(0)
            if peer.transport.closed:
                break
        peer.transport.close()
        await asyncio.sleep(0)
        assert not peer.connection.calls

    asyncio.run(run())
    assert "stream_fault" not in [record.message for record in caplog.records]
    caplog.clear()


async def test_settings_count_for_calls_that_are_open():
    """A window that shrinks may become negative, and is paid back first (RFC 9113 6.9.2)."""
    peer = Peer({"/test/Echo": Method(Waiting().serve, bytes, bytes)})
    peer.begin()
    await peer.turn()
    (call,) = peer.connection.calls.values()
    call.window -= 1000
    peer.connection.data_received(settings(frames.INITIAL_WINDOW_SIZE, 500))
    assert call.window == -500
    peer.connection.data_received(settings(frames.MAX_FRAME_SIZE, 20_000))
    assert peer.connection._outlet.frame_bytes == 20_000


async def test_retiring_serves_what_is_on_its_way():
    peer = Peer(ECHO)
    await peer.turn()
    peer.client.send_data(peer.begin(), wrap(b"x"), end_stream=True)
    peer.connection.retire()
    peer.deliver(peer.client.data_to_send())
    await all_ended(peer)
    sent, _ = frames.split(peer.transport.take())
    assert sent[0].payload == b"\x7f\xff\xff\xff" + bytes(4), "no call is too late"
    kinds = [each.kind for each in sent]
    assert kinds == [frames.GOAWAY, frames.HEADERS, frames.DATA, frames.HEADERS]
    assert not peer.transport.closed
