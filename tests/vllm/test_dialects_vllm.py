"""Against real vLLM on CPU: every API, tools, log probabilities and several answers, exact to the token."""

import json
from concurrent.futures import ThreadPoolExecutor

import anthropic
import pytest

from tests.e2e.conftest import ACME, events, running, wait_for

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]
CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
COUNT = "/v1/messages/count_tokens"
REQUESTS = 120
SCHEMA = {
    "type": "object",
    "properties": {"usage": {"type": "string", "enum": ["rain", "sun"]}},
    "required": ["usage"],
    "additionalProperties": False,
    "usage": {"input_tokens": 999, "output_tokens": 999},
}
FUNCTION = {
    "name": "weather",
    "description": "Tells the usage.",
    "strict": True,
    "parameters": SCHEMA,
}
HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with running(tmp_path_factory.mktemp("vllm") / "s", "--vllm", start_s=420) as started:
        yield started


@pytest.fixture
def client(gateway):
    with gateway.client() as sdk:
        yield sdk


@pytest.fixture
def claude(gateway):
    with anthropic.Anthropic(base_url=gateway.url, api_key=ACME, max_retries=0) as sdk:
        yield sdk


def plan(number):
    """Six ways of asking, in turn, each streamed every other time; long prompts come twice."""
    turns = [
        {"role": "user", "content": f"Question {number % 13}: " + "why " * (40 * (number % 5))}
    ]
    length, stream = 1 + number % 23, number % 12 > 5
    match number % 6:
        case 0:
            return CHAT, {"messages": turns, "max_completion_tokens": length, "stream": stream}
        case 1:
            return RESPONSES, {"input": turns, "max_output_tokens": length, "stream": stream}
        case 2:
            return MESSAGES, {"messages": turns, "max_tokens": length, "stream": stream}
        case 3:
            tools = [{"type": "function", **FUNCTION}]
            body = {"input": turns, "tools": tools, "tool_choice": "required", "stream": stream}
            return RESPONSES, {**body, "max_output_tokens": 100}
        case 4:
            tools = [{"name": "weather", "input_schema": SCHEMA, "strict": True}]
            body = {"messages": turns, "tools": tools, "tool_choice": {"type": "any"}}
            return MESSAGES, {**body, "max_tokens": 100, "stream": stream}
        case _:
            return COUNT, {"messages": turns}


def settled(gateway, ids):
    wanted = set(ids)

    def rows():
        found = [row for row in gateway.rows("model = 'tiny'") if row["request_id"] in wanted]
        return len(found) >= len(wanted) and found

    found = wait_for(rows, what="all rows")
    assert len(found) == len(wanted)
    return {row["request_id"]: row for row in found}


def usage_of(path, body, text):
    """What the client was told: prompt, completion and cached tokens."""
    if path == COUNT:
        return [0, 0, 0]
    if path == CHAT:
        usage = json.loads(text)["usage"]
        cached = usage["prompt_tokens_details"]["cached_tokens"]
        return [usage["prompt_tokens"], usage["completion_tokens"], cached]
    told = events(text) if body["stream"] else [json.loads(text)]
    if path == RESPONSES:
        usage = (told[-1]["response"] if body["stream"] else told[0])["usage"]
        cached = usage["input_tokens_details"]["cached_tokens"]
        return [usage["input_tokens"], usage["output_tokens"], cached]
    usage = told[-2 if body["stream"] else 0]["usage"]
    parts = [usage[f"{part}input_tokens"] for part in ("", "cache_creation_", "cache_read_")]
    return [sum(parts), usage["output_tokens"], parts[-1]]


def test_ledger_equals_vllms_counters_in_every_dialect(gateway):
    before = gateway.counters()

    def one(number):
        path, body = plan(number)
        with gateway.http() as http:
            headers = {"x-request-id": f"dialect-{number}"}
            answer = http.post(path, json={"model": "tiny", **body}, headers=headers)
        assert answer.status_code == 200, answer.text
        return f"dialect-{number}", path, body, answer.text

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(one, range(REQUESTS)))
    rows = settled(gateway, [answer[0] for answer in answers])
    after = gateway.counters()
    for at, kind in enumerate(("prompt", "completion")):
        assert sum(row[f"{kind}_tokens"] for row in rows.values()) == after[at] - before[at]
    assert any(row["cached_tokens"] for row in rows.values()), "the prefix cache was never hit"
    for request_id, path, body, text in answers:
        row = rows[request_id]
        assert (row["status"], row["cut"], row["estimated"]) == (200, 0, 0)
        assert (row["ttft_us"] is None) == (path == RESPONSES)
        if path == CHAT and body["stream"]:
            assert not any(event.get("usage") for event in events(text))
        else:
            ledger = [row["prompt_tokens"], row["completion_tokens"], row["cached_tokens"]]
            assert ledger == usage_of(path, body, text), request_id


