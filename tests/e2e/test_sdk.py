"""What users do: the unmodified OpenAI SDK, through real Envoy."""

import json

import httpx
import openai
import pytest
from openai import OpenAI

from tests.e2e.conftest import GLOBEX, events, wait_for

MESSAGES = [{"role": "user", "content": "Tell me about gates"}]
VOLATILE = ("id", "created", "system_fingerprint")


def test_chat(client, gateway):
    answer = client.chat.completions.with_raw_response.create(
        model="demo", messages=MESSAGES, max_tokens=7
    )
    parsed = answer.parse()
    assert parsed.choices[0].message.content
    assert parsed.usage.completion_tokens == 7
    row = gateway.row(answer.headers["x-request-id"])
    assert (row["tenant"], row["project"], row["key_id"]) == ("acme", "support", "acme-support")
    assert (row["model"], row["operation"], row["status"]) == ("demo", "chat", 200)
    assert row["prompt_tokens"] == parsed.usage.prompt_tokens
    assert row["completion_tokens"] == 7
    assert row["endpoint"] in gateway.engines()
    assert row["attempts"] == 1
    assert 0 < row["ttft_us"] <= row["latency_us"]


def test_chat_stream_without_usage_has_none(client, gateway):
    stream = client.chat.completions.create(
        model="demo", messages=MESSAGES, max_tokens=9, stream=True
    )
    chunks = list(stream)
    assert all(chunk.usage is None for chunk in chunks)
    assert all(chunk.choices for chunk in chunks)
    row = gateway.row(stream.response.headers["x-request-id"])
    assert row["completion_tokens"] == 9


def test_chat_stream_with_usage(client, gateway):
    stream = client.chat.completions.create(
        model="demo", messages=MESSAGES, max_tokens=9, stream=True,
        stream_options={"include_usage": True},
    )  # fmt: skip
    chunks = list(stream)
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].usage.completion_tokens == 9
    row = gateway.row(stream.response.headers["x-request-id"])
    assert row["prompt_tokens"] == chunks[-1].usage.prompt_tokens


def test_completions(client, gateway):
    answer = client.completions.with_raw_response.create(model="demo", prompt="a b c", max_tokens=3)
    assert answer.parse().usage.completion_tokens == 3
    assert gateway.row(answer.headers["x-request-id"])["operation"] == "completions"
    assert "".join(
        chunk.choices[0].text
        for chunk in client.completions.create(
            model="demo", prompt="a b c", max_tokens=3, stream=True
        )
    )


def test_embeddings(client, gateway):
    answer = client.embeddings.with_raw_response.create(model="demo", input=["one two", "three"])
    parsed = answer.parse()
    assert len(parsed.data) == 2
    row = gateway.row(answer.headers["x-request-id"])
    assert (row["prompt_tokens"], row["completion_tokens"]) == (parsed.usage.prompt_tokens, 0)


def test_models(client):
    assert [model.id for model in client.models.list()] == ["demo"]
    assert client.models.retrieve("demo").id == "demo"
    with pytest.raises(openai.NotFoundError) as raised:
        client.models.retrieve("gpt-5")
    assert raised.value.code == "model_not_found"


def test_refusals_are_the_sdks_own_exceptions(gateway):
    with pytest.raises(openai.AuthenticationError) as raised:
        gateway.client("sk-headgate-wrong").chat.completions.create(model="demo", messages=MESSAGES)
    assert raised.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError) as raised:
        gateway.client().chat.completions.create(model="gpt-5", messages=MESSAGES)
    assert raised.value.param == "model"
    row = gateway.row(raised.value.response.headers["x-request-id"])
    assert (row["deny_reason"], row["tenant"], row["endpoint"]) == ("model_not_found", "acme", None)
    with pytest.raises(openai.BadRequestError) as raised:
        gateway.client().chat.completions.create(model="demo", messages=MESSAGES, max_tokens=-1)
    assert raised.value.param == "max_tokens"


def test_project_header_narrows_and_never_widens(gateway):
    ask = {"model": "demo", "messages": MESSAGES, "max_tokens": 1}
    with gateway.http(GLOBEX) as http:
        narrowed = http.post("/v1/chat/completions", json=ask, headers={"x-project-id": "research"})
        assert gateway.row(narrowed.headers["x-request-id"])["project"] == "research"
        for header in ({"x-project-id": "support"}, {"x-tenant-id": "acme"}):
            refused = http.post("/v1/chat/completions", json=ask, headers=header)
            assert refused.status_code == 403
            assert refused.json()["error"]["code"] == "identity_mismatch"


