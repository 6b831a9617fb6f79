"""The small model first: when, how, and whose answer it is in the end."""

import json
from math import exp, log

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.access import Access
from extproc.decision import Reply, Wait
from extproc.errors import AskError
from extproc.filters.cascade import Cascade, CascadeRule, confidence, geometric_mean
from extproc.request import Body, Cascaded, Identity, Kind, Model, Operation, Prompt
from tests.extproc.requests import TRACE, bare

RULE = CascadeRule("small", "1/1/1", "10/10/10", 0.8, 1000, 2.0)
USAGE = {"prompt_tokens": 600_000, "completion_tokens": 400_000}


def chat(*probabilities, finish="stop", usage=USAGE):
    listed = [{"token": "x", "logprob": log(each)} for each in probabilities]
    choice = {
        "index": 0, "finish_reason": finish, "logprobs": {"content": listed},
        "message": {"role": "assistant", "content": "yes"},
    }  # fmt: skip
    return {"id": "c1", "model": "s", "choices": [choice], "usage": usage}


def logprob(text):
    """An answer that has this for a logarithm."""
    return msgspec.json.encode(chat(0.25)).replace(str(log(0.25)).encode(), text)


class Door:
    """Implements `ports.Asker`."""

    def __init__(self, answer=None):
        self.answer, self.asked = answer, []

    async def ask(self, path, headers, body, within_s):
        self.asked.append((path, dict(headers), msgspec.json.decode(body), within_s))
        if self.answer is None:
            raise AskError("nobody there")
        return self.answer if isinstance(self.answer, bytes) else msgspec.json.encode(self.answer)


def asked(kind=Kind.CHAT, *, who=None, stream=False, n=1, model="large", **members):
    document = {"model": "large-served", "messages": [], **members}
    return (
        bare(
            path="/v1/chat/completions",
            headers={"authorization": "Bearer sk-1", "x-project-id": "p", "content-length": "9"},
        )
        .having(Operation(kind))
        .having(who or Identity("acme", "k1"))
        .having(Body(msgspec.json.encode(document)))
        .having(Prompt(document, model, stream=stream, n=n))
        .having(Model(model, "pool", "large-served"))
    )


async def run(door, request=None, rule=RULE):
    told = []
    cascade = Cascade({"large": rule}, Access(), door, lambda *what: told.append(what))
    decision = await cascade.decide(request or asked())
    if isinstance(decision, Wait):
        assert decision.most_s < 30
        decision = await decision.decide()
    return decision, told


async def test_a_sure_answer_is_the_answer():
    door = Door(chat(0.9, 0.95))
    reply, told = await run(door)
    assert isinstance(reply, Reply)
    answer = msgspec.json.decode(reply.body)
    assert answer["choices"][0]["message"]["content"] == "yes"
    assert answer["choices"][0]["logprobs"] is None
    assert reply.headers["x-headgate-model"] == "small"
    assert reply.headers["x-headgate-cascade"] == "kept; confidence=0.925"
    [(model, result, saved)] = told
    assert (model, result) == ("large", "kept")
    assert saved == pytest.approx(9.0)  # a million tokens at 10 dollars, less those at 1


async def test_it_is_asked_as_the_client_and_for_how_sure_it_is():
    door = Door(chat(0.9))
    await run(door)
    [(path, headers, body, within_s)] = door.asked
    assert path == "/v1/chat/completions"
    assert headers == {"authorization": "Bearer sk-1", "x-project-id": "p", "traceparent": TRACE}
    assert (body["model"], body["logprobs"], within_s) == ("small", True, 2.0)


async def test_whoever_asks_for_probabilities_gets_them():
    reply, _ = await run(Door(chat(0.9)), asked(logprobs=True, top_logprobs=2))
    assert msgspec.json.decode(reply.body)["choices"][0]["logprobs"]["content"]


@pytest.mark.parametrize(
    ("wanted", "sent", "is_told"),
    [(5, 5, True), (0, 0, True), (None, 1, False)],
    ids=["five", "of the tokens alone", "none"],
)
async def test_completions_ask_for_as_many_as_the_client_wants(wanted, sent, is_told):
    choice = {"finish_reason": "stop", "logprobs": {"token_logprobs": [log(0.9)]}, "text": "x"}
    door = Door({"choices": [choice], "usage": USAGE})
    reply, _ = await run(door, asked(Kind.COMPLETIONS, logprobs=wanted))
    [(_, _, body, _)] = door.asked
    assert body["logprobs"] == sent
    assert bool(msgspec.json.decode(reply.body)["choices"][0]["logprobs"]) is is_told


async def test_an_unsure_one_is_not():
    request, told = await run(Door(chat(0.5, 0.6)))
    assert request.fact(Model).name == "large"
    assert request.fact(Prompt).document["model"] == "large-served"
    assert request.witness()["cascade"] == "escalated; confidence=0.548"
    assert told == [("large", "escalated", pytest.approx(-1.0))]


@pytest.mark.parametrize(
    "answer",
    [
        *(None, b"no json", b"[]", {}, {"choices": []}, chat()),
        *(chat(0.99, finish=finish) for finish in ("content_filter", ["stop"])),
        *(logprob(text) for text in (b"1" + b"0" * 400, b'1.5e308},{"logprob":1.5e308')),
    ],
    ids=[
        *("nobody", "no json", "no object", "empty", "no choice", "no tokens"),
        *("not whole", "no reason", "no float", "no sum"),
    ],
)
async def test_without_an_answer_it_is_as_if_nobody_had_been_asked(answer):
    request, [(_, result, _)] = await run(Door(answer))
    assert result == "failed"
    assert request.fact(Cascaded).said == "failed"
    assert request.fact(Model).name == "large"


@pytest.mark.parametrize(
    "request_",
    [
        asked(stream=True),
        asked(n=2),
        asked(Kind.EMBEDDINGS),
        asked(Kind.RESPONSES),
        asked(tools=[{"type": "function"}]),
        asked(prompt="x" * 5000),
        asked(model="other"),
        asked(who=Identity("acme", "k1", models=frozenset({"large"}))),
    ],
    ids=["stream", "n", "embeddings", "responses", "tools", "long", "no rule", "may not"],
)
async def test_who_is_not_asked_for(request_):
    door = Door(chat(0.99))
    decision, told = await run(door, request_)
    assert decision is request_
    assert not door.asked
    assert not told


def test_completions_tell_it_in_their_own_way():
    choice = {"finish_reason": "length", "logprobs": {"token_logprobs": [log(0.5), log(0.5)]}}
    assert confidence(Kind.COMPLETIONS, {"choices": [choice]}) == pytest.approx(0.5)
    assert confidence(Kind.CHAT, {"choices": [choice]}) is None


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=20))
def test_the_mean_lies_among_what_it_is_of(probabilities):
    mean = geometric_mean([log(each) for each in probabilities])
    assert min(probabilities) * 0.999 <= mean <= max(probabilities) * 1.001
    assert geometric_mean([*map(log, probabilities), None]) is None
    assert exp(0) >= mean


async def test_counts_and_chances_that_cannot_be_are_none():
    usage = {"prompt_tokens": -5, "completion_tokens": 10**400}
    answer = logprob(b"1000").replace(msgspec.json.encode(USAGE), json.dumps(usage).encode())
    reply, told = await run(Door(answer))
    assert reply.headers["x-headgate-cascade"] == "kept; confidence=1.000"
    assert told == [("large", "kept", 0.0)]
