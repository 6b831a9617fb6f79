"""The other APIs, through real Envoy: Responses and Messages with their own SDKs, and what chats can hold."""

import base64
import json
import re

import anthropic
import httpx
import openai
import pytest

from tests.e2e.conftest import ACME, wait_for

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
SAID = [{"role": "user", "content": "Tell me about gates"}]
TRAP = {"usage": {"input_tokens": 999, "output_tokens": 999, "prompt_tokens": 999}}
"""A member of a tool's schema, which `/v1/responses` repeats in its answer."""
PIXEL = base64.b64encode(b"\x89PNG" + bytes(300_000)).decode()


@pytest.fixture
def claude(gateway):
    """Anthropic's SDK; it sends the key as `x-api-key`."""
    with anthropic.Anthropic(base_url=gateway.url, api_key=ACME, max_retries=0) as sdk:
        yield sdk


@pytest.fixture
def client(gateway):
    with gateway.client() as sdk:
        yield sdk


def tokens(row):
    return [row[f"{kind}_tokens"] for kind in ("prompt", "completion", "cached")]


def entry(gateway, request_id):
    """What Envoy wrote of a request when it ended."""

    def found():
        whole = (gateway.state / "log" / "access.jsonl").read_text().rpartition("\n")[0]
        entries = [json.loads(line) for line in whole.splitlines() if request_id in line]
        return [each for each in entries if each["type"] == "DownstreamEnd"]

    (only,) = wait_for(found, what="the log entry")
    return only


# ---- Responses --------------------------------------------------------------------------------


def test_a_response(client, gateway):
    raw = client.responses.with_raw_response.create(
        model="demo", input="Tell me about gates", max_output_tokens=7
    )
    answer = raw.parse()
    assert answer.output_text
    assert answer.status == "incomplete"
    row = gateway.row(raw.headers["x-request-id"])
    assert (row["operation"], row["model"], row["status"]) == ("responses", "demo", 200)
    usage = answer.usage
    cached = usage.input_tokens_details.cached_tokens
    assert tokens(row) == [usage.input_tokens, 7, cached]
    assert row["ttft_us"] is None
    assert row["latency_us"] > 0
    assert not row["estimated"]


def test_a_streamed_response(client, gateway):
    stream = client.responses.create(model="demo", input=SAID, max_output_tokens=9, stream=True)
    events = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].type == "response.completed"
    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert said == events[-1].response.output_text
    row = gateway.row(stream.response.headers["x-request-id"])
    usage = events[-1].response.usage
    assert tokens(row)[:2] == [usage.input_tokens, 9] == [usage.input_tokens, usage.output_tokens]
    assert row["ttft_us"] is None


@pytest.mark.parametrize("stream", [False, True])
def test_usage_in_a_tools_schema_is_not_usage(client, gateway, stream):
    tool = {
        "type": "function", "name": "weather", "strict": False,
        "parameters": {"type": "object", "properties": TRAP, **TRAP},
    }  # fmt: skip
    raw = client.responses.with_raw_response.create(
        model="demo", input="hi", max_output_tokens=3, tools=[tool], stream=stream
    )
    parsed = raw.parse()
    answer = list(parsed)[-1].response if stream else parsed
    assert answer.tools[0].parameters["usage"] == TRAP["usage"], "it was repeated"
    row = gateway.row(raw.headers["x-request-id"])
    assert tokens(row)[:2] == [answer.usage.input_tokens, 3]


def test_nothing_is_kept_between_responses(client):
    for members in ({"previous_response_id": "resp_1"}, {"background": True}):
        with pytest.raises(openai.BadRequestError) as raised:
            client.responses.create(model="demo", input="hi", **members)
        assert [raised.value.param] == list(members)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve("resp_1")


# ---- Messages ----------------------------------------------------------------------------------


def test_a_message(claude, gateway):
    raw = claude.messages.with_raw_response.create(model="demo", messages=SAID, max_tokens=7)
    answer = raw.parse()
    assert (answer.type, answer.role, answer.stop_reason) == ("message", "assistant", "max_tokens")
    assert answer.content[0].text
    row = gateway.row(raw.headers["x-request-id"])
    assert (row["operation"], row["tenant"], row["model"]) == ("messages", "acme", "demo")
    assert row["completion_tokens"] == 7
    assert 0 < row["ttft_us"] <= row["latency_us"]
    assert not row["estimated"]


