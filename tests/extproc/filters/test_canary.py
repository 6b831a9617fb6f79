"""Marks in the operator's own words, and answers that tell them."""

import json

from extproc.filter import AnswerMode
from extproc.filters.canary import Marked
from extproc.request import Kind
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


async def test_who_has_no_canary_pays_nothing():
    world = World({**CANARY, "tenants": ["acme"]})
    (watch,) = world.canaries
    other = await world.send(("user", "hi"), tenant="globex")
    assert other.find(Marked) is None
    assert watch.wish(other) is AnswerMode.NONE
    assert watch.transform(other) is None
    assert watch.wish(send(("user", "hi"), kind=Kind.EMBEDDINGS)) is AnswerMode.NONE
