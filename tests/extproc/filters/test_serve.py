"""An answer that was kept, as it is given again."""

import json
from decimal import Decimal

import pytest

from extproc.cache.answer import Answer
from extproc.cache.eligible import Control
from extproc.cache.rules import CacheRule
from extproc.decision import Reply
from extproc.filters.serve import HEADER, POOL, Hit, Look, ServeHit, make_reply
from extproc.request import Body, Kind, Model, Prompt
from tests.extproc.requests import bare

ANSWER = Answer(Kind.CHAT, "Paris.", 9, 3)


def look(price="10//20", *, stream=False):
    request = (
        bare()
        .having(Body(b"{}"))
        .having(Prompt({"messages": []}, "m", stream=stream, wants_usage=stream))
        .having(Model("m", "p", "served", price=price))
    )
    return Look(request, CacheRule(bill=Decimal("0.5")), "key", Control())


@pytest.mark.parametrize("stream", [True, False])
def test_it_is_written_as_it_is_wanted(stream):
    reply = make_reply(look(stream=stream), ANSWER, "hit; kind=exact; age=1", 7)
    assert reply.headers[HEADER] == "hit; kind=exact; age=1"
    assert reply.headers["x-headgate-model"] == "m"
    assert ("event-stream" in reply.content_type) is stream
    if not stream:
        told = json.loads(reply.body)
        assert told["choices"][0]["message"]["content"] == "Paris."
        assert told["created"] == 7


@pytest.mark.parametrize(("price", "told"), [("10//20", {"price": "5//10"}), ("", {})])
def test_what_the_ledger_is_told(price, told):
    reply = make_reply(look(price), ANSWER, "hit", 7)
    assert reply.witness == {"cache": "hit", "pool": POOL, **told}
    assert reply.usage == {"prompt_tokens": 9, "completion_tokens": 3}


async def test_a_hit_is_given_and_others_go_on():
    request, reply = look().request, Reply(b"x", "text/plain")
    assert await ServeHit().decide(request) == request
    assert await ServeHit().decide(request.having(Hit(reply))) is reply