def test_the_parts_of_a_messages_prompt_are_its_prompt_tokens(claude, gateway):
    """Anthropic's `input_tokens` leaves out what was read from the cache and written to it."""
    long = [{"role": "user", "content": "a long story, told again and again " * 60}]
    rows, engines = [], []
    for stream in (False, True, False, True, False, True):  # two engines, each its own cache
        raw = claude.messages.with_raw_response.create(
            model="demo", messages=long, max_tokens=2, stream=stream
        )
        parsed = raw.parse()
        usage = list(parsed)[-2].usage if stream else parsed.usage
        row = gateway.row(raw.headers["x-request-id"])
        created = usage.cache_creation_input_tokens
        parts = (usage.input_tokens, created, usage.cache_read_input_tokens)
        assert tokens(row) == [sum(parts), 2, usage.cache_read_input_tokens]
        rows.append(row)
        engines.append(row["endpoint"])
    assert len({row["prompt_tokens"] for row in rows}) == 1
    assert any(row["cached_tokens"] for row in rows)


def test_a_streamed_message(claude, gateway):
    with claude.messages.stream(model="demo", messages=SAID, max_tokens=9) as stream:
        said = "".join(stream.text_stream)
        final = stream.get_final_message()
        request_id = stream.response.headers["x-request-id"]
    assert final.content[0].text == said
    assert final.usage.output_tokens == 9
    assert tokens(gateway.row(request_id))[1] == 9


def test_counting_tokens_costs_none(claude, gateway):
    gateway.rest()
    before = gateway.counters()
    raw = claude.messages.with_raw_response.count_tokens(model="demo", messages=SAID)
    counted = raw.parse().input_tokens
    row = gateway.row(raw.headers["x-request-id"])
    assert (row["operation"], tokens(row), row["estimated"]) == ("count_tokens", [0, 0, 0], 0)
    assert gateway.counters() == before
    asked = claude.messages.create(model="demo", messages=SAID, max_tokens=1).usage
    assert counted == (
        asked.input_tokens + asked.cache_creation_input_tokens + asked.cache_read_input_tokens
    )


def test_a_conversation_with_tools_and_images(claude, gateway):
    tool = {"name": "look", "description": "Looks.", "input_schema": {"type": "object", **TRAP}}
    image = {"type": "image", "source": {"type": "url", "url": "https://example.com/gate.png"}}
    inline = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    use = {"type": "tool_use", "id": "t1", "name": "look", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "a gate"}
    raw = claude.messages.with_raw_response.create(
        model="demo", max_tokens=3, system="Be brief.", tools=[tool], stop_sequences=["zzz"],
        messages=[
            {"role": "user", "content": [image, {"type": "text", "text": "What is this?"}]},
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [result, {"type": "image", "source": inline}]},
        ],
    )  # fmt: skip
    assert raw.parse().content[0].type == "text"
    assert gateway.row(raw.headers["x-request-id"])["completion_tokens"] == 3


def test_the_beta_path_and_bearer_keys(gateway):
    with anthropic.Anthropic(base_url=gateway.url, auth_token=ACME, max_retries=0) as claude:
        raw = claude.beta.messages.with_raw_response.create(
            model="demo", messages=SAID, max_tokens=1, betas=["token-efficient-tools-2025-02-19"]
        )
        assert raw.parse().usage.output_tokens == 1
    assert gateway.row(raw.headers["x-request-id"])["operation"] == "messages"


def test_refusals_are_the_sdks_own_exceptions(claude, gateway):
    stranger = claude.with_options(api_key="sk-headgate-wrong")
    rows = [
        (stranger, {}, anthropic.AuthenticationError, "authentication_error"),
        (claude, {"model": "claude-5"}, anthropic.NotFoundError, "not_found_error"),
        (claude, {"max_tokens": -1}, anthropic.BadRequestError, "invalid_request_error"),
    ]
    for sdk, members, error, kind in rows:
        with pytest.raises(error) as raised:
            sdk.messages.create(**{"model": "demo", "messages": SAID, "max_tokens": 1, **members})
        document = raised.value.body
        request_id = raised.value.response.headers["x-request-id"]
        assert (document["type"], document["error"]["type"]) == ("error", kind)
        assert document["request_id"] == request_id
        assert set(document) == {"type", "error", "request_id"}
        assert set(document["error"]) == {"type", "message"}
        assert gateway.row(request_id)["status"] == raised.value.status_code


ENDLESS = {"ignore_eos": True, "x_sim": {"itl_ms": 20}}
"""It goes on for longer than any client here takes to leave."""


