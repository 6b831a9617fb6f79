import json
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.sim.faults import Fault, Kind
from engines.sim.refusal import RefusedError
from engines.sim.request import CHOICES_MAX, PROMPTS_MAX, Generation, Order, Reader, Usage
from engines.sim.tokens import Tokenizer

HI = [{"role": "user", "content": "Hello, world!"}]
READER = Reader(("tiny", "alias"), Tokenizer(32), max_model_len=100)


def chat(**members: object) -> Generation:
    return READER.chat(json.dumps({"messages": HI, **members}).encode())


def completion(**members: object) -> Generation:
    return READER.completion(json.dumps(members).encode())


def test_a_plain_chat():
    request = chat(model="alias")
    assert (request.operation, request.n, request.max_tokens) == ("chat", 1, None)
    assert (request.stream, request.usage, request.salt) == (False, Usage.NONE, None)
    assert [prompt.tokens for prompt in request.prompts] == [7]
    assert request.order == Order()


@pytest.mark.parametrize(
    ("options", "usage"),
    [
        (None, Usage.NONE),
        ({}, Usage.NONE),
        ({"include_usage": False, "continuous_usage_stats": True}, Usage.NONE),
        ({"continuous_usage_stats": True}, Usage.NONE),
        ({"include_usage": True}, Usage.LAST),
        ({"include_usage": True, "continuous_usage_stats": True}, Usage.CONTINUOUS),
    ],
)
def test_stream_options(options: object, usage: Usage):
    assert chat(stream=True, stream_options=options).usage is usage


@pytest.mark.parametrize(
    ("members", "limit"),
    [
        ({}, None),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6}, 6),
        ({"max_tokens": 5, "max_completion_tokens": 6}, 6),
        ({"max_tokens": None}, None),
    ],
)
def test_the_limit_of_a_chat(members: dict[str, object], limit: int | None):
    assert chat(**members).max_tokens == limit


def test_a_completion_has_16_tokens_unless_told():
    assert completion(prompt="a").max_tokens == 16
    assert completion(prompt="a", max_tokens=3).max_tokens == 3


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [
        ("one two", [2]),
        (["one", "one two"], [1, 2]),
        ([1, 2, 3], [3]),
        ([[1, 2], [3]], [2, 1]),
        (["one", [1, 2]], [1, 2]),
        ("   ", [0]),
    ],
)
def test_prompts(prompt: object, tokens: list[int]):
    assert [one.tokens for one in completion(prompt=prompt).prompts] == tokens


@pytest.mark.parametrize(
    ("content", "tokens"),
    [
        ("a b", 2),
        (None, 0),
        ([], 0),
        ([{"type": "text", "text": "a b"}, {"type": "text", "text": " c"}], 3),
        ([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}], 2),
    ],
)
def test_contents(content: object, tokens: int):
    assert chat(messages=[{"role": "user", "content": content}]).prompts[0].tokens == tokens + 3


def test_tools_and_tool_calls_count_as_the_text_that_was_sent():
    raw = b'{"messages":[{"role":"assistant","content":null,"tool_calls":[1]}],"tools":[{"a":2}]}'
    # [1] are three tokens, [{"a":2}] are nine; three pairs of marks, less one end
    assert READER.chat(raw).prompts[0].tokens == 3 + 9 + 5
    assert (
        READER.chat(raw.replace(b"[1]", b"null").replace(b'[{"a":2}]', b"null")).prompts[0].tokens
        == 3
    )


def test_the_orders_of_x_sim():
    request = chat(x_sim={"ttft_ms": 1.5, "itl_ms": 0, "fault": "huge:9"})
    assert request.order == Order(1.5, 0, Fault(Kind.HUGE, 9))
    assert request.wish.first_letters == 9
    assert chat(x_sim={"fault": "cut_after:9"}).wish.first_letters == 0


