"""Marks in the operator's own words, and answers that tell them."""

import json

import pytest

from extproc.filter import AnswerMode
from extproc.filters.canary import Marked
from extproc.request import Body, Kind, Prompt
from extproc.safety.injection.canary import CUT, make_canary
from tests.extproc.filters.attacked import World, send, texts

CANARY = {"action": "tag", "canary": {"key": {"env": "K"}}}


async def test_a_canary_is_planted_and_found():
    world = World(CANARY)
    (watch,) = world.canaries
    request = await world.send(("system", "Be kind."), ("user", "hi"))
    mark = make_canary("a key", "acme")
    assert texts(request)[0].startswith("Be kind.")
    assert texts(request)[0].endswith(mark)
    assert watch.wish(request) is AnswerMode.STREAMED
    body = {"choices": [{"index": 0, "message": {"content": f"Sure: {mark}. And"}}]}
    transform = watch.transform(request)
    out = transform.feed(json.dumps(body).encode()) + transform.finish()
    assert json.loads(out)["choices"][0]["message"]["content"] == f"Sure: {CUT}"
    assert world.audit.records[-1].action == "firewall.leaked"
    assert world.meter.seen == [("leak", "assistant", "cut")]


@pytest.mark.parametrize("is_stream", [True, False])
async def test_what_engines_repeat_of_the_instructions_is_no_leak(is_stream):
    world = World(CANARY)
    (canary,) = world.canaries
    sent = {"model": "big", "input": "hi", "instructions": "Be kind."}
    request = send(kind=Kind.RESPONSES).having(Body(json.dumps(sent).encode()))
    # The operator's own words were put in front on the way.
    document = {**sent, "instructions": "Be secret.\n\nBe kind."}
    request = await canary.decide(request.having(Prompt(document, "big")))
    got = request.fact(Prompt).document["instructions"]
    assert make_canary("a key", "acme") in got

    def answer(instructions):
        told = {"id": "r", "instructions": instructions, "output": []}
        if not is_stream:
            return json.dumps(told).encode()
        event = {"type": "response.completed", "response": told}
        return f"data: {json.dumps(event)}\n\n".encode()

    watched = canary.transform(request)
    assert watched.feed(answer(got)) + watched.finish() == answer("Be kind.")
    assert (world.audit.records, world.meter.seen) == ([], [])


async def test_who_has_no_canary_pays_nothing():
    world = World({**CANARY, "tenants": ["acme"]})
    (watch,) = world.canaries
    other = await world.send(("user", "hi"), tenant="globex")
    assert other.find(Marked) is None
    assert watch.wish(other) is AnswerMode.NONE
    assert watch.transform(other) is None
    assert watch.wish(send(("user", "hi"), kind=Kind.EMBEDDINGS)) is AnswerMode.NONE
