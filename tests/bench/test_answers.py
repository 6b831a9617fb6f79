from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.answers import AnswerReader, BadAnswerError

PLAIN = b'HTTP/1.1 200 OK\r\ncontent-length: 16\r\nserver: x\r\n\r\n{"data: 1":"\\n"}'
EMPTY = b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n"
REFUSED = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy"
EVENTS = (b'data: {"n":0}\n\n', b'data: {"n":1}\n\n', b"data: [DONE]\n\n")
STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    + b"".join(b"%x\r\n%s\r\n" % (len(event), event) for event in EVENTS)
    + b"0\r\n\r\n"
)
ANSWERS = (PLAIN, REFUSED, STREAM, EMPTY, STREAM)
"""As they follow each other on one connection; the next only comes when one has ended."""


def cut(data, places):
    edges = [0, *sorted(places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@given(st.data())
def test_answers_end_where_they_end_however_they_are_cut(data):
    reader = AnswerReader()
    seen = []
    for answer in ANSWERS:
        places = data.draw(st.sets(st.integers(1, len(answer) - 1)))
        *before, last = cut(answer, places)
        assert not any(reader.feed(piece) for piece in before)
        assert reader.feed(last)
        seen.append(reader.status)
    assert seen == [200, 503, 200, 204, 200]
    assert reader.events == 2 * len(EVENTS)


@pytest.mark.parametrize("answer", ANSWERS)
def test_byte_by_byte(answer):
    reader = AnswerReader()
    assert [reader.feed(bytes([byte])) for byte in answer].index(True) == len(answer) - 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not an HTTP/1.1 answer"),
        (b"HTTP/1.1 abc\r\n\r\n", "not an HTTP/1.1 answer"),
        (EMPTY + b"surplus", "longer than its content-length"),
    ],
)
def test_what_envoy_would_not_send_is_refused(data, message):
    with pytest.raises(BadAnswerError, match=message):
        AnswerReader().feed(data)
