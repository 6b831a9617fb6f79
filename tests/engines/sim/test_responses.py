"""Answers of /v1/responses: the same words, whole and streamed, counted to the token."""

import json

import pytest

from .conftest import Client

BODY = {"model": "tiny", "input": "one two", "seed": 3}


async def ask(sim: Client, **members):
    async with sim.post("/v1/responses", json={**BODY, **members}) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.text()


def events(text):
    return [json.loads(block.split("\ndata: ")[1]) for block in text.strip().split("\n\n")]


async def counters(sim: Client):
    async with sim.get("/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return [
        sum(float(line.split()[-1]) for line in lines if line.startswith(f"vllm:{kind}_tokens_tot"))
        for kind in ("prompt", "generation")
    ]


@pytest.mark.parametrize(
    ("members", "status", "reason"),
    [
        ({"max_output_tokens": 5}, "incomplete", {"reason": "max_output_tokens"}),
        ({}, "completed", None),
    ],
)
async def test_whole(sim: Client, members, status, reason):
    whole = json.loads(await ask(sim, **members))
    assert (whole["status"], whole["incomplete_details"]) == (status, reason)
    usage = whole["usage"]
    assert usage["input_tokens"] == 5
    assert [usage["input_tokens"], usage["output_tokens"]] == await counters(sim)
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


async def test_streamed(sim: Client):
    whole = json.loads(await ask(sim))
    told = events(await ask(sim, stream=True))
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    text = whole["output"][0]["content"][0]["text"]
    deltas = [event["delta"] for event in told if event["type"] == "response.output_text.delta"]
    assert "".join(deltas) == text
    assert len(deltas) == whole["usage"]["output_tokens"] - 1, "the end-of-text token has no text"
    assert told[-1]["response"]["output"][0]["content"][0]["text"] == text
    assert told[-1]["response"]["usage"]["output_tokens"] == whole["usage"]["output_tokens"]
    assert told[0]["response"]["usage"] is told[1]["response"]["usage"] is None


async def test_what_was_asked_is_repeated(sim: Client):
    tools = [{"type": "function", "name": "f", "parameters": {"usage": {"input_tokens": 999}}}]
    asked = {"tools": tools, "instructions": "Be brief.", "temperature": 0.5, "tool_choice": "auto"}
    whole = json.loads(await ask(sim, **asked))
    [tool] = whole.pop("tools")
    assert tool.items() >= asked.pop("tools")[0].items()
    assert {name: whole[name] for name in asked} == asked


async def test_a_call_is_the_same_whole_and_streamed(sim: Client):
    tools = [{"type": "function", "name": "f"}, {"type": "function", "name": "g"}]
    asked = {"tools": tools, "tool_choice": {"type": "function", "name": "g"}}
    whole = json.loads(await ask(sim, **asked))
    [call] = whole["output"]
    assert (call["type"], call["name"], whole["status"]) == ("function_call", "g", "completed")
    assert json.loads(call["arguments"])["say"]
    told = events(await ask(sim, stream=True, **asked))
    deltas = [event["delta"] for event in told if event["type"].endswith("arguments.delta")]
    assert "".join(deltas) == call["arguments"]
    assert len(deltas) == whole["usage"]["output_tokens"] - 1
    assert told[-1]["response"]["output"][0]["call_id"] == call["call_id"]


async def test_the_cache_is_told(sim: Client):
    long = "one two three " * 50
    usages = [json.loads(await ask(sim, input=long))["usage"] for _ in range(2)]
    first, second = (usage["input_tokens_details"] for usage in usages)
    assert (first["cached_tokens"], second["cache_write_tokens"]) == (0, 0)
    assert first["cache_write_tokens"] == second["cached_tokens"] > 0


async def test_the_first_events_do_not_wait_for_a_token(sim: Client):
    body = {**BODY, "stream": True, "x_sim": {"ttft_ms": 60_000}}
    async with sim.post("/v1/responses", json=body) as answer:
        first = await answer.content.readuntil(b"\n\n")
        second = await answer.content.readuntil(b"\n\n")
    assert first.startswith(b"event: response.created\n")
    assert second.startswith(b"event: response.in_progress\n")


async def test_the_background_is_refused(sim: Client):
    async with sim.post("/v1/responses", json={**BODY, "background": True}) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["param"] == "background"
