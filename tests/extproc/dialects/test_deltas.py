"""Which texts an event goes on with, and which it ends."""

import json

import pytest

from extproc.dialects.deltas import Channel, Reading, read, write
from extproc.dialects.sse import Splitter
from extproc.request import Kind
from tests.extproc.chunking import FIXTURES


def chat(delta, index=0, **more):
    return {"id": "c", "choices": [{"index": index, "delta": delta, **more}]}


def call(**function):
    return {"tool_calls": [{"index": 2, "function": function}]}


READ = [
    (Kind.CHAT, chat({"content": "a"}), [(Channel(0, "content"), "a")], []),
    (Kind.CHAT, chat({"content": ""}, 1), [(Channel(1, "content"), "")], []),
    (Kind.CHAT, chat({"content": None, "refusal": "r"}), [(Channel(0, "refusal"), "r")], []),
    (Kind.CHAT, chat({"reasoning": "t"}), [(Channel(0, "reasoning"), "t")], []),
    (Kind.CHAT, chat({"reasoning_content": "t"}), [(Channel(0, "reasoning_content"), "t")], []),
    (Kind.CHAT, chat(call(arguments="{")), [(Channel(0, "arguments", 2), "{")], []),
    (Kind.CHAT, chat(call(name="f")), [], []),
    (
        Kind.CHAT,
        chat({"tool_calls": [{"custom": {"input": "x"}}]}),
        [(Channel(0, "input"), "x")],
        [],
    ),
    (
        Kind.CHAT,
        chat({"audio": {"id": "a", "data": "UklG", "transcript": "t"}}),
        [(Channel(0, "transcript"), "t")],
        [],
    ),
    (Kind.CHAT, chat({"audio": {"data": "UklG"}}), [], []),
    (
        Kind.CHAT,
        chat({"function_call": {"arguments": "{"}}),
        [(Channel(0, "function_call"), "{")],
        [],
    ),
    (
        Kind.CHAT,
        chat({"content": "a"}, 3, finish_reason="stop"),
        [(Channel(3, "content"), "a")],
        [3],
    ),
    (Kind.CHAT, chat({"content": [{"text": "a"}]}, finish_reason=None), [], []),
    (Kind.CHAT, {"choices": [], "usage": {}}, [], []),
    (Kind.CHAT, {"choices": None}, [], []),
    (Kind.CHAT, {"error": {"message": "x"}}, [], []),
    (
        Kind.COMPLETIONS,
        {"choices": [{"index": 1, "text": "a", "finish_reason": "length"}]},
        [(Channel(1, "text"), "a")],
        [1],
    ),
    (Kind.MESSAGES, {"type": "message_start", "message": {"content": []}}, [], []),
    (
        Kind.MESSAGES,
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": "a"}},
        [(Channel(1, "text"), "a")],
        [],
    ),
    (
        Kind.MESSAGES,
        {"type": "content_block_delta", "index": 1, "delta": {"thinking": "a"}},
        [(Channel(1, "thinking"), "a")],
        [],
    ),
    (
        Kind.MESSAGES,
        {"type": "content_block_delta", "index": 1, "delta": {"partial_json": "{"}},
        [(Channel(1, "partial_json"), "{")],
        [],
    ),
    (Kind.MESSAGES, {"type": "content_block_delta", "delta": {"signature": "s"}}, [], []),
    (Kind.MESSAGES, {"type": "content_block_stop", "index": 4}, [], [4]),
    (Kind.MESSAGES, {"type": "message_delta", "delta": {}}, [], None),
    (Kind.MESSAGES, {"type": "ping"}, [], []),
    (
        Kind.RESPONSES,
        {"type": "response.output_text.delta", "output_index": 1, "content_index": 2, "delta": "a"},
        [(Channel(1, "response.output_text", 2), "a")],
        [],
    ),
    (
        Kind.RESPONSES,
        {"type": "response.reasoning_summary_text.delta", "summary_index": 1, "delta": "a"},
        [(Channel(0, "response.reasoning_summary_text", 1), "a")],
        [],
    ),
    (Kind.RESPONSES, {"type": "response.x.delta", "delta": {"text": "a"}}, [], []),
    (Kind.RESPONSES, {"type": "response.output_text.done", "output_index": 1}, [], [1]),
    (Kind.RESPONSES, {"type": "response.completed"}, [], None),
    (Kind.RESPONSES, {"type": "response.created"}, [], []),
]


@pytest.mark.parametrize(("kind", "event", "pieces", "ends"), READ)
def test_events(kind, event, pieces, ends):
    reading = read(kind, event)
    assert [(piece.channel, piece.text) for piece in reading.pieces] == pieces
    assert reading.ends == (None if ends is None else frozenset(ends))
    for piece in reading.pieces:
        found = event
        for step in piece.place:
            found = found[step]
        assert found == piece.text


@pytest.mark.parametrize(
    ("kind", "channel", "like"),
    [
        (Kind.CHAT, Channel(1, "content"), {"id": "c", "usage": {}}),
        (Kind.CHAT, Channel(0, "arguments", 2), {}),
        (Kind.CHAT, Channel(0, "input", 2), {}),
        (Kind.CHAT, Channel(0, "function_call"), {}),
        (Kind.CHAT, Channel(0, "transcript"), {}),
        (Kind.COMPLETIONS, Channel(1, "text"), {"id": "c"}),
        (Kind.MESSAGES, Channel(3, "thinking"), {}),
        (Kind.MESSAGES, Channel(3, "partial_json"), {}),
        (
            Kind.RESPONSES,
            Channel(1, "response.output_text", 2),
            {
                "type": "response.output_text.delta",
                "output_index": 1,
                "content_index": 2,
                "logprobs": [1],
            },
        ),
    ],
)
@pytest.mark.parametrize("text", ['a"\n', "\ud800"])
def test_what_is_written_is_read(kind, channel, like, text):
    (event,) = Splitter().feed(write(kind, channel, like, text))
    document = json.loads(event.data)
    assert [(piece.channel, piece.text) for piece in read(kind, document).pieces] == [
        (channel, text)
    ]
    assert "usage" not in document
    assert document.get("logprobs") in (None, [])
    if "type" in document:
        assert event.raw.startswith(f"event: {document['type']}\n".encode())


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Kind.CHAT, "chat"),
        (Kind.CHAT, "chat_n2"),
        (Kind.COMPLETIONS, "completions"),
        (Kind.MESSAGES, "messages"),
        (Kind.RESPONSES, "responses"),
    ],
)
def test_a_recorded_stream_says_what_the_same_answer_in_json_does(kind, name):
    """Greedy and seeded: both were recorded of the same request."""
    stem, _, more = name.partition("_")
    stream = (FIXTURES / f"{stem}_stream{'_' + more if more else ''}.body").read_bytes()
    texts = {}
    for event in Splitter().feed(stream):
        if event.data.startswith(b"{"):
            for piece in read(kind, json.loads(event.data)).pieces:
                texts[piece.channel] = texts.get(piece.channel, "") + piece.text
    whole = (FIXTURES / f"{name}.body").read_text()
    assert texts
    assert all(json.dumps(text, ensure_ascii=False)[1:-1] in whole for text in texts.values())


def test_a_reading_knows_what_it_ends():
    assert Reading(ends=None).ends_with(Channel(5, "x"))
    assert Reading(ends=frozenset({1})).ends_with(Channel(1, "x"))
    assert not Reading().ends_with(Channel(0, "x"))
    assert Channel(0, "arguments").is_json
    assert not Channel(0, "content").is_json