def test_a_message_that_is_left_midway_is_flagged(gateway):
    """The engine names what it generated in the last event only: unknown is not nothing."""
    body = {"model": "demo", "messages": SAID, "max_tokens": 2000, "stream": True, **ENDLESS}
    with (
        gateway.http() as http,
        http.stream(
            "POST", MESSAGES, json=body, headers={"x-request-id": "message-left"}
        ) as answer,
    ):
        lines = (line for line in answer.iter_lines() if line.startswith("data: "))
        for _ in range(10):
            next(lines)
    row = gateway.row("message-left")
    assert row["prompt_tokens"] > 0
    assert row["completion_tokens"] is None
    assert (row["cut"], row["estimated"]) == (1, 1)


def test_a_response_that_is_left_midway_is_flagged(gateway):
    body = {"model": "demo", "input": "hi", "stream": True, **ENDLESS}
    with (
        gateway.http() as http,
        http.stream(
            "POST", RESPONSES, json=body, headers={"x-request-id": "response-left"}
        ) as answer,
    ):
        for line in answer.iter_lines():
            if "delta" in line:
                break
    row = gateway.row("response-left")
    assert tokens(row) == [None, None, None]
    assert (row["cut"], row["estimated"]) == (1, 1)


# ---- Chats --------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_several_answers_are_told_with_their_number(client, gateway, stream):
    """Usage says the prompt once; the engine computes it, and counts it, for every answer."""
    gateway.rest()
    before = gateway.counters()
    options = {"stream_options": {"include_usage": True}} if stream else {}
    raw = client.chat.completions.with_raw_response.create(
        model="demo", messages=SAID, n=3, max_completion_tokens=5, stream=stream, **options
    )
    parsed = raw.parse()
    usage = list(parsed)[-1].usage if stream else parsed.usage
    if not stream:
        assert [choice.index for choice in parsed.choices] == [0, 1, 2]
    assert usage.completion_tokens == 15
    request_id = raw.headers["x-request-id"]
    row, after = gateway.row(request_id), gateway.counters()
    assert tokens(row)[:2] == [usage.prompt_tokens, 15]
    n = entry(gateway, request_id)["headgate"]["n"]
    assert n == 3
    assert after[0] - before[0] == n * row["prompt_tokens"]
    assert after[1] - before[1] == row["completion_tokens"]


def test_one_answer_needs_no_number(client, gateway):
    raw = client.chat.completions.with_raw_response.create(
        model="demo", messages=SAID, max_tokens=1, n=1
    )
    raw.parse()
    assert "n" not in entry(gateway, raw.headers["x-request-id"])["headgate"]