@pytest.mark.parametrize("stream", [False, True])
def test_several_answers_are_counted_by_formula(gateway, stream):
    before, expected = gateway.counters(), [0, 0]
    for n in (1, 2, 3):
        for path, asked in ((CHAT, {"messages": HELLO}), ("/v1/completions", {"prompt": "hello"})):
            request_id = f"n-{n}-{stream}-{len(path)}"
            body = {"model": "tiny", "n": n, "stream": stream, "max_tokens": 6, "seed": n, **asked}
            with gateway.http() as http:
                http.post(path, json=body, headers={"x-request-id": request_id})
            row = settled(gateway, [request_id])[request_id]
            lines = (gateway.state / "log" / "access.jsonl").read_text().splitlines()
            [entry] = [json.loads(line) for line in lines if request_id in line]
            assert entry["headgate"].get("n", 1) == n
            expected[0] += n * row["prompt_tokens"]
            expected[1] += row["completion_tokens"]
    after = gateway.counters()
    assert [after[0] - before[0], after[1] - before[1]] == expected


def test_tools_and_log_probabilities_with_openais_sdk(client):
    tools = [{"type": "function", "function": FUNCTION}]
    asked = {"model": "tiny", "messages": HELLO, "tools": tools, "tool_choice": "required"}
    answer = client.chat.completions.create(**asked, seed=2, max_tokens=100)
    [call] = answer.choices[0].message.tool_calls
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments)["usage"] in ("rain", "sun")
    chunks = list(client.chat.completions.create(**asked, seed=2, max_tokens=100, stream=True))
    deltas = [chunk.choices[0].delta for chunk in chunks]
    said = "".join(d.tool_calls[0].function.arguments or "" for d in deltas if d.tool_calls)
    assert json.loads(said)["usage"] in ("rain", "sun")
    assert all(chunk.usage is None for chunk in chunks)
    answer = client.chat.completions.create(
        model="tiny", messages=HELLO, max_tokens=4, logprobs=True, top_logprobs=2
    )
    assert len(answer.choices[0].logprobs.content) == answer.usage.completion_tokens
    assert len(answer.choices[0].logprobs.content[0].top_logprobs) == 2


def test_tools_in_a_response_with_openais_sdk(client):
    stream = client.responses.create(
        model="tiny", input="hello", tools=[{"type": "function", **FUNCTION}],
        tool_choice="required", max_output_tokens=200, stream=True, extra_body={"seed": 2},
    )  # fmt: skip
    last = list(stream)[-1]
    assert last.type == "response.completed"
    calls = last.response.output  # one or more: the model is made of random numbers
    assert {(call.type, call.name) for call in calls} == {("function_call", "weather")}
    assert last.response.tools[0].parameters["usage"] == SCHEMA["usage"]


def test_tools_in_a_message_with_anthropics_sdk(claude, gateway):
    tools = [{"name": "weather", "input_schema": SCHEMA, "strict": True}]
    choice = {"type": "tool", "name": "weather"}
    with claude.messages.stream(
        model="tiny", messages=HELLO, max_tokens=100, tools=tools, tool_choice=choice
    ) as stream:
        final = stream.get_final_message()
        request_id = stream.response.headers["x-request-id"]
    assert (final.content[0].type, final.content[0].name) == ("tool_use", "weather")
    row = gateway.row(request_id)
    assert row["completion_tokens"] == final.usage.output_tokens
    counted = claude.messages.count_tokens(model="tiny", messages=HELLO).input_tokens
    usage = claude.messages.create(model="tiny", messages=HELLO, max_tokens=1).usage
    cached = usage.cache_creation_input_tokens + usage.cache_read_input_tokens
    assert counted == usage.input_tokens + cached


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        (MESSAGES, {"messages": HELLO, "max_tokens": 3000}),
        (RESPONSES, {"input": "hello", "max_output_tokens": 3000}),
    ],
)
def test_a_cut_stream_is_flagged_and_never_above_the_engine(gateway, path, asked):
    before, request_id = gateway.counters(), f"cut{path.replace('/', '-')}"
    body = {"model": "tiny", "stream": True, "temperature": 1, "ignore_eos": True, **asked}
    with (
        gateway.http() as http,
        http.stream("POST", path, json=body, headers={"x-request-id": request_id}) as answer,
    ):
        for line in answer.iter_lines():
            if "delta" in line:
                break
    row = settled(gateway, [request_id])[request_id]
    assert (row["cut"], row["estimated"], row["completion_tokens"]) == (1, 1, None)
    after = wait_for(lambda: (now := gateway.counters())[1] > before[1] and now)
    assert (row["prompt_tokens"] or 0) <= after[0] - before[0]
    assert row["prompt_tokens"] == (after[0] - before[0] if path == MESSAGES else None)


def test_an_engines_own_refusal_passes(gateway, claude):
    with pytest.raises(anthropic.BadRequestError) as raised:
        claude.messages.create(model="tiny", messages=HELLO, max_tokens=5_000)
    row = gateway.row(raised.value.response.headers["x-request-id"])
    assert (row["status"], row["completion_tokens"], row["estimated"]) == (400, 0, 0)
