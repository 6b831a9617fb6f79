"""A client of somebody else's making (`h2`), and a transport that leaves out the sockets."""

import asyncio
from itertools import cycle

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    ResponseReceived,
    StreamReset,
    TrailersReceived,
)

from extproc.rpc.call import Method
from extproc.rpc.connection import Connection
from extproc.rpc.messages import PREFIX

MOST = 1 << 24
REQUEST = [
    *[(":method", "POST"), (":scheme", "http"), (":path", "/test/Echo"), (":authority", "w")],
    *[("te", "trailers"), ("content-type", "application/grpc")],
]


class Transport:
    """Keeps what is written."""

    def __init__(self):
        self.written = []
        self.protocol = None
        self.closed = False
        self.reading = True

    def set_write_buffer_limits(self, high):
        self.high = high

    def write(self, data):
        self.written.append(data)

    def is_closing(self):
        return self.closed

    def pause_reading(self):
        self.reading = False

    def resume_reading(self):
        self.reading = True

    def close(self):
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close

    def take(self):
        data, self.written = b"".join(self.written), []
        return data


class Peer:
    """One connection with a client at its other end. `cuts` are the sizes in which bytes arrive."""

    def __init__(self, methods, cuts=(1 << 30,), reads=True, transport=None):
        self.everyone = set()
        self.connection = Connection(methods, MOST, self.everyone)
        self.transport = transport or Transport()
        self.transport.protocol = self.connection
        self.connection.connection_made(self.transport)
        self.client = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.client.initiate_connection()
        self.cuts = cycle(cuts)
        self.reads = reads
        self.data, self.headers, self.resets = {}, {}, {}
        self.ended = None

    async def turn(self, times=6):
        """Carry bytes both ways until nobody has any more to say."""
        for _ in range(times):
            self.deliver(self.client.data_to_send())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            self.hear(self.transport.take())

    def deliver(self, data):
        while data:
            size = next(self.cuts)
            piece, data = data[:size], data[size:]
            self.connection.data_received(piece)

    def hear(self, data):
        if not data:
            return
        for event in self.client.receive_data(data):
            match event:
                case DataReceived():
                    self.data.setdefault(event.stream_id, bytearray()).extend(event.data)
                    if self.reads:
                        size = event.flow_controlled_length
                        self.client.acknowledge_received_data(size, event.stream_id)
                case ResponseReceived() | TrailersReceived():
                    self.headers.setdefault(event.stream_id, {}).update(dict(event.headers))
                case StreamReset():
                    self.resets[event.stream_id] = event.error_code
                case ConnectionTerminated():
                    self.ended = event.error_code

    def begin(self, headers=REQUEST, end=False):
        number = self.client.get_next_available_stream_id()
        self.client.send_headers(number, headers, end_stream=end)
        return number

    def status(self, number):
        said = self.headers.get(number, {}).get("grpc-status")
        return None if said is None else int(said)

    def messages(self, number):
        return cut(bytes(self.data.get(number, b"")))


async def echo(call):
    async for message in call:
        await call.write(message)


ECHO = {"/test/Echo": Method(echo, bytes, bytes)}


def wrap(message):
    return PREFIX.pack(0, len(message)) + message


def cut(data):
    messages = []
    while data:
        _, size = PREFIX.unpack_from(data)
        messages.append(data[PREFIX.size : PREFIX.size + size])
        assert len(messages[-1]) == size
        data = data[PREFIX.size + size :]
    return messages
