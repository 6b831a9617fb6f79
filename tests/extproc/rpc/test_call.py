"""One call: windows in both directions. `h2` holds the other end."""

import asyncio

import pytest
from h2.settings import SettingCodes
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.rpc import frames
from extproc.rpc.call import WINDOW_BYTES, Method, widened
from extproc.rpc.frames import WINDOW_MOST, PeerError
from extproc.rpc.messages import PREFIX
from extproc.rpc.status import Status
from tests.extproc.rpc.peer import ECHO, MOST, Peer, wrap


def send(peer, number, data, end=False):
    """In frames, as far as the window reaches; return what is left."""
    client = peer.client
    while data:
        size = min(client.local_flow_control_window(number), client.max_outbound_frame_size)
        if size <= 0:
            break
        piece, data = data[:size], data[size:]
        client.send_data(number, piece)
    if end and not data:
        client.end_stream(number)
    return data


SMALL = st.tuples(st.integers(0, 60), st.integers(1, 30), st.integers(20, 100))
LARGE = st.tuples(st.integers(0, 90_000), st.integers(700, 40_000), st.integers(4_000, 100_000))


@settings(max_examples=40, deadline=None)
@given(st.lists(SMALL, min_size=1, max_size=4) | st.lists(LARGE, min_size=1, max_size=4))
def test_what_comes_goes_back_whatever_the_cuts_and_windows(drawn):
    async def run():
        sizes, cuts, (window, *_) = zip(*drawn, strict=True)
        peer = Peer(ECHO, cuts)
        peer.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: window})
        number = peer.begin()
        sent = [bytes([i + 1]) * size for i, size in enumerate(sizes)]
        rest = send(peer, number, b"".join(map(wrap, sent)), end=True)
        for _ in range(500):
            await peer.turn(1)
            rest = send(peer, number, rest, end=True) if rest else rest
            if number in peer.headers and peer.status(number) is not None:
                break
        assert peer.messages(number) == sent
        assert peer.status(number) == Status.OK
        assert not peer.connection.calls

    asyncio.run(run())


async def test_a_peer_that_does_not_read_is_not_written_to():
    """Its window is all that may be on the way; what is written waits, and so does its method."""
    peer = Peer(ECHO, reads=False)
    await peer.turn()
    number = peer.begin()
    send(peer, number, wrap(b"x" * 60_000) + wrap(b"y" * 60_000), end=True)
    await peer.turn()
    assert len(peer.data[number]) == 65_535
    assert peer.status(number) is None
    peer.client.acknowledge_received_data(65_535, number)
    await peer.turn()
    assert peer.messages(number) == [b"x" * 60_000, b"y" * 60_000]
    assert peer.status(number) == Status.OK


async def test_a_transport_that_is_full_is_waited_for():
    peer = Peer(ECHO)
    number = peer.begin()
    peer.connection.pause_writing()
    send(peer, number, wrap(b"x"))
    await peer.turn()
    assert number not in peer.data
    assert not peer.transport.reading
    peer.connection.resume_writing()
    await peer.turn()
    assert peer.messages(number) == [b"x"]
    assert peer.transport.reading


class Slow:
    """Reads one message for each `step`."""

    def __init__(self):
        self.steps = asyncio.Semaphore(0)
        self.read = []

    async def serve(self, call):
        while True:
            await self.steps.acquire()
            self.read.append(await call.read())


async def test_what_nobody_reads_is_bounded_by_the_window():
    slow = Slow()
    peer = Peer({"/test/Echo": Method(slow.serve, bytes, bytes)})
    await peer.turn()
    number = peer.begin()
    message = wrap(b"x" * 100_000)
    rest = message * 20
    for _ in range(50):
        rest = send(peer, number, rest)
        await peer.turn(1)
    assert len(message) * 20 - len(rest) == WINDOW_BYTES
    for _ in range(20):
        slow.steps.release()
        for _ in range(5):
            await peer.turn(1)
            rest = send(peer, number, rest)
    assert not rest
    assert len(slow.read) == 20


async def test_a_message_larger_than_the_window_arrives():
    peer = Peer(ECHO)
    number = peer.begin()
    message = b"z" * (3 * WINDOW_BYTES)
    rest = wrap(message)
    while rest or number not in peer.data or len(peer.data[number]) < len(message):
        rest = send(peer, number, rest)
        await peer.turn(1)
    assert peer.messages(number) == [message]


