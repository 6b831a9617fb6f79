"""Answers that are ended midway because they outrun a limit, through real Envoy and real SDKs."""

import json

import pytest
from anthropic import Anthropic
from openai import OpenAI

from tests.e2e.conftest import ACME, GLOBEX, count_running, wait_for
from tests.e2e.limits import CHAT, ask, limited

HARD = {"name": "hard", "per": "tenant", "completion_tokens": 600, "every": "31d", "stop": True}
MESSAGES = {"role": "user", "content": "go on and on"}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    with limited(tmp_path_factory.mktemp("stop"), HARD) as gateway:
        yield gateway


def test_a_stream_that_outruns_its_limit_ends_politely_and_stops_the_engine(own):
    before = own.counters()[1]
    client = OpenAI(base_url=f"{own.url}/v1", api_key=ACME, max_retries=0)
    stream = client.chat.completions.create(
        model="demo", messages=[MESSAGES], stream=True, max_tokens=5000,
        stream_options={"include_usage": True}, extra_body={"ignore_eos": True, "x_sim": {"itl_ms": 2}},
        extra_headers={"x-request-id": "outruns"},
    )  # fmt: skip
    chunks = list(stream)
    said = [chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    last = [chunk for chunk in chunks if chunk.choices][-1]
    assert last.choices[0].finish_reason == "length"
    assert last.model_extra["x_headgate"] == {"stopped_by": "hard"}
    usage = chunks[-1].usage
    assert 256 <= usage.completion_tokens <= 600
    assert len(said) <= usage.completion_tokens
    row = own.row("outruns")
    assert (row["status"], row["completion_tokens"]) == (200, usage.completion_tokens)
    assert (row["prompt_tokens"], row["cut"]) == (usage.prompt_tokens, 1)
    wait_for(lambda: not any(map(count_running, own.engines())), what="the engine to stop")
    made = own.counters()[1] - before
    assert usage.completion_tokens <= made < 5000, "the engine went on"


def test_what_was_not_used_can_be_used_by_the_next(own):
    """What the stream above left is less than a slice: a short answer still fits."""
    left = 600 - own.row("outruns")["completion_tokens"]

    def fits():
        with own.http() as http:
            answer = http.post(CHAT, json=ask(max_tokens=max(1, left - 1)))
        return answer.status_code == 200 and answer

    answer = wait_for(fits, what="the stream to be settled")
    assert int(answer.headers["x-ratelimit-remaining-tokens"]) <= 1


def test_a_message_ends_with_max_tokens(own):
    client = Anthropic(base_url=own.url, api_key=GLOBEX, max_retries=0)
    with client.messages.stream(
        model="demo", messages=[MESSAGES], max_tokens=4000,
        extra_body={"ignore_eos": True, "x_sim": {"itl_ms": 2}}, extra_headers={"x-request-id": "message"},
    ) as stream:  # fmt: skip
        message = stream.get_final_message()
    assert message.stop_reason == "max_tokens"
    assert 0 < message.usage.output_tokens <= 600
    row = own.row("message")
    assert (row["completion_tokens"], row["cut"]) == (message.usage.output_tokens, 1)


def test_what_is_within_its_limit_is_as_the_engine_made_it(own, tmp_path):
    """Passing before our eyes changes nothing: the same stream without limits, byte for byte."""
    ids = ("id", "created")

    def events(gateway):
        with gateway.http(GLOBEX) as http:
            answer = http.post(CHAT, json=ask("same", stream=True, max_tokens=3, seed=7))
        lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: {")]
        documents = [json.loads(line) for line in lines]
        return [{k: v for k, v in d.items() if k not in ids} for d in documents]

    with limited(tmp_path) as free:
        assert events(own) == events(free)


def test_a_response_ends_incomplete(tmp_path):
    with limited(tmp_path, HARD) as own:
        client = OpenAI(base_url=f"{own.url}/v1", api_key=ACME, max_retries=0)
        with client.responses.stream(
            model="demo", input="go on", max_output_tokens=4000,
            extra_body={"ignore_eos": True, "x_sim": {"itl_ms": 2}},
            extra_headers={"x-request-id": "response"},
        ) as stream:  # fmt: skip
            events = list(stream)
        last = events[-1]
        assert (last.type, last.response.status) == ("response.incomplete", "incomplete")
        assert last.response.incomplete_details.reason == "max_output_tokens"
        assert 0 < last.response.usage.output_tokens <= 600
        assert last.response.output_text
        assert own.row("response")["completion_tokens"] == last.response.usage.output_tokens