def test_the_wish():
    wish = chat(stop="x", seed=-3, min_tokens=2, ignore_eos=True).wish
    assert (wish.stop, wish.seed, wish.at_least, wish.ignore_eos) == (("x",), -3, 2, True)
    assert chat(stop=["x", "y"]).wish.stop == ("x", "y")


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"model": "gpt"}, "model"),
        ({"messages": None}, "body.messages"),
        ({"messages": [{"content": "a"}]}, "body.messages.0.role"),
        ({"messages": [*HI, {"role": 1}]}, "body.messages.1.role"),
        (
            {"messages": [{"role": "user", "content": [{"text": 1}]}]},
            "body.messages.0.content.0.text",
        ),
        ({"max_tokens": "5"}, "body.max_tokens"),
        ({"max_tokens": 1.5}, "body.max_tokens"),
        ({"max_tokens": 10**30}, "body.max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 101}, "max_tokens"),
        ({"min_tokens": -1}, "min_tokens"),
        ({"min_tokens": 4, "max_tokens": 3}, "min_tokens"),
        ({"n": 0}, "n"),
        ({"n": CHOICES_MAX + 1}, "n"),
        ({"stream": "yes"}, "body.stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": []}, "body.stream_options"),
        ({"stop": ""}, "stop"),
        ({"stop": [1]}, "body.stop.0"),
        ({"seed": 2**63}, "body.seed"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"cache_salt": ""}, "cache_salt"),
        ({"messages": [{"role": "user", "content": "a " * 100}]}, "input_tokens"),
        ({"x_sim": {"fault": "explode"}}, "body.x_sim.fault"),
        ({"x_sim": {"itl_ms": -1}}, "body.x_sim.itl_ms"),
        ({"x_sim": []}, "body.x_sim"),
    ],
)
def test_a_bad_chat_names_the_field(members: dict[str, object], param: str):
    with pytest.raises(RefusedError) as refused:
        chat(**members)
    assert refused.value.param == param
    assert refused.value.status == (404 if param == "model" else 400)


@pytest.mark.parametrize(
    "prompt",
    ["", None, [], [""], ["a", ""], [[]], [1, "a"], ["a"] * (PROMPTS_MAX + 1)],
)
def test_a_bad_prompt(prompt: object):
    with pytest.raises(RefusedError) as refused:
        completion(prompt=prompt)
    assert refused.value.param == "prompt"


@pytest.mark.parametrize(
    ("raw", "param"),
    [
        (b"", "body"),
        (b"{", "body.1"),
        (b'{"messages":}', "body.12"),
        (b'{"messages":[]} trailing', "body.17"),
        (b'{"messages":[', "body.13"),
        (b"\xff\xfe", "body.0"),
        (b'{"messages":[{"role":"user","content":"\xff"}]}', "body"),
        (b'{"messages":[{"role":"user","content":"\\ud800"}]}', "body.49"),
        (b'{"nobody":' + b"[" * 100_000, "body"),
        (b'{"tools":' + b"[" * 100_000, "body"),
    ],
)
def test_what_is_not_json_is_the_bodys_fault(raw: bytes, param: str):
    with pytest.raises(RefusedError) as refused:
        READER.chat(raw)
    assert (refused.value.param, refused.value.kind) == (param, "Bad Request")


@pytest.mark.parametrize("raw", [b"[]", b"1", b'"a"', b"null"])
def test_a_body_is_an_object(raw: bytes):
    with pytest.raises(RefusedError, match="Expected `object`"):
        READER.chat(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
NAMES = st.sampled_from(
    ["messages", "prompt", "input", "n", "stop", "stream", "stream_options", "tools", "x_sim"]
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(NAMES, JSON))
def test_no_input_raises_anything_else(body: dict[str, object]):
    raw = json.dumps(body).encode()
    for read in (READER.chat, READER.completion, READER.embedding, READER.tokenize):
        with suppress(RefusedError):
            assert read(raw) is not None


def test_an_embedding():
    request = READER.embedding(b'{"input":["a b","c"],"encoding_format":"base64","dimensions":3}')
    assert [prompt.tokens for prompt in request.prompts] == [2, 1]
    assert (request.base64, request.dimensions) == (True, 3)


def test_a_prompt_may_fill_the_context_only_where_nothing_is_generated():
    full = "a " * 100
    assert READER.embedding(json.dumps({"input": full}).encode()).prompts[0].tokens == 100
    with pytest.raises(RefusedError, match="maximum context length is 100"):
        completion(prompt=full)


def test_what_is_to_be_cut():
    assert READER.tokenize(b'{"prompt":"a"}') == ("a", False)
    assert READER.tokenize(b'{"messages":[],"return_token_strs":true}') == ("<|assistant|>", True)
    with pytest.raises(RefusedError) as refused:
        READER.tokenize(b"{}")
    assert refused.value.param == "body.prompt"