@pytest.mark.parametrize("stream", [False, True])
def test_tools_and_log_probabilities_pass(client, gateway, stream):
    tool = {
        "type": "function",
        "function": {"name": "look", "parameters": {"type": "object", "properties": TRAP}},
    }
    raw = client.chat.completions.with_raw_response.create(
        model="demo", max_tokens=4, tools=[tool], tool_choice="auto", logprobs=True,
        top_logprobs=2, stream=stream, seed=3, temperature=0.5, stop=["zzz"],
        messages=[
            *SAID,
            {"role": "assistant", "tool_calls": [{
                "id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "a gate"},
        ],
    )  # fmt: skip
    parsed = raw.parse()
    if stream:
        assert all(chunk.usage is None for chunk in parsed)
    row = gateway.row(raw.headers["x-request-id"])
    assert row["completion_tokens"] == 4


SCHEMA = {"type": "object", "properties": {"say": {"type": "string"}, **TRAP}, **TRAP}


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_in_every_dialect(client, claude, gateway, stream):
    function = {"name": "look", "parameters": SCHEMA}
    chat = client.chat.completions.with_raw_response.create(
        model="demo", messages=SAID, tool_choice="required", stream=stream,
        tools=[{"type": "function", "function": function}],
    )  # fmt: skip
    response = client.responses.with_raw_response.create(
        model="demo", input=SAID, tool_choice="required", stream=stream,
        tools=[{"type": "function", "strict": False, **function}],
    )  # fmt: skip
    message = claude.messages.with_raw_response.create(
        model="demo", messages=SAID, tool_choice={"type": "tool", "name": "look"}, stream=stream,
        max_tokens=200, tools=[{"name": "look", "input_schema": SCHEMA}],
    )  # fmt: skip
    if stream:
        chunks, events = list(chat.parse()), list(response.parse())
        calls = [c.choices[0].delta.tool_calls for c in chunks if c.choices[0].delta.tool_calls]
        said = ["".join(call[0].function.arguments or "" for call in calls)]
        said += [events[-1].response.output[0].arguments]
        deltas = [each for each in message.parse() if each.type == "content_block_delta"]
        said += ["".join(each.delta.partial_json for each in deltas)]
    else:
        said = [chat.parse().choices[0].message.tool_calls[0].function.arguments]
        said += [response.parse().output[0].arguments]
        said += [json.dumps(message.parse().content[0].input)]
    assert all(json.loads(each)["say"] for each in said)
    for raw in (chat, response, message):
        row = gateway.row(raw.headers["x-request-id"])
        assert 10 < row["completion_tokens"] < 100
        assert 0 < row["prompt_tokens"] < 200


@pytest.mark.parametrize(
    "url", ["https://example.com/gate.png", f"data:image/png;base64,{PIXEL}"], ids=["url", "data"]
)
def test_images(client, gateway, url):
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
    ]
    raw = client.chat.completions.with_raw_response.create(
        model="demo", messages=[{"role": "user", "content": content}], max_tokens=1
    )
    assert raw.parse().usage.prompt_tokens == 8, "an image is one token to the built-in engine"
    assert gateway.row(raw.headers["x-request-id"])["prompt_tokens"] == 8
    parts = [{"type": "input_text", "text": "hi"}, {"type": "input_image", "image_url": url}]
    said = [{"role": "user", "content": parts}]
    assert client.responses.create(model="demo", input=said, max_output_tokens=1).usage


def test_an_image_as_large_as_a_body_may_be(client):
    url = "data:image/png;base64," + "A" * 16_000_000
    content = [{"type": "image_url", "image_url": {"url": url}}]
    answer = client.chat.completions.create(
        model="demo", messages=[{"role": "user", "content": content}], max_tokens=1
    )
    assert answer.usage.completion_tokens == 1
    with pytest.raises(openai.APIStatusError) as raised:
        content[0]["image_url"]["url"] += "A" * 1_000_000
        client.chat.completions.create(
            model="demo", messages=[{"role": "user", "content": content}], max_tokens=1
        )
    assert (raised.value.status_code, raised.value.code) == (413, "request_too_large")


# ---- All of them ----------------------------------------------------------------------------------

PLAIN = {
    RESPONSES: {"input": "one two", "max_output_tokens": 12, "seed": 5},
    MESSAGES: {"messages": SAID, "max_tokens": 12},
}
VOLATILE = re.compile(r'"(id|item_id)":"[^"]*"|"created_at":\d+|"cach[a-z_]*":\d+')


@pytest.mark.parametrize("path", PLAIN)
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_the_engines_own(gateway, path, stream):
    """Byte for byte, but for ids, times and what was cached."""
    body = {"model": "demo", "stream": stream, **PLAIN[path]}
    endpoint = gateway.engines()[0]
    direct = httpx.post(f"http://{endpoint}{path}", json=body, timeout=30).text
    with gateway.http() as http:
        through = http.post(path, json=body).text
    assert VOLATILE.sub("", through) == VOLATILE.sub("", direct)


def test_ledger_equals_the_engines_counters(gateway):
    gateway.rest()
    before, ids = gateway.counters(), []
    with gateway.http() as http:
        for number in range(24):
            said = [{"role": "user", "content": f"question {number} " * (1 + number)}]
            path, body = [
                (CHAT, {"messages": said, "max_tokens": 1 + number % 5}),
                (RESPONSES, {"input": said, "max_output_tokens": 1 + number % 5}),
                (MESSAGES, {"messages": said, "max_tokens": 1 + number % 5}),
                ("/v1/messages/count_tokens", {"messages": said}),
            ][number % 4]
            streams = {"stream": number % 8 > 3} if number % 4 < 3 else {}
            answer = http.post(path, json={"model": "demo", **streams, **body})
            assert answer.status_code == 200, answer.text
            ids.append(answer.headers["x-request-id"])
    rows = [gateway.row(request_id) for request_id in ids]
    after = gateway.counters()
    ledger = [sum(row[f"{kind}_tokens"] for row in rows) for kind in ("prompt", "completion")]
    assert ledger == [after[0] - before[0], after[1] - before[1]]
    assert not any(row["estimated"] or row["cut"] for row in rows)