async def test_more_than_the_window_ends_the_connection():
    peer = Peer({"/test/Echo": Method(Slow().serve, bytes, bytes)})
    number = peer.begin()
    await peer.turn()
    piece = frames.frame(frames.DATA, 0, number, bytes(frames.FRAME_BYTES))
    for _ in range(WINDOW_BYTES // frames.FRAME_BYTES + 1):
        peer.connection.data_received(piece)
    await peer.turn()
    assert peer.ended == frames.FLOW_CONTROL_ERROR


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (PREFIX.pack(0, MOST + 1), Status.RESOURCE_EXHAUSTED),
        (PREFIX.pack(1, 3) + b"abc", Status.UNIMPLEMENTED),
    ],
)
async def test_what_is_no_message_ends_the_call_after_those_before_it(data, status):
    peer = Peer(ECHO)
    number = peer.begin()
    send(peer, number, wrap(b"good") + data + b"more of it")
    await peer.turn()
    assert peer.messages(number) == [b"good"]
    assert peer.status(number) == status
    assert peer.resets == {number: frames.NO_ERROR}


async def test_an_end_in_the_middle_of_a_message_is_an_end():
    peer = Peer(ECHO)
    number = peer.begin()
    send(peer, number, wrap(b"half a message")[:-3], end=True)
    await peer.turn()
    assert peer.messages(number) == []
    assert peer.status(number) == Status.OK


def test_a_window_has_an_end():
    assert widened(WINDOW_MOST - 1, 1) == WINDOW_MOST
    with pytest.raises(PeerError):
        widened(WINDOW_MOST, 1)


class Careful:
    """Reads to the end, and says what it has read; `gate` lets it."""

    def __init__(self):
        self.gate = asyncio.Event()
        self.read = []

    async def serve(self, call):
        await self.gate.wait()
        self.read += [message async for message in call]
        self.read.append("end")
        await call.write(b"thanks")


async def careful(hears_out):
    method = Careful()
    peer = Peer({"/test/Echo": Method(method.serve, bytes, bytes, hears_out)})
    await peer.turn()
    return method, peer, peer.begin()


TOLD = wrap(b"1") + wrap(b"2") + wrap(b"half")[:-1]


async def leave(peer, number, how):
    if how == "reset":
        peer.client.reset_stream(number)
        await peer.turn()
    else:
        peer.connection.connection_lost(None)


@pytest.mark.parametrize("how", ["reset", "lost"])
async def test_a_peer_that_has_gone_is_heard_out(how):
    """Also by one that has not begun to listen: all of it may come at once, behind a pause."""
    method, peer, number = await careful(hears_out=True)
    send(peer, number, TOLD)
    await peer.turn()
    await leave(peer, number, how)
    assert peer.connection.calls
    method.gate.set()
    await peer.turn()
    assert method.read == [b"1", b"2", "end"]
    assert not peer.connection.calls
    assert (peer.connection in peer.everyone) == (how == "reset"), "a drain waits that long"
    assert number not in peer.data


@pytest.mark.parametrize("how", ["reset", "lost"])
async def test_what_has_come_in_the_moment_of_going_is_heard_too(how):
    """The call has not even begun when it is given up."""
    method, peer, number = await careful(hears_out=True)
    method.gate.set()
    send(peer, number, TOLD)
    if how == "reset":
        peer.client.reset_stream(number)
    peer.deliver(peer.client.data_to_send())
    if how == "lost":
        peer.connection.connection_lost(None)
    await peer.turn()
    assert method.read == [b"1", b"2", "end"]


@pytest.mark.parametrize("how", ["reset", "lost"])
async def test_others_are_cancelled(how):
    method, peer, number = await careful(hears_out=False)
    send(peer, number, TOLD)
    await peer.turn()
    await leave(peer, number, how)
    assert not peer.connection.calls
    method.gate.set()
    await peer.turn()
    assert method.read == []


class Hasty(Careful):
    """Wants no more than what has come."""

    async def serve(self, call):
        await self.gate.wait()
        call.end()
        await super().serve(call)


async def test_what_comes_behind_the_end_that_we_make_is_no_fault():
    method = Hasty()
    peer = Peer({"/test/Echo": Method(method.serve, bytes, bytes)})
    await peer.turn()
    number = peer.begin()
    send(peer, number, TOLD)
    await peer.turn()
    method.gate.set()
    await peer.turn()
    assert method.read == [b"1", b"2", "end"]
    assert peer.messages(number) == [b"thanks"]
    assert peer.status(number) == Status.OK
    assert peer.connection in peer.everyone
