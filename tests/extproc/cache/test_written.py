"""A kept answer in the words of its API."""

import json

import pytest

from extproc.cache.written import Form, content_type, cut, write
from extproc.request import Kind
from tests.extproc.cache.answers import KINDS, answer, body

LONG = "A long answer. " * 60


def events(raw):
    lines = [line[6:] for line in raw.decode().split("\n") if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


@pytest.mark.parametrize("text", ["", "x", LONG, "中文" * 300])
def test_a_text_is_cut_in_a_few_pieces(text):
    pieces = cut(text)
    assert "".join(pieces) == text
    assert len(pieces) <= 8


def test_usage_is_told_in_a_stream_only_to_who_asked():
    for wants, last in (
        (True, {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}),
        (False, None),
    ):
        raw = write(answer(), Form("k", 7, stream=True, wants_usage=wants))
        assert raw.endswith(b"data: [DONE]\n\n")
        assert events(raw)[-1].get("usage") == last


def test_a_chat_begins_with_its_role_and_ends_with_its_reason():
    told = events(body(text=LONG, stream=True))
    assert told[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert told[-2]["choices"][0]["finish_reason"] == "stop"
    assert {each["id"] for each in told} == {"chatcmpl-k"}
    assert {each["object"] for each in told} == {"chat.completion.chunk"}


def test_responses_are_numbered():
    told = events(body(Kind.RESPONSES, LONG, stream=True))
    assert [each["sequence_number"] for each in told] == list(range(len(told)))
    assert told[-1]["response"]["output"][0]["content"][0]["text"] == LONG


def test_messages_come_in_the_order_of_anthropic():
    told = [each["type"] for each in events(body(Kind.MESSAGES, "hi", stream=True))]
    assert told == [
        "message_start", "content_block_start", "content_block_delta", "content_block_stop",
        "message_delta", "message_stop",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_each_has_an_id_of_its_own(kind):
    ids = {json.loads(write(answer(kind), Form(key, 7)))["id"] for key in "ab"}
    assert len(ids) == 2


def test_types():
    assert content_type(Form("k", 0)) == "application/json"
    assert content_type(Form("k", 0, stream=True)).startswith("text/event-stream")
