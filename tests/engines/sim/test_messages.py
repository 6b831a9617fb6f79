"""Answers of /v1/messages: the same words, whole and streamed, counted to the token."""

import json

import pytest

from .conftest import Client

BODY = {
    "model": "tiny",
    "max_tokens": 200,
    "messages": [{"role": "user", "content": "one two"}],
}


async def ask(sim: Client, path="/v1/messages", **members):
    async with sim.post(path, json={**BODY, **members}) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.text()


def events(text):
    return [json.loads(block.split("\ndata: ")[1]) for block in text.strip().split("\n\n")]


@pytest.mark.parametrize(
    ("members", "reason"),
    [({}, "end_turn"), ({"max_tokens": 5}, "max_tokens"), ({"max_tokens": 1}, "max_tokens")],
)
async def test_whole_and_streamed(sim: Client, members, reason):
    whole = json.loads(await ask(sim, **members))
    told = events(await ask(sim, stream=True, **members))
    assert whole["stop_reason"] == told[-2]["delta"]["stop_reason"] == reason
    assert "stop_sequence" not in whole
    deltas = [event["delta"]["text"] for event in told if event["type"] == "content_block_delta"]
    assert "".join(deltas) == whole["content"][0]["text"]
    assert len(deltas) == whole["usage"]["output_tokens"] - (reason == "end_turn")
    assert told[0]["message"]["usage"] == {"input_tokens": 5, "output_tokens": 0}
    assert told[-2]["usage"] == whole["usage"]


async def test_a_stop_sequence_is_named(sim: Client):
    text = json.loads(await ask(sim))["content"][0]["text"]
    stop = text.split()[3]
    whole = json.loads(await ask(sim, stop_sequences=[stop]))
    assert (whole["stop_reason"], whole["stop_sequence"]) == ("stop_sequence", stop)


async def test_the_prompt_is_told_in_three_parts(sim: Client):
    long = {"messages": [{"role": "user", "content": "one two three " * 50}]}
    names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    usages = [json.loads(await ask(sim, **long))["usage"] for _ in range(2)]
    first, second = ([usage[name] for name in names] for usage in usages)
    assert sum(first) == sum(second) == 153
    assert first[0] == second[0] == 153 % 32
    assert first[1:] == second[:0:-1] == [128, 0]


async def test_count_tokens_counts_and_generates_nothing(sim: Client):
    counted = json.loads(await ask(sim, "/v1/messages/count_tokens"))
    assert counted["input_tokens"] == 5
    async with sim.get("/metrics") as answer:
        text = await answer.text()
    assert all(
        line.endswith(" 0.0")
        for line in text.splitlines()
        if line.startswith("vllm:prompt_tokens_t")
    )


async def test_faults_in_anthropics_shape(sim: Client):
    async with sim.post("/v1/messages", json={**BODY, "x_sim": {"fault": "error_503"}}) as answer:
        assert answer.status == 503
        assert (await answer.json())["type"] == "error"


@pytest.mark.parametrize(("length", "reason"), [(200, "tool_use"), (8, "max_tokens")])
async def test_a_call_is_the_same_whole_and_streamed(sim: Client, length, reason):
    tool = {"name": "f", "input_schema": {"type": "object"}}
    asked = {"tools": [tool], "tool_choice": {"type": "any"}, "max_tokens": length}
    whole = json.loads(await ask(sim, **asked))
    [block] = whole["content"]
    assert (block["type"], block["name"], whole["stop_reason"]) == ("tool_use", "f", reason)
    told = events(await ask(sim, stream=True, **asked))
    said = "".join(e["delta"]["partial_json"] for e in told if e["type"] == "content_block_delta")
    if reason == "tool_use":
        assert json.loads(said) == block["input"]
    else:
        assert block["input"] == {}
    assert told[-2]["usage"]["output_tokens"] == whole["usage"]["output_tokens"]
    assert told[1]["content_block"] == {**block, "input": {}}
