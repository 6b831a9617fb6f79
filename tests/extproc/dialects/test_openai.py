"""Request bodies, field by field: what passes, what is refused and under which name."""

import pytest

from extproc.dialects.openai import Chat, Completions, Embeddings
from extproc.request import Kind, Prompt
from tests.extproc.dialects.bodies import MINIMAL, ask, check_refused, check_tables

CHAT, COMPLETIONS, EMBEDDINGS = Kind.CHAT, Kind.COMPLETIONS, Kind.EMBEDDINGS
BIG = 10**30


def messages(**members):
    return {"messages": [MINIMAL[CHAT]["messages"][0], {"role": "user", **members}]}


def parts(*content):
    return messages(content=list(content))


def calls(*made):
    return {"messages": [{"role": "assistant", "tool_calls": list(made)}]}


def tools(*offered):
    return {"tools": list(offered)}


def function(**members):
    return {"type": "function", "function": {"name": "f", **members}}


TEXT = {"type": "text", "text": "hi"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}

SHARED_GOOD = [
    {"model": "org/model:tag@1"},
    {"model": "m" * 256},
    {"stream": None},
    {"stream": False, "stream_options": None},
    {"stream": True, "stream_options": {}},
    {"stream": True, "stream_options": {"include_usage": None, "continuous_usage_stats": True}},
    {"stream": True, "stream_options": {"include_usage": True, "later": 1}},
    {"n": 1},
    {"n": 128},
    {"n": None},
    {"temperature": 0},
    {"temperature": 2.5},
    {"temperature": None},
    {"top_p": 1},
    {"top_p": 0.001},
    {"presence_penalty": -2},
    {"presence_penalty": 2.0},
    {"frequency_penalty": 2},
    {"logit_bias": {}},
    {"logit_bias": {"50256": -100, "1": 0.5}},
    {"stop": "x"},
    {"stop": ["x", ""]},
    {"stop": None},
    {"seed": -1},
    {"seed": 2**63 - 1},
    {"seed": BIG},
    {"user": ""},
    {"max_tokens": 1},
    {"max_tokens": 2**31 - 1},
    {"max_tokens": None},
    {"logprobs": None},
    {"guided_json": {"a": [1, None]}, "top_k": -1, "best_of": "passes: not ours to judge"},
]
GOOD = [
    *((kind, members) for kind in (CHAT, COMPLETIONS) for members in SHARED_GOOD),
    (CHAT, {"max_completion_tokens": 1}),
    (CHAT, {"logprobs": True, "top_logprobs": 0}),
    (CHAT, {"top_logprobs": -1}),
    (CHAT, {"tool_choice": "auto"}),
    (CHAT, {"tool_choice": {"type": "function"}}),
    (CHAT, {"response_format": {"type": "json_object"}}),
    *((CHAT, {"messages": [{"role": role}]}) for role in ("system", "developer", "tool")),
    *((CHAT, {"messages": [{"role": role}]}) for role in ("assistant", "function", "user")),
    (CHAT, messages(content=None)),
    (CHAT, messages(content="")),
    (CHAT, messages(content=[])),
    (CHAT, messages(name="ann", tool_call_id="c", reasoning_content="hm")),
    (CHAT, parts(TEXT, {"type": "image_url", "image_url": {"url": "data:,"}}, {"type": "later"})),
    (CHAT, parts({"type": "image_url", "image_url": {"url": "HTTPS://h/i.png", "detail": "low"}})),
    (CHAT, parts({"type": "image_url", "image_url": "http://h/i.png"})),
    (CHAT, parts({"type": "video_url", "video_url": {"url": "https://h/v"}})),
    (CHAT, parts({"type": "audio_url", "audio_url": {"url": "https://h/a"}})),
    (CHAT, parts({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}})),
    (CHAT, parts({"type": "refusal", "refusal": "no"}, {"type": "file", "file": {}})),
    (CHAT, calls(CALL, {"function": {"name": "f"}})),
    (CHAT, calls()),
    (CHAT, tools()),
    (CHAT, tools(function(), function(description="", parameters={"type": "object"}))),
    (CHAT, tools(function(strict=True), {"type": "web_search", "web_search": {}})),
    (COMPLETIONS, {"max_tokens": 0, "echo": True}),
    (COMPLETIONS, {"logprobs": 5}),
    (COMPLETIONS, {"logprobs": -1}),
    (COMPLETIONS, {"suffix": "x"}),
    (COMPLETIONS, {"prompt": ""}),
    (COMPLETIONS, {"prompt": ["a", "b"]}),
    (COMPLETIONS, {"prompt": [1, 2, 3]}),
    (COMPLETIONS, {"prompt": [[1, 2], [3]]}),
    (EMBEDDINGS, {"input": ["a"]}),
    (EMBEDDINGS, {"input": [[1, 2]]}),
    (EMBEDDINGS, {"encoding_format": "base64"}),
    (EMBEDDINGS, {"encoding_format": None}),
    (EMBEDDINGS, {"dimensions": 1}),
    (EMBEDDINGS, {"user": None}),
]

