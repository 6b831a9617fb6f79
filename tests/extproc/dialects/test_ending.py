"""Streams that are ended early, in the words of each API."""

import json

import pytest

from extproc.dialects.ending import ending
from extproc.dialects.sse import Splitter
from extproc.request import Kind
from tests.extproc.chunking import FIXTURES

RECORDED = {
    "chat_stream_100_continuous": Kind.CHAT,
    "chat_stream_n2_continuous": Kind.CHAT,
    "completions_stream_100_continuous": Kind.COMPLETIONS,
    "messages_stream": Kind.MESSAGES,
    "responses_stream": Kind.RESPONSES,
}


def documents(name):
    splitter = Splitter()
    raw = (FIXTURES / f"{name}.body").read_bytes()
    events = [*splitter.feed(raw), *splitter.finish()]
    return [json.loads(event.data) for event in events if event.data.startswith(b"{")]


def closing(text):
    """The events of an end: (event name, document or text)."""
    splitter = Splitter()
    events = [event.data.decode() for event in (*splitter.feed(text), *splitter.finish())]
    return [json.loads(data) if data.startswith("{") else data for data in events]


@pytest.mark.parametrize(("name", "kind"), RECORDED.items())
def test_a_whole_stream_is_counted_as_its_engine_counts(name, kind):
    end = ending(kind, 16)
    found = documents(name)
    told = []
    for document in found:
        weighed = end.weigh(document)
        end.note(document)
        assert end.tokens == weighed
        told.append(document.get("usage") or document.get("response", {}).get("usage"))
    said = [usage for usage in told if usage][-1]
    assert end.tokens == said.get("completion_tokens", said.get("output_tokens"))
    assert end.prompt_tokens == said.get("prompt_tokens", said.get("input_tokens"))


def test_a_chat_ends_with_length_usage_and_done():
    end = ending(Kind.CHAT, 0)
    found = documents("chat_stream_100_continuous")
    for document in found[:6]:
        end.note(document)
    last, usage, done = closing(end.close("month"))
    assert last["choices"] == [
        {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length"}
    ]
    assert last["x_headgate"] == {"stopped_by": "month"}
    same = ("id", "object", "created", "model")
    assert [last[name] for name in same] == [found[0][name] for name in same]
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == found[5]["usage"]["completion_tokens"] == 5
    assert usage["usage"]["prompt_tokens"] == found[0]["usage"]["prompt_tokens"]
    assert done == "[DONE]"


def test_every_choice_that_is_open_is_ended_and_all_are_counted():
    end = ending(Kind.CHAT, 0)
    for index, tokens in ((0, 1), (1, 3), (2, 2)):
        choice = {"index": index, "delta": {"content": "x"}, "finish_reason": None}
        end.note({"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": tokens}})
    over = {"index": 1, "delta": {}, "finish_reason": "stop"}
    end.note({"choices": [over], "usage": {"prompt_tokens": 7, "completion_tokens": 3}})
    last, usage, _ = closing(end.close("l"))
    assert [choice["index"] for choice in last["choices"]] == [0, 2]
    assert usage["usage"] == {"prompt_tokens": 7, "completion_tokens": 6, "total_tokens": 13}


def test_without_running_counts_an_event_with_text_is_a_token():
    end = ending(Kind.COMPLETIONS, 9)
    for text in ("a", "b", ""):
        end.note({"choices": [{"index": 0, "text": text, "finish_reason": None}]})
    last, usage, _ = closing(end.close("l"))
    assert last["choices"][0]["text"] == ""
    assert usage["usage"] == {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}


def test_a_message_ends_with_its_block_closed():
    end = ending(Kind.MESSAGES, 0)
    for document in documents("messages_stream")[:3]:
        end.note(document)
    stop, delta, over = closing(end.close("l"))
    assert stop == {"type": "content_block_stop", "index": 0}
    assert delta["delta"] == {"stop_reason": "max_tokens", "stop_sequence": None}
    assert delta["usage"] == {"input_tokens": 16, "output_tokens": end.tokens}
    assert over == {"type": "message_stop"}
    assert end.close("l").startswith(b"event: content_block_stop\n")


def test_between_blocks_there_is_nothing_to_close():
    end = ending(Kind.MESSAGES, 0)
    for document in documents("messages_stream")[:4]:
        end.note(document)
    assert [event["type"] for event in closing(end.close("l"))] == ["message_delta", "message_stop"]


def test_a_response_ends_incomplete_with_what_was_said():
    end = ending(Kind.RESPONSES, 16)
    found = documents("responses_stream")
    for document in found[:7]:
        end.note(document)
    (last,) = closing(end.close("l"))
    assert (last["type"], last["sequence_number"]) == ("response.incomplete", 7)
    response = last["response"]
    assert (response["id"], response["status"]) == (found[0]["response"]["id"], "incomplete")
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["output"][0]["content"][0]["text"] == " respon kitchen 266"
    assert (response["usage"]["input_tokens"], response["usage"]["output_tokens"]) == (16, 3)


@pytest.mark.parametrize("kind", [Kind.CHAT, Kind.MESSAGES, Kind.RESPONSES])
@pytest.mark.parametrize(
    "odd",
    [
        {}, {"choices": None}, {"choices": [None, 3, {"index": "x"}]}, {"usage": []},
        {"usage": {"completion_tokens": -5, "output_tokens": True}}, {"type": 7},
        {"type": "response.output_text.delta", "delta": {"a": 1}, "output_index": -1},
        {"type": "content_block_delta", "delta": {"text": 5}}, {"response": 3},
    ],
)  # fmt: skip
def test_what_makes_no_sense_counts_little_and_breaks_nothing(kind, odd):
    end = ending(kind, 3)
    assert end.weigh(odd) <= 2
    end.note(odd)
    assert closing(end.close("l"))


@pytest.mark.parametrize(("name", "kind"), RECORDED.items())
def test_what_a_rule_ends_is_told_from_what_was_too_long(name, kind):
    end = ending(kind, 16)
    for document in documents(name)[:7]:
        end.note(document)
    said = {by_rule: end.close("x", by_rule=by_rule).decode() for by_rule in (True, False)}
    lengths, filters = ("length", "max_tokens", "max_output_tokens"), ("content_filter", "refusal")
    assert any(f':"{word}"' in said[True] for word in filters)
    assert not any(f':"{word}"' in said[True] for word in lengths)
    assert any(f':"{word}"' in said[False] for word in lengths)
    assert not any(f':"{word}"' in said[False] for word in filters)
