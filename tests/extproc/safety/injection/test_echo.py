"""What engines repeat of the instructions."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.dialects.sse import BOM
from extproc.safety.injection.echo import Unechoed

SENT = 'Say "ah".'
GOT = f"Be secret.\n\n{SENT}\n\nmark"


def response(instructions, text="ah"):
    message = {"type": "message", "content": [{"type": "output_text", "text": text}]}
    return {"id": "r", "instructions": instructions, "output": [message], "usage": {"n": 1}}


def whole(instructions):
    return json.dumps(response(instructions)).encode()


def stream(instructions):
    events = [
        {"type": "response.created", "response": response(instructions)},
        {"type": "response.output_text.delta", "delta": f'"instructions": "{GOT}"'},
        {
            "type": "response.completed",
            "response": response(instructions, f'"instructions": "{GOT}"'),
        },
    ]
    return b"".join(f"event: x\ndata: {json.dumps(each)}\n\n".encode() for each in events)


@given(st.sampled_from([whole, stream]), st.lists(st.integers(1, 90), max_size=20))
def test_the_clients_own_stand_there_and_nothing_else_changes(write, sizes):
    unechoed, raw, out = Unechoed(SENT), write(GOT), b""
    for size in sizes:
        out += unechoed.feed(raw[:size])
        raw = raw[size:]
    out += unechoed.feed(raw)
    assert out + unechoed.finish() == write(SENT)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" \n",
        b'{"instructions": null, "output": []}',
        b'{"metadata": {"instructions": "mine"}, "tools": [{"instructions": "x"}]}',
        b'data: {"response": {"instructions": null}}\n\ndata: [DONE]\n\n: ping\n\n',
        b'{"error": {"message": "torn',
        b"data: torn",
    ],
)
def test_what_repeats_nothing_passes_as_it_is(raw):
    unechoed = Unechoed(SENT)
    assert unechoed.feed(raw) + unechoed.finish() == raw


@pytest.mark.parametrize("write", [whole, stream])
@pytest.mark.parametrize("size", [1, 4, 5000])
def test_after_a_byte_order_mark(write, size):
    unechoed, raw, out = Unechoed(SENT), b"\n" + BOM + write(GOT), b""
    for at in range(0, len(raw), size):
        out += unechoed.feed(raw[at : at + size])
    assert out + unechoed.finish() == write(SENT)
