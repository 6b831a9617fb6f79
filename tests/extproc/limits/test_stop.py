"""Streams that outrun their limits."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.dialects.ending import ending
from extproc.limits.stop import AHEAD_TOKENS, SLICE_TOKENS, Stop
from extproc.request import Kind
from tests.extproc.chunking import FIXTURES, chunked

STREAM = (FIXTURES / "chat_stream_100_continuous.body").read_bytes()


def events(count, step=1):
    """A chat stream of that many tokens, `step` in each event."""
    for tokens in range(step, count + 1, step):
        usage = {"prompt_tokens": 5, "completion_tokens": tokens}
        choice = {"index": 0, "delta": {"content": "x"}, "finish_reason": None}
        yield (
            b"data: "
            + json.dumps({"id": "c", "choices": [choice], "usage": usage}).encode()
            + b"\n\n"
        )
    yield b"data: [DONE]\n\n"


class Purse:
    """Has so many tokens; keeps what was asked for."""

    def __init__(self, tokens):
        self.tokens, self.asked = tokens, []

    async def __call__(self, tokens):
        self.asked.append(tokens)
        if tokens > self.tokens:
            return "month"
        self.tokens -= tokens
        return ""


async def play(chunks, allowed, most, purse=None):
    stop = Stop(ending(Kind.CHAT, 5), allowed, most, purse or Purse(0))
    out = b""
    for chunk in chunks:
        out += stop.feed(chunk)
        while stop.waits:
            await stop.wait()
            out += stop.feed(b"")
        if stop.over:
            break
    return out + stop.finish(), stop


def delivered(out):
    return sum('"content": "x"' in line for line in out.decode().splitlines())


def last_usage(out):
    documents = [line[6:] for line in out.decode().splitlines() if line.startswith("data: {")]
    return json.loads(documents[-1])["usage"]["completion_tokens"]


async def test_a_stream_within_its_reservation_is_not_touched():
    purse = Purse(0)
    out, stop = await play(events(50), 50, 50, purse)
    assert out == b"".join(events(50))
    assert (stop.over, purse.asked) == (False, []), "all of it was reserved: nothing to ask for"


async def test_a_stream_that_outruns_a_limit_ends_politely_and_says_what_was_delivered():
    out, stop = await play(events(500), 50, 500)
    assert stop.over
    assert delivered(out) == last_usage(out) == 50
    assert b'"finish_reason":"length"' in out
    assert b'"stopped_by":"month"' in out
    assert out.endswith(b"data: [DONE]\n\n")


async def test_spaces_before_an_object_hide_no_tokens():
    raw = b"".join(events(10)).replace(b"data: ", b"data:  ")
    _, stop = await play([raw], allowed=5, most=10)
    assert stop.over


async def test_slices_are_reserved_before_they_are_needed():
    purse = Purse(10_000)
    out, stop = await play(events(1000), 100, 1000, purse)
    assert not stop.over
    assert delivered(out) == 1000
    assert sum(purse.asked) == 900
    assert max(purse.asked) == SLICE_TOKENS


async def test_what_is_left_is_used_to_the_last_slice():
    purse = Purse(SLICE_TOKENS)
    out, _ = await play(events(2000), 200, 2000, purse)
    assert delivered(out) == last_usage(out) == 200 + SLICE_TOKENS
    assert purse.asked == [SLICE_TOKENS, SLICE_TOKENS], "a refusal is final"


async def test_what_only_seems_longer_than_it_may_be_is_reserved_and_not_cut():
    """No limit refuses, and the engine minds `max_tokens` itself: words are longer than tokens here."""
    delta = {"type": "text_delta", "text": " internationalization"}
    event = json.dumps({"type": "content_block_delta", "index": 0, "delta": delta}).encode()
    purse = Purse(1000)
    stop = Stop(ending(Kind.MESSAGES, 5), 5, 5, purse)
    out = b""
    for _ in range(5):
        out += stop.feed(b"data: " + event + b"\n\n")
        while stop.waits:
            await stop.wait()
            out += stop.feed(b"")
    assert (out.count(event), stop.over, purse.asked) == (5, False, [SLICE_TOKENS])


async def test_an_event_of_many_tokens_is_not_sent_beyond_the_limit():
    out, _ = await play(events(400, step=16), 50, 400)
    assert last_usage(out) == 48


async def test_what_is_no_event_passes():
    body = b'{"id":"x","choices":[],"usage":{"completion_tokens":99999}}'
    assert (await play([body], 5, 10))[0] == body
    odd = b": ping\n\ndata: {not json\n\nevent: error\n\n"
    assert (await play([odd], 5, 10))[0] == odd


@given(st.data(), st.integers(1, 99))
async def test_whatever_the_chunks_the_end_is_the_same(data, allowed):
    whole, _ = await play([STREAM], allowed, 100)
    out, _ = await play(data.draw(chunked(STREAM)), allowed, 100)
    assert out == whole
    assert allowed - 1 <= last_usage(out) <= allowed, "some events bring two tokens"


@pytest.mark.parametrize("allowed", [0, -3])
async def test_without_any_allowance_nothing_is_delivered(allowed):
    out, stop = await play(events(10), allowed, 10)
    assert stop.over
    assert delivered(out) == 0
    assert AHEAD_TOKENS > 0