SHARED_BAD = [
    ("model", [None, 5, [], {}, True, "", "m" * 257]),
    ("stream", [0, 1, "true", [], {}]),
    ("stream_options", [True, "x", []]),
    ("n", [0, -1, 129, BIG, -BIG, 1.0, 1.5, True, "1", []]),
    ("temperature", [-0.1, -1, "1", True, []]),
    ("top_p", [0, -1, 1.001, BIG, "1"]),
    ("presence_penalty", [2.1, -2.1, BIG, "0"]),
    ("frequency_penalty", [2.1, -2.1, -BIG, False]),
    ("logit_bias", [[], "x", 1]),
    ("stop", [1, True, {}]),
    ("seed", [1.5, "1", True, []]),
    ("user", [1, [], {}, False]),
    ("max_tokens", [-1, -BIG, 1.5, 1e30, "16", True]),
]
ONLY_BAD = {
    CHAT: [
        ("messages", [None, [], {}, "x", 1]),
        ("max_tokens", [0]),
        ("max_completion_tokens", [0, -1, 1.0, "1"]),
        ("logprobs", [1, "true"]),
        ("top_logprobs", [-2, 1.5, True]),
        ("tools", ["x", {}, 1]),
        ("tool_choice", [1, [], True]),
        ("response_format", ["json", [], 1]),
    ],
    COMPLETIONS: [
        ("prompt", [None, 1, {}, True]),
        ("logprobs", [-2, True, 1.5, "1"]),
        ("echo", [1, "true"]),
        ("suffix", [1, []]),
    ],
    EMBEDDINGS: [
        ("model", [None, 5, "", "m" * 257]),
        ("input", [None, 1, {}, True]),
        ("encoding_format", ["", "hex", "Float", 1]),
        ("dimensions", [0, -1, 1.5, "8", True]),
        ("user", [1]),
    ],
}
NESTED_BAD = [
    (
        CHAT,
        {"stream": True, "stream_options": {"include_usage": 1}},
        "stream_options.include_usage",
    ),
    (
        COMPLETIONS,
        {"stream": True, "stream_options": {"continuous_usage_stats": "x"}},
        "stream_options.continuous_usage_stats",
    ),
    (CHAT, {"stop": ["a", 1]}, "stop[1]"),
    (CHAT, {"logit_bias": {"sk-key": "x"}}, "logit_bias[...]"),
    (CHAT, {"messages": [None]}, "messages[0]"),
    (CHAT, {"messages": [{"role": "user"}, "hi"]}, "messages[1]"),
    (CHAT, {"messages": [{"content": "hi"}]}, "messages[0].role"),
    (CHAT, {"messages": [{"role": "user"}, {"role": "root"}]}, "messages[1].role"),
    (CHAT, {"messages": [{"role": None}]}, "messages[0].role"),
    (CHAT, messages(content=5), "messages[1].content"),
    (CHAT, messages(content={}), "messages[1].content"),
    (CHAT, messages(name=1), "messages[1].name"),
    (CHAT, messages(tool_call_id=1), "messages[1].tool_call_id"),
    (CHAT, messages(tool_calls={}), "messages[1].tool_calls"),
    (CHAT, parts(TEXT, 1), "messages[1].content[1]"),
    (CHAT, parts("hi"), "messages[1].content[0]"),
    (CHAT, parts({}), "messages[1].content[0].type"),
    (CHAT, parts({"type": ""}), "messages[1].content[0].type"),
    (CHAT, parts({"type": 1}), "messages[1].content[0].type"),
    (CHAT, parts({"type": "text"}), "messages[1].content[0].text"),
    (CHAT, parts({"type": "text", "text": 5}), "messages[1].content[0].text"),
    (CHAT, parts(TEXT, {"type": "image_url"}), "messages[1].content[1].image_url"),
    (
        CHAT,
        parts({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}),
        "messages[1].content[0].image_url.url",
    ),
    (
        CHAT,
        parts({"type": "image_url", "image_url": "file:///etc/passwd"}),
        "messages[1].content[0].image_url",
    ),
    (
        CHAT,
        parts({"type": "later", "video_url": "ftp://h/v"}),
        "messages[1].content[0].video_url",
    ),
    (
        CHAT,
        parts({"type": "audio_url", "audio_url": {"url": ""}}),
        "messages[1].content[0].audio_url.url",
    ),
    (
        CHAT,
        parts({"type": "image_url", "image_url": {}}),
        "messages[1].content[0].image_url.url",
    ),
    (CHAT, parts({"type": "input_audio"}), "messages[1].content[0].input_audio"),
    (
        CHAT,
        parts({"type": "input_audio", "input_audio": {"data": "", "format": ""}}),
        "messages[1].content[0].input_audio.format",
    ),
    (CHAT, parts({"type": "refusal"}), "messages[1].content[0].refusal"),
    (CHAT, {"max_tokens": 2**31}, "max_tokens"),
    (CHAT, tools({"type": "function"}), "tools[0].function"),
    (CHAT, calls(1), "messages[0].tool_calls[0]"),
    (CHAT, calls(CALL, {}), "messages[0].tool_calls[1].function"),
    (CHAT, calls({**CALL, "id": 1}), "messages[0].tool_calls[0].id"),
    (CHAT, calls({**CALL, "type": 1}), "messages[0].tool_calls[0].type"),
    (CHAT, calls({"function": {}}), "messages[0].tool_calls[0].function.name"),
    (CHAT, calls({"function": {"name": ""}}), "messages[0].tool_calls[0].function.name"),
    (
        CHAT,
        calls({"function": {"name": "f", "arguments": {}}}),
        "messages[0].tool_calls[0].function.arguments",
    ),
    (CHAT, tools(1), "tools[0]"),
    (CHAT, tools({"function": {"name": "f"}}), "tools[0].type"),
    (CHAT, tools(function(), {"type": 1}), "tools[1].type"),
    (CHAT, tools({"type": "function", "function": 1}), "tools[0].function"),
    (CHAT, tools({"type": "function", "function": {}}), "tools[0].function.name"),
    (CHAT, tools(function(name=None)), "tools[0].function.name"),
    (CHAT, tools(function(description=1)), "tools[0].function.description"),
    (CHAT, tools(function(parameters=[])), "tools[0].function.parameters"),
    (COMPLETIONS, {"prompt": [1, None]}, "prompt[1]"),
    (COMPLETIONS, {"prompt": [1, 1.5]}, "prompt[1]"),
    (COMPLETIONS, {"prompt": [True]}, "prompt[0]"),
    (COMPLETIONS, {"prompt": [[1], ["a"]]}, "prompt[1][0]"),
    (EMBEDDINGS, {"input": [[[1]]]}, "input[0][0]"),
    (EMBEDDINGS, {"input": [{}]}, "input[0]"),
]
BAD = [
    *(
        (kind, {name: value}, name)
        for kind, own in ONLY_BAD.items()
        for name, values in [*(SHARED_BAD if kind is not EMBEDDINGS else []), *own]
        for value in values
    ),
    *NESTED_BAD,
]


