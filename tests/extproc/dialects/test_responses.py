"""Bodies of `/v1/responses`, field by field: what passes, what is refused and under which name."""

import pytest

from extproc.dialects.responses import Responses
from extproc.request import Kind, Prompt
from tests.extproc.dialects.bodies import ask, check_refused, check_tables

KIND = Kind.RESPONSES
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "4"}


def said(*parts, role="user"):
    return {"input": [{"role": role, "content": list(parts)}]}


def without(item, member):
    return {"input": [{name: value for name, value in item.items() if name != member}]}


GOOD = [
    {},
    {"model": "org/model:tag@1"},
    {"input": ""},
    {"input": [{"role": "user", "content": "hi"}]},
    {"input": [{"type": "message", "role": "developer", "content": "hi"}]},
    said({"type": "input_text", "text": "hi"}),
    said({"type": "output_text", "text": "hi", "annotations": []}, role="assistant"),
    said({"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "auto"}),
    said({"type": "input_image", "image_url": "https://h/i.png"}),
    said({"type": "input_image", "file_id": "file-1"}),
    said({"type": "refusal", "refusal": "no"}, {"type": "input_file", "file_data": "x"}),
    {"input": [CALL, OUTPUT, {**OUTPUT, "output": [{"type": "input_text", "text": "4"}]}]},
    {"input": [{"type": "reasoning", "summary": [], "content": [{"type": "later"}]}]},
    {"input": [{"type": "tool_search_call", "arguments": {}, "output": 5}]},
    {"instructions": "Be brief.", "max_output_tokens": 1, "max_tool_calls": 3},
    {"metadata": {"a": "b"}, "parallel_tool_calls": False, "store": True, "user": "ann"},
    {"previous_response_id": None, "conversation": None, "background": False},
    {"include": ["message.output_text.logprobs"], "top_logprobs": 2, "top_p": 1},
    {"reasoning": {"effort": "low"}, "text": {"format": {"type": "text"}}},
    {"stream": True, "stream_options": {"include_obfuscation": False}},
    {"temperature": 2.5, "truncation": "auto"},
    {"tools": [{"type": "function", "name": "f", "parameters": {}}], "tool_choice": "auto"},
    {"tools": [{"type": "mcp", "server_label": "x"}], "tool_choice": {"type": "mcp"}},
    {"cache_salt": "x", "seed": 7, "later": {"usage": []}},
]
BAD = [
    *(({"model": value}, "model") for value in (None, 5, "", "m" * 257)),
    *(({"input": value}, "input") for value in (None, 5, {}, [], True)),
    ({"input": ["hi"]}, "input[0]"),
    ({"input": [{}]}, "input[0].role"),
    ({"input": [{"role": "user"}]}, "input[0].content"),
    ({"input": [{"role": "tool", "content": ""}]}, "input[0].role"),
    ({"input": [{"role": "user", "content": 5}]}, "input[0].content"),
    ({"input": [{"type": 5}]}, "input[0].type"),
    (said("hi"), "input[0].content[0]"),
    (said({"text": "hi"}), "input[0].content[0].type"),
    (said({"type": "input_text"}), "input[0].content[0].text"),
    (said({"type": "input_text", "text": ["hi"]}), "input[0].content[0].text"),
    (said({"type": "refusal"}), "input[0].content[0].refusal"),
    (said({"type": "input_image", "image_url": "file:///x"}), "input[0].content[0].image_url"),
    (said({"type": "input_image", "image_url": {}}), "input[0].content[0].image_url"),
    *((without(CALL, name), f"input[0].{name}") for name in ("call_id", "name", "arguments")),
    *((without(OUTPUT, name), f"input[0].{name}") for name in ("call_id", "output")),
    ({"input": [{**CALL, "arguments": {}}]}, "input[0].arguments"),
    ({"input": [{**CALL, "name": 5}]}, "input[0].name"),
    ({"input": [{**OUTPUT, "output": 5}]}, "input[0].output"),
    *(({"max_output_tokens": value}, "max_output_tokens") for value in (0, -1, 1.5, "9", 2**31)),
    ({"max_tool_calls": 0}, "max_tool_calls"),
    ({"instructions": ["x"]}, "instructions"),
    ({"metadata": []}, "metadata"),
    ({"metadata": {"sk-key": 5}}, "metadata[...]"),
    ({"parallel_tool_calls": "no"}, "parallel_tool_calls"),
    ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ({"previous_response_id": 5}, "previous_response_id"),
    ({"conversation": "conv_1"}, "conversation"),
    ({"conversation": {"id": "conv_1"}}, "conversation"),
    ({"background": True}, "background"),
    ({"background": 1}, "background"),
    ({"store": "yes"}, "store"),
    ({"include": "all"}, "include"),
    ({"include": [5]}, "include[0]"),
    ({"reasoning": "low"}, "reasoning"),
    ({"stream": 1}, "stream"),
    ({"stream": True, "stream_options": []}, "stream_options"),
    *(({"temperature": value}, "temperature") for value in (-1, "hot", True)),
    *(({"top_p": value}, "top_p") for value in (0, 1.1)),
    ({"text": "json"}, "text"),
    ({"tool_choice": 5}, "tool_choice"),
    ({"tools": {}}, "tools"),
    ({"tools": ["f"]}, "tools[0]"),
    ({"tools": [{"name": "f"}]}, "tools[0].type"),
    ({"tools": [{"type": "function"}]}, "tools[0].name"),
    ({"tools": [{"type": "function", "name": ""}]}, "tools[0].name"),
    ({"tools": [{"type": "function", "name": "f", "description": 5}]}, "tools[0].description"),
    ({"tools": [{"type": "function", "name": "f", "parameters": []}]}, "tools[0].parameters"),
    ({"top_logprobs": -2}, "top_logprobs"),
    ({"truncation": "maybe"}, "truncation"),
    ({"user": 5}, "user"),
]


@pytest.mark.parametrize("members", GOOD)
def test_good(members):
    prompt = ask(KIND, **members)
    assert isinstance(prompt, Prompt), prompt
    assert prompt.document.items() >= members.items()
    assert prompt.model == members.get("model", "m")


@pytest.mark.parametrize(("members", "param"), BAD)
def test_bad(members, param):
    check_refused(ask(KIND, **members), param)


def test_the_tables_know_every_field():
    check_tables(Responses, KIND, GOOD, [members for members, _ in BAD])


@pytest.mark.parametrize(("stream", "streams"), [(True, True), (False, False), (None, False)])
def test_what_is_known_of_a_stream(stream, streams):
    prompt = ask(KIND, stream=stream)
    assert (prompt.stream, prompt.wants_usage, prompt.n) == (streams, False, 1)


def test_why_nothing_is_kept():
    assert "whole conversation" in ask(KIND, previous_response_id="resp_1").message
    assert "'stream'" in ask(KIND, background=True).message
