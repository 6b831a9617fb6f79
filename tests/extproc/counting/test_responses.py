"""The body of `/v1/responses`. That it is what vLLM makes of it is shown in tests/vllm."""

import time

import pytest

from extproc.counting.images import Picture
from extproc.counting.responses import read_responses

CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a": 1}'}
MADE = {"id": "c", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}}


def read(given, **more):
    return read_responses({"input": given, **more})


def item(role, content, **more):
    return {"role": role, "content": content, **more}


def test_a_text():
    assert read("x").messages == [item("user", "x")]
    assert read("x", instructions="s").messages == [item("system", "s"), item("user", "x")]


@pytest.mark.parametrize(
    ("items", "messages"),
    [
        ([item("user", "x"), item("assistant", "y", type="message")], [item("user", "x"), item("assistant", "y")]),
        ([item("user", [{"type": "input_text", "text": "x"}])], [item("user", "x")]),
        (
            [item("assistant", [{"type": "output_text", "text": t} for t in "xy"])],
            [item("assistant", "x")],
        ),
        ([CALL, CALL], [{"role": "assistant", "tool_calls": [MADE, MADE]}]),
        (
            [item("assistant", "x"), CALL],
            [{"role": "assistant", "content": "x", "tool_calls": [MADE]}],
        ),
        (
            [CALL, item("assistant", "x"), item("assistant", "y")],
            [{"role": "assistant", "tool_calls": [MADE], "content": "x"}, item("assistant", "y")],
        ),
        (
            [{"type": "function_call_output", "call_id": "c", "output": "x"}],
            [{"role": "tool", "content": "x", "tool_call_id": "c"}],
        ),
        (
            [{"type": "reasoning", "content": [{"text": "hm"}]}, item("assistant", "x")],
            [{"role": "assistant", "reasoning": "hm", "reasoning_content": "hm", "content": "x"}],
        ),
        (
            [{"type": "reasoning", "summary": []}],
            [{"role": "assistant", "reasoning": "", "reasoning_content": ""}],
        ),
        ([item("assistant", [{"type": "refusal", "refusal": "no"}])], [item("assistant", "no")]),
    ],
)  # fmt: skip
def test_items(items, messages):
    talk = read(items)
    assert talk.messages == messages
    assert talk.is_faithful


def test_what_is_not_followed_is_said():
    assert not read([{"type": "web_search_call"}]).is_faithful
    assert not read([item("assistant", "x", status="incomplete")]).is_faithful
    talk = read([item("user", [{"type": "input_image", "image_url": "data:x"}])])
    assert talk.pictures == [Picture("data:x")]
    assert not talk.is_faithful


def test_tools_and_effort():
    tools = [{"type": "function", "name": "f", "strict": True}, {"type": "web_search"}]
    talk = read("x", tools=tools, reasoning={"effort": "low"})
    function = {"name": "f", "description": None, "parameters": None, "strict": True}
    assert talk.tools == [{"type": "function", "function": function}]
    assert talk.variables == {"reasoning_effort": "low", "enable_thinking": True}


def test_many_calls_are_one_message_in_linear_time():
    began_s = time.monotonic()
    talk = read([CALL] * 20_000)
    assert len(talk.messages[0]["tool_calls"]) == 20_000
    assert time.monotonic() - began_s < 20, "a guard against the square, which took minutes"
