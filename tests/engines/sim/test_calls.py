"""Which tool has to be called, in the words of each dialect; and calls in chats."""

import json

import pytest
from msgspec import Raw

from engines.sim.answer import Wish, compose, digest
from engines.sim.calls import forced_call, repeated
from engines.sim.refusal import RefusedError
from engines.sim.tokens import count

from .conftest import Client

FLAT = [{"type": "function", "name": "f"}, {"type": "function", "name": "g"}]
NESTED = [{"type": "function", "function": tool} for tool in FLAT]


def raw(value):
    return Raw() if value is None else Raw(json.dumps(value).encode())


@pytest.mark.parametrize("tools", [FLAT, NESTED])
@pytest.mark.parametrize(
    ("choice", "name"),
    [
        (None, ""),
        ("auto", ""),
        ("none", ""),
        ({"type": "auto"}, ""),
        ("required", "f"),
        ({"type": "any"}, "f"),
        ({"type": "function", "name": "g"}, "g"),
        ({"type": "function", "function": {"name": "g"}}, "g"),
        ({"type": "tool", "name": "g"}, "g"),
        ({"type": "tool"}, ""),
    ],
)
def test_which_tool(tools, choice, name):
    assert forced_call(raw(tools), raw(choice)) == name


@pytest.mark.parametrize("tools", [None, [], [{}], [{"type": "later"}]])
def test_without_a_named_tool_none_is_called(tools):
    assert forced_call(raw(tools), raw("required")) == ""


@pytest.mark.parametrize(
    ("tools", "choice", "param"),
    [("x", "auto", "body.tools"), (FLAT, 5, "body.tool_choice"), ([5], "auto", "body.tools.0")],
)
def test_what_is_no_tool(tools, choice, param):
    with pytest.raises(RefusedError) as refused:
        forced_call(raw(tools), raw(choice))
    assert refused.value.param == param


def test_what_is_repeated():
    [tool] = repeated(raw([{"type": "function", "name": "f", "later": 1}]))
    assert (tool.name, tool.type, bytes(tool.parameters)) == ("f", "function", b"null")
    assert repeated(Raw(b"null")) == []
    with pytest.raises(RefusedError):
        repeated(raw([{"name": "f"}]))


@pytest.mark.parametrize("limit", [1, 8, 1000])
def test_arguments_are_json_and_counted_by_hand(limit):
    words = compose(digest("x"), 0, limit, Wish(call="f"), "")
    text = "".join(words.pieces)
    assert words.call == "f"
    if words.finish_reason == "stop":
        assert json.loads(text)["say"]
        assert len(words.pieces) == count(text) + 1
    else:
        assert len(words.pieces) == limit


@pytest.mark.parametrize("n", [1, 2])
async def test_a_chats_call_is_the_same_whole_and_streamed(sim: Client, n):
    body = {
        "model": "tiny", "n": n, "tools": NESTED, "tool_choice": "required",
        "messages": [{"role": "user", "content": "hi"}],
    }  # fmt: skip
    async with sim.post("/v1/chat/completions", json=body) as answer:
        whole = await answer.json()
    async with sim.post("/v1/chat/completions", json={**body, "stream": True}) as answer:
        blocks = (await answer.text()).strip().split("\n\n")[:-1]
    for choice in whole["choices"]:
        assert choice["finish_reason"] == "tool_calls"
        [call] = choice["message"]["tool_calls"]
        told = [json.loads(block.removeprefix("data: "))["choices"][0] for block in blocks]
        mine = [each for each in told if each["index"] == choice["index"]]
        calls = [each["delta"]["tool_calls"][0] for each in mine if "tool_calls" in each["delta"]]
        assert (calls[0]["id"], calls[0]["function"]["name"]) == (call["id"], "f")
        said = "".join(each["function"].get("arguments", "") for each in calls)
        assert said == call["function"]["arguments"]
        assert mine[-1]["finish_reason"] == "tool_calls"
