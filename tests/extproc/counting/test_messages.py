"""Anthropic's body. That it is what vLLM makes of it is shown in tests/vllm."""

import pytest

from extproc.counting.images import Picture
from extproc.counting.messages import read_messages

HI = {"role": "user", "content": "hi"}


def text(content):
    return {"type": "text", "text": content}


def image(**source):
    return {"type": "image", "source": source}


def read(*messages, later=True, **more):
    return read_messages({"messages": list(messages), **more}, takes_system_later=later)


@pytest.mark.parametrize(
    ("system", "said"),
    [
        ("a", "a"),
        ([text("a"), text("b")], "ab"),
        ([text("x-anthropic-billing-header: 1"), text("b")], "b"),
        ("x-anthropic-billing-header: 1", None),
        ([], None),
        (None, None),
    ],
)
def test_system(system, said):
    talk = read(HI, system=system)
    first = [{"role": "system", "content": said}] if said else []
    assert talk.messages == [*first, HI]


def test_system_later_on():
    later = {"role": "system", "content": [text("b"), text("c")]}
    kept = [{"role": "system", "content": text} for text in ("a", "bc")]
    assert read(HI, later, HI, system="a").messages == [kept[0], HI, kept[1], HI]
    merged = {"role": "system", "content": "abc"}
    assert read(HI, later, HI, system="a", later=False).messages == [merged, HI, HI]


def test_blocks():
    talk = read(
        {"role": "user", "content": [text("a")]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm"},
                {"type": "redacted_thinking", "data": "x"},
                text("b"),
                text("c"),
                {"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [text("d"), text("e")]}]},
        {"role": "user", "content": [text("f"), {"type": "tool_result", "tool_use_id": "u", "content": "g"}]},
        {"role": "user", "content": [text("")]},
    )  # fmt: skip
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": {"x": 1}}}
    assert talk.messages == [
        {"role": "user", "content": "a"},
        {
            "role": "assistant",
            "reasoning": "hm",
            "reasoning_content": "hm",
            "tool_calls": [call],
            "content": [text("b"), text("c")],
        },
        {"role": "tool", "content": "d\ne", "tool_call_id": "t"},
        {"role": "tool", "content": "g", "tool_call_id": "u"},
        {"role": "user", "content": "f"},
    ]
    assert talk.is_faithful


def test_tools():
    given = {
        "name": "f",
        "description": "d",
        "input_schema": {"type": "object"},
        "cache_control": {},
    }
    [tool] = read(HI, tools=[given]).tools
    assert tool["function"] == {"name": "f", "description": "d", "parameters": {"type": "object"}}


def test_images():
    png = image(type="base64", media_type="image/png", data="AAAA")
    web = image(type="url", url="https://x")
    result = {"type": "tool_result", "tool_use_id": "t", "content": [text("a"), png]}
    talk = read({"role": "user", "content": [text("x"), web, result]})
    assert talk.pictures == [Picture("https://x"), Picture("", data="AAAA")]
    assert not talk.is_faithful
    assert read({"role": "user", "content": [png]}).messages == [{"role": "user", "content": ""}]


@pytest.mark.parametrize("block", [{"type": "document", "source": {}}, {"type": "mystery"}])
def test_blocks_that_are_not_followed(block):
    assert not read({"role": "user", "content": [text("x"), block]}).is_faithful


@pytest.mark.parametrize(
    ("more", "effort"),
    [
        ({"thinking": {"type": "disabled"}}, "none"),
        ({"thinking": {"type": "enabled", "budget_tokens": 5}}, None),
        ({"output_config": {"effort": "high"}}, "high"),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}}, "none"),
    ],
)
def test_effort(more, effort):
    assert read(HI, **more).variables.get("reasoning_effort") == effort
