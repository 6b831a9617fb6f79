"""Bodies of `/v1/messages`, field by field: what passes, what is refused and under which name."""

import json

import pytest

from extproc.dialects.anthropic import CountTokens, Messages
from extproc.dialects.shapes import read
from extproc.request import Kind, Prompt
from tests.extproc.dialects.bodies import ask, check_refused, check_tables

BOTH = [Kind.MESSAGES, Kind.COUNT_TOKENS]


def said(*blocks, role="user"):
    return {"messages": [{"role": role, "content": list(blocks)}]}


IMAGE = {"type": "base64", "media_type": "image/png", "data": "AA=="}
USE = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "t"}
TOOL = {"name": "f", "input_schema": {"type": "object"}}
SHARED_GOOD = [
    {"model": "org/model:tag@1"},
    {"messages": [{"role": "user", "content": ""}, {"role": "assistant", "content": "x"}]},
    {"messages": [{"role": "system", "content": "x"}]},
    said(),
    said({"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}),
    said({"type": "image", "source": IMAGE}),
    said({"type": "image", "source": {"type": "url", "url": "https://h/i.png"}}),
    said({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": ""}}),
    said({"type": "image", "source": {"type": "file", "file_id": "f"}}),
    said({"type": "thinking", "thinking": "", "signature": ""}, USE, role="assistant"),
    said({**RESULT}, {**RESULT, "content": "4"}, {"type": "redacted_thinking", "data": "x"}),
    said({**RESULT, "content": [{"type": "image", "source": IMAGE}], "is_error": False}),
    said({"type": "web_search_tool_result", "tool_use_id": "t", "content": {"later": 1}}),
    {"system": "Be brief."},
    {"system": [{"type": "text", "text": "Be brief."}]},
    {"tools": [], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    {"tools": [{**TOOL, "type": "custom", "description": ""}]},
    {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "f"}},
    {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
    {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    {"thinking": {"type": "disabled"}},
    {"cache_salt": "x", "later": {"usage": []}},
]
OWN_GOOD = [
    {"max_tokens": 2**31 - 1, "metadata": {"user_id": "ann"}},
    {"stop_sequences": ["\n"], "stream": True, "temperature": 1, "top_k": -1, "top_p": 0.9},
    {"stream": None, "temperature": None, "stop_sequences": []},
]
SHARED_BAD = [
    *(({"model": value}, "model") for value in (None, 5, "", "m" * 257)),
    *(({"messages": value}, "messages") for value in (None, [], {}, "hi")),
    ({"messages": ["hi"]}, "messages[0]"),
    ({"messages": [{"content": "hi"}]}, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "tool", "content": ""}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
    (said("hi"), "messages[0].content[0]"),
    (said({}), "messages[0].content[0].type"),
    (said({"type": "text"}), "messages[0].content[0].text"),
    (said({"type": "text", "text": 5}), "messages[0].content[0].text"),
    (said({"type": "image"}), "messages[0].content[0].source"),
    (said({"type": "image", "source": {}}), "messages[0].content[0].source.type"),
    (
        said({"type": "image", "source": {"type": "base64"}}),
        "messages[0].content[0].source.media_type",
    ),
    (
        said({"type": "image", "source": {"type": "base64", "media_type": "image/png"}}),
        "messages[0].content[0].source.data",
    ),
    (said({"type": "image", "source": {"type": "url"}}), "messages[0].content[0].source.url"),
    (
        said({"type": "image", "source": {"type": "url", "url": "file:///etc/passwd"}}),
        "messages[0].content[0].source.url",
    ),
    *(
        (said({n: v for n, v in USE.items() if n != name}), f"messages[0].content[0].{name}")
        for name in ("id", "name", "input")
    ),
    (said({**USE, "input": "{}"}), "messages[0].content[0].input"),
    (said({"type": "tool_result"}), "messages[0].content[0].tool_use_id"),
    (said({**RESULT, "content": {}}), "messages[0].content[0].content"),
    (said({**RESULT, "content": 5}), "messages[0].content[0].content"),
    (
        said({**RESULT, "content": [{"type": "text"}]}),
        "messages[0].content[0].content[0].text",
    ),
    (said({"type": "thinking"}), "messages[0].content[0].thinking"),
    ({"system": 5}, "system"),
    ({"system": [{"type": "text"}]}, "system[0].text"),
    ({"tools": {}}, "tools"),
    ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
    ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
    ({"tools": [{"name": "", "input_schema": {}}]}, "tools[0].name"),
    ({"tools": [{"name": "f", "input_schema": []}]}, "tools[0].input_schema"),
    ({"tools": [{**TOOL, "description": 5}]}, "tools[0].description"),
    ({"tool_choice": "auto"}, "tool_choice"),
    ({"tool_choice": {}}, "tool_choice.type"),
    ({"tool_choice": {"type": "required"}}, "tool_choice.type"),
    ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
    ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
    ({"thinking": {"type": "enabled", "budget_tokens": 0}}, "thinking.budget_tokens"),
    ({"thinking": {"type": "much"}}, "thinking.type"),
    ({"thinking": True}, "thinking"),
]
OWN_BAD = [
    *(({"max_tokens": value}, "max_tokens") for value in (None, 0, -1, 1.5, "9", 2**31, True)),
    ({"metadata": "ann"}, "metadata"),
    ({"stop_sequences": "x"}, "stop_sequences"),
    ({"stop_sequences": [5]}, "stop_sequences[0]"),
    ({"stream": "yes"}, "stream"),
    *(({"temperature": value}, "temperature") for value in (-1, "hot")),
    ({"top_k": 1.5}, "top_k"),
    *(({"top_p": value}, "top_p") for value in (0, 2)),
]
GOOD = [
    *((kind, members) for kind in BOTH for members in SHARED_GOOD),
    *((Kind.MESSAGES, members) for members in OWN_GOOD),
]
BAD = [
    *((kind, *row) for kind in BOTH for row in SHARED_BAD),
    *((Kind.MESSAGES, *row) for row in OWN_BAD),
]


@pytest.mark.parametrize(("kind", "members"), GOOD)
def test_good(kind, members):
    prompt = ask(kind, **members)
    assert isinstance(prompt, Prompt), prompt
    assert prompt.document.items() >= members.items()
    assert prompt.model == members.get("model", "m")


@pytest.mark.parametrize(("kind", "members", "param"), BAD)
def test_bad(kind, members, param):
    check_refused(ask(kind, **members), param)


@pytest.mark.parametrize(
    ("kind", "shape"), [(Kind.MESSAGES, Messages), (Kind.COUNT_TOKENS, CountTokens)]
)
def test_the_tables_know_every_field(kind, shape):
    good = [members for each, members in GOOD if each is kind]
    check_tables(shape, kind, good, [members for each, members, _ in BAD if each is kind])


def test_max_tokens_is_required():
    raw = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
    assert read(Kind.MESSAGES, raw).message == "'max_tokens' is required."
    assert isinstance(read(Kind.COUNT_TOKENS, raw), Prompt)


@pytest.mark.parametrize(("stream", "streams"), [(True, True), (False, False), (None, False)])
def test_what_is_known_of_a_stream(stream, streams):
    assert ask(Kind.MESSAGES, stream=stream).stream is streams
    assert ask(Kind.COUNT_TOKENS, stream=stream).stream is False


def test_results_within_results_without_end():
    blocks = '{"type":"tool_result","tool_use_id":"t","content":['
    deep = blocks * 400 + "]}" * 400
    raw = '{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[' + deep + "]}]}"
    assert json.loads(raw)
    found = read(Kind.MESSAGES, raw.encode())
    assert isinstance(found, Prompt) or "nested" in found.message
