"""What is counted of each body: every case by hand."""

import msgspec
import pytest

from engines.sim import schema
from engines.sim.tokens import count
from engines.sim.turns import chat_text, json_text, message_text, response_text

TURN, END = 2, 1
"""Tokens around the text of a turn, and at the end of a prompt."""


def response(**members):
    return count(response_text(msgspec.convert({"model": "m", **members}, schema.ResponsesBody)))


def message(content, **members):
    body = {"messages": [{"role": "user", "content": content}], **members}
    return count(
        message_text(msgspec.json.decode(msgspec.json.encode(body), type=schema.CountBody))
    )


def read(text, shape):
    return msgspec.json.decode(text, type=shape)


@pytest.mark.parametrize(
    ("members", "tokens"),
    [
        ({"input": "one two"}, TURN + 2 + END),
        ({"input": [{"role": "user", "content": "one two"}]}, TURN + 2 + END),
        ({"input": "one", "instructions": "be brief"}, 2 * TURN + 3 + END),
        ({"input": "one", "instructions": ""}, TURN + 1 + END),
        (
            {
                "input": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "input_text", "text": "one"},
                            {"type": "input_image", "image_url": "https://h/i"},
                        ],
                    }
                ]
            },
            TURN + 2 + END,
        ),
        ({"input": [{"type": "function_call", "arguments": "{}"}]}, TURN + 2 + END),
    ],
)
def test_a_response(members, tokens):
    assert response(**members) == tokens


def test_a_responses_tools_and_outputs_count_as_their_text():
    raw = b'{"input":[{"type":"function_call_output","output":"4"}],"tools":[1]}'
    text = response_text(read(raw, schema.ResponsesBody))
    assert text == '<|tools|>[1]<|end|><|function_call_output|>"4"<|end|><|assistant|>'


@pytest.mark.parametrize(
    ("content", "members", "tokens"),
    [
        ("one two", {}, TURN + 2 + END),
        ([{"type": "text", "text": "one two"}], {}, TURN + 2 + END),
        ("one", {"system": "be brief"}, 2 * TURN + 3 + END),
        ("one", {"system": [{"type": "text", "text": "be brief"}]}, 2 * TURN + 3 + END),
        ([{"type": "image", "source": {}}, {"type": "text", "text": "one"}], {}, TURN + 2 + END),
        ([{"type": "tool_use", "input": {}}], {}, TURN + 2 + END),
        ([{"type": "tool_result", "content": "four"}], {}, TURN + 1 + END),
        (
            [{"type": "tool_result", "content": [{"type": "text", "text": "four"}]}],
            {},
            TURN + 1 + END,
        ),
        ([{"type": "tool_result"}, {"type": "thinking"}], {}, TURN + END),
        ("one", {"tools": [1]}, TURN + 1 + TURN + 3 + END),
    ],
)
def test_a_message(content, members, tokens):
    assert message(content, **members) == tokens


def test_a_chat():
    raw = b'{"messages":[{"role":"user","content":"hi"}],"tools":[1]}'
    body = read(raw, schema.ChatBody)
    assert chat_text(body.messages, body.tools) == (
        "<|tools|>[1]<|end|><|user|>hi<|end|><|assistant|>"
    )


@pytest.mark.parametrize("raw", [b"null", b"[]", b""])
def test_nothing_is_no_text(raw):
    assert json_text(msgspec.Raw(raw)) == ""