@pytest.mark.parametrize(("kind", "members"), GOOD)
def test_good(kind, members):
    prompt = ask(kind, **members)
    assert isinstance(prompt, Prompt), prompt
    assert prompt.document == {**MINIMAL[kind], **members}
    assert prompt.model == members.get("model", "m")


@pytest.mark.parametrize(("kind", "members", "param"), BAD)
def test_bad(kind, members, param):
    check_refused(ask(kind, **members), param)


SHAPES = {CHAT: Chat, COMPLETIONS: Completions, EMBEDDINGS: Embeddings}


@pytest.mark.parametrize("kind", SHAPES)
def test_the_tables_know_every_field(kind):
    good = [members for each, members in GOOD if each is kind]
    check_tables(SHAPES[kind], kind, good, [members for each, members, _ in BAD if each is kind])


@pytest.mark.parametrize("kind", [CHAT, COMPLETIONS])
@pytest.mark.parametrize("stream", [None, False])
def test_stream_options_need_a_stream(kind, stream):
    denied = ask(kind, stream=stream, stream_options={})
    assert denied.param == "stream_options"
    assert "'stream' is true" in denied.message


@pytest.mark.parametrize("kind", [CHAT, COMPLETIONS])
@pytest.mark.parametrize(
    ("members", "facts"),
    [
        ({}, (False, False, False)),
        ({"stream": True}, (True, False, False)),
        ({"stream": True, "stream_options": {"include_usage": False}}, (True, False, False)),
        ({"stream": True, "stream_options": {"include_usage": True}}, (True, True, False)),
        (
            {
                "stream": True,
                "stream_options": {"include_usage": True, "continuous_usage_stats": True},
            },
            (True, True, True),
        ),
        (
            {"stream": True, "stream_options": {"continuous_usage_stats": True}},
            (True, False, True),
        ),
    ],
)
def test_what_is_known_of_a_stream(kind, members, facts):
    prompt = ask(kind, **members)
    assert (prompt.stream, prompt.wants_usage, prompt.wants_continuous_usage) == facts


@pytest.mark.parametrize(("given", "n"), [({}, 1), ({"n": None}, 1), ({"n": 3}, 3)])
@pytest.mark.parametrize("kind", [CHAT, COMPLETIONS])
def test_how_many_answers_are_asked_for(kind, given, n):
    assert ask(kind, **given).n == n


def test_embeddings_do_not_stream():
    assert ask(EMBEDDINGS, stream=True).stream is False