def comparable(event):
    """Without what differs between any two calls: ids, times, how much of the prompt was cached.

    And without `system_fingerprint`: vLLM puts it into the usage event when there is one, and into
    the last event with choices otherwise.
    """
    event = {name: value for name, value in event.items() if name not in VOLATILE}
    if event.get("usage"):
        event["usage"] = {**event["usage"], "prompt_tokens_details": None}
    return event


@pytest.mark.parametrize("options", [None, {"include_usage": True}, {"continuous_usage_stats": True},
    {"include_usage": True, "continuous_usage_stats": True}])  # fmt: skip
@pytest.mark.parametrize("operation", ["chat", "completions"])
def test_a_stream_is_the_engines_own(gateway, operation, options):
    """Same events, same order, byte for byte but for ids and times: the engine is deterministic."""
    path = "/v1/chat/completions" if operation == "chat" else "/v1/completions"
    asked = {"messages": MESSAGES} if operation == "chat" else {"prompt": "a b c"}
    body = {"model": "demo", "stream": True, "max_tokens": 12, "n": 2, **asked}
    if options:
        body["stream_options"] = options
    direct = httpx.post(f"http://{gateway.engines()[0]}{path}", json=body, timeout=30).text
    with gateway.http() as http:
        through = http.post(path, json=body).text
    assert through.splitlines()[-2:] == direct.splitlines()[-2:]
    assert len(through.splitlines()) == len(direct.splitlines())
    for ours, its in zip(events(through), events(direct), strict=True):
        assert json.dumps(comparable(ours)) == json.dumps(comparable(its))


def test_ledger_equals_the_engines_counters(gateway):
    gateway.rest()
    before, client = gateway.counters(), gateway.client()
    ids = []
    for number in range(30):
        answer = client.chat.completions.with_raw_response.create(
            model="demo", max_tokens=1 + number % 7, stream=number % 2 == 0,
            messages=[{"role": "user", "content": f"question {number} " * (1 + number)}],
        )  # fmt: skip
        parsed = answer.parse()
        if number % 2 == 0:
            assert list(parsed)
        ids.append(answer.headers["x-request-id"])
    rows = [gateway.row(request_id) for request_id in ids]
    after = gateway.counters()
    ledger = [sum(row[f"{kind}_tokens"] for row in rows) for kind in ("prompt", "completion")]
    assert ledger == [after[0] - before[0], after[1] - before[1]]


def test_trace_and_request_ids(gateway):
    ours = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    ask = {"model": "demo", "messages": MESSAGES, "max_tokens": 1}
    with gateway.http() as http:
        headers = {"x-request-id": "mine-1", "traceparent": ours}
        answers = [http.post("/v1/chat/completions", json=ask, headers=headers) for _ in range(2)]
    assert {answer.headers["x-request-id"] for answer in answers} == {"mine-1"}
    rows = wait_for(lambda: len(found := gateway.rows("request_id = 'mine-1'")) == 2 and found)
    assert len({row["settle_key"] for row in rows}) == 2, "one request id, two requests, two rows"
    assert {row["trace_id"] for row in rows} == {ours[3:35]}


def test_http2_and_plain_http_work(gateway):
    with gateway.http(http1=False, http2=True) as http:
        assert http.get("/v1/models").status_code == 200


def test_nothing_secret_in_logs(gateway):
    client = OpenAI(base_url=f"{gateway.url}/v1", api_key="sk-headgate-acme", max_retries=0)
    secret = "my-private-number-4711"
    asked = client.chat.completions.with_raw_response.create(
        model="demo", messages=[{"role": "user", "content": secret}], max_tokens=1, user=secret
    )
    with gateway.http() as http:
        listed = http.get(f"/v1/models?api_key={secret}")
    for answer in (asked, listed):  # all that is written of them is there
        gateway.row(answer.headers["x-request-id"])
    for path in [*gateway.state.glob("log/*"), *gateway.state.glob("journal/*")]:
        try:
            text = path.read_text()
        except FileNotFoundError:  # it was settled meanwhile
            continue
        assert secret not in text, path
        assert "sk-headgate-" not in text, path
    assert secret not in gateway.metrics()
