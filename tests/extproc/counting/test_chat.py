"""OpenAI's chat body."""

import pytest

from extproc.counting.chat import read_chat

HI = {"role": "user", "content": "hi"}


def chat(*messages, **more):
    return read_chat({"messages": list(messages or [HI]), **more})


def test_a_plain_message_is_taken_as_it_is():
    talk = chat(HI)
    assert talk.messages == [HI]
    assert talk.messages[0] is HI
    assert (talk.tools, talk.variables, talk.is_faithful) == (None, {}, True)


def test_what_templates_look_at_is_kept():
    calls = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": [1]}'}}]
    talk = chat(
        {"role": "user", "content": "x", "name": "me", "odd": 1},
        {"role": "assistant", "content": None, "tool_calls": calls, "reasoning": "hm"},
        {"role": "tool", "content": "y", "tool_call_id": "c"},
        {"role": "assistant", "content": "z", "tool_calls": []},
    )
    made = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": {"a": [1]}}}]
    thought = {"reasoning": "hm", "reasoning_content": "hm"}
    assert talk.messages == [
        {"role": "user", "content": "x", "name": "me"},
        {"role": "assistant", "content": "", "tool_calls": made, **thought},
        {"role": "tool", "content": "y", "tool_call_id": "c"},
        {"role": "assistant", "content": "z"},
    ]
    assert calls[0]["function"]["arguments"] == '{"a": [1]}', "the body itself is not changed"


@pytest.mark.parametrize("given", ["", "no json", "[1]", "42", None, 7, "[" * 100_000])
def test_arguments_that_are_no_object(given):
    calls = [{"function": {"name": "f", "arguments": given}}]
    [message] = chat({"role": "assistant", "content": "x", "tool_calls": calls}).messages
    assert message["tool_calls"][0]["function"]["arguments"] == {}


def test_tools_as_engines_write_them():
    given = {"strict": True, "parameters": {"type": "object"}, "name": "f", "odd": 1}
    [tool, bare] = chat(
        tools=[{"type": "function", "function": given, "odd": 1}, {"type": "x"}]
    ).tools
    assert list(tool["function"]) == ["name", "description", "parameters", "strict"]
    assert tool["function"]["description"] is None
    assert bare["function"] == {"name": None, "description": None, "parameters": None}
    assert chat(tools=[]).tools is None


@pytest.mark.parametrize(
    ("more", "variables"),
    [
        ({"chat_template_kwargs": {"enable_thinking": False}}, {"enable_thinking": False}),
        ({"reasoning_effort": "none"}, {"reasoning_effort": "none", "enable_thinking": False}),
        ({"reasoning_effort": "high"}, {"reasoning_effort": "high", "enable_thinking": True}),
        (
            {"reasoning_effort": "low", "chat_template_kwargs": {"enable_thinking": 0}},
            {"reasoning_effort": "low", "enable_thinking": 0},
        ),
        ({"add_generation_prompt": False}, {"add_generation_prompt": False}),
        ({"chat_template_kwargs": "x"}, {}),
    ],
)
def test_variables(more, variables):
    assert chat(**more).variables == variables


@pytest.mark.parametrize(
    "more", [{"documents": [{}]}, {"continue_final_message": True}, {"chat_template": "x"}]
)
def test_what_is_not_followed_is_said(more):
    assert not chat(**more).is_faithful
