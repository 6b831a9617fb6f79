"""The answers beside recorded answers of a real vLLM: same members in the same order, same events.

Words, numbers and ids differ, so values are compared by their type; of errors, the type, the field
and the code are compared too.
"""

import json
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from .conftest import Client

RECORDED = Path(__file__).parents[2] / "fixtures" / "vllm"

JSON = ["chat", "chat_n2", "chat_tools_none", "chat_long", "chat_long_cached"]
JSON += ["responses", "responses_messages", "responses_long", "responses_long_cached"]
JSON += ["chat_tool_call", "responses_tool_call", "messages_tool_call"]
JSON += ["messages", "messages_long", "messages_long_cached", "count_tokens"]
JSON += ["completions", "completions_n2", "completions_two_prompts", "models", "tokenize"]
STREAMS = [
    *("chat_stream", "chat_stream_usage", "chat_stream_continuous"),
    *("chat_stream_n2", "chat_stream_n2_continuous", "chat_stream_tools_none"),
    *("completions_stream", "completions_stream_usage", "completions_stream_continuous"),
    *("chat_stream_tool_call", "chat_stream_tool_call_continuous"),
    "completions_stream_n2_continuous",
]
NAMED_STREAMS = [
    *("responses_stream", "responses_stream_cached", "responses_stream_tool_call"),
    *("messages_stream", "messages_stream_cached", "messages_stream_tool_call"),
]
ERRORS = [
    *("error_unknown_model", "error_bad_json", "error_empty_body", "error_no_messages"),
    *("error_wrong_type", "error_out_of_range", "error_max_tokens_too_large"),
    *("error_stream_options_alone", "error_no_such_path", "error_wrong_method"),
    *("error_responses_unknown_model", "error_responses_wrong_type"),
    *("error_messages_unknown_model", "error_messages_wrong_type"),
    *("error_messages_no_messages", "error_messages_max_tokens_too_large"),
]


def recorded(name: str) -> tuple[dict[str, Any], str]:
    return json.loads((RECORDED / f"{name}.json").read_text()), (
        RECORDED / f"{name}.body"
    ).read_text()


async def ask(sim: Client, request: dict[str, Any]) -> tuple[int, str | None, str]:
    body = request["body"]
    raw = body if isinstance(body, str | None) else json.dumps(body)
    headers = {} if raw is None else {"Content-Type": "application/json"}
    async with sim.request(request["method"], request["path"], data=raw, headers=headers) as answer:
        return answer.status, answer.headers.get("Content-Type"), await answer.text()


def shape(value: object) -> object:
    """Members in their order, and the types of all that is not an object."""
    if isinstance(value, dict):
        # The input of a tool is of the tool's shape.
        return [(n, "input" if n == "input" else shape(member)) for n, member in value.items()]
    if isinstance(value, list):
        return [told for told, _ in groupby(map(shape, value))]
    return type(value).__name__


def event_shapes(text: str) -> list[object]:
    """The events of a stream, choice by choice, repeats told once."""
    datas = [block.removeprefix("data: ") for block in text.strip().split("\n\n")]
    assert datas.pop() == "[DONE]"
    events = [json.loads(data) for data in datas]
    events.sort(key=lambda event: event["choices"][0]["index"] if event["choices"] else 1000)
    return [told for told, _ in groupby(map(shape, events))]


@pytest.mark.parametrize("name", JSON)
async def test_bodies(sim: Client, name: str):
    real, real_text = recorded(name)
    status, media_type, text = await ask(sim, real["request"])
    assert (status, media_type) == (real["status"], "application/json")
    assert shape(json.loads(text)) == shape(json.loads(real_text))


@pytest.mark.parametrize("name", STREAMS)
async def test_streams(sim: Client, name: str):
    real, real_text = recorded(name)
    status, media_type, text = await ask(sim, real["request"])
    assert (status, media_type) == (200, "text/event-stream; charset=utf-8")
    assert ["content-type", media_type] in real["headers"]
    assert event_shapes(text) == event_shapes(real_text)


def named_event_shapes(text: str) -> list[object]:
    """The events of a stream whose events have names, each kind told once."""
    told: list[object] = []
    for block in text.strip().split("\n\n"):
        name, data = block.split("\n")
        document = json.loads(data.removeprefix("data: "))
        assert name == f"event: {document['type']}"
        if (event := (name, shape(document))) not in told:
            told.append(event)
    return told


@pytest.mark.parametrize("name", NAMED_STREAMS)
async def test_named_streams(sim: Client, name: str):
    real, real_text = recorded(name)
    status, media_type, text = await ask(sim, real["request"])
    assert (status, media_type) == (200, "text/event-stream; charset=utf-8")
    assert named_event_shapes(text) == named_event_shapes(real_text)


@pytest.mark.parametrize("name", ERRORS)
async def test_errors(sim: Client, name: str):
    real, real_text = recorded(name)
    status, _, text = await ask(sim, real["request"])
    body, real_body = json.loads(text), json.loads(real_text)
    assert status == real["status"]
    for error in (body.get("error", {}), real_body.get("error", {})):
        error.pop("message", None)
    assert json.dumps(body) == json.dumps(real_body)


def samples(text: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Of every sample, the type of its family and its labels."""
    return {
        sample.name: (family.type, frozenset(sample.labels))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def buckets(text: str, names: set[str]) -> set[tuple[str, str]]:
    return {
        (sample.name, sample.labels["le"])
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name in names and "le" in sample.labels
    }


async def test_metrics(sim: Client):
    real, real_text = recorded("metrics")
    _, _, text = await ask(sim, real["request"])
    told, known = samples(text), samples(real_text)
    _, config = told.pop("vllm:cache_config_info")
    _, known_config = known.pop("vllm:cache_config_info")

    assert config <= known_config
    assert told.items() <= known.items()
    assert buckets(text, set(told)) == buckets(real_text, set(told))
