"""Whose answers are freed of the operator's own words, and what looks through them afterwards."""

import json

import pytest

from audit.memory import MemoryAudit
from extproc.arrive import arrive
from extproc.filter import AnswerMode
from extproc.filters import Outside, build
from extproc.pipeline import Pipeline, pass_whole
from extproc.policy.models import Policy
from extproc.request import Body, Prompt
from extproc.stores.memory import MemoryEngines, MemoryJournal, MemoryMeter
from tests.extproc.filters.test_init import POLICY

OURS = "Ask ops@corp.example if in doubt."
SAID = [{"system_prompt": OURS}]
CANARY = [{"action": "tag", "canary": {"key": {"env": "K"}}}]


class World:
    """A pipeline of a model to which the operator says something, or that is marked."""

    def __init__(self, parameters=SAID, **sections):
        given = POLICY.model_dump(exclude_none=True)
        given["models"] = [{"name": "tiny", "pool": "p", "parameters": parameters}]
        policy = Policy.model_validate({**given, **sections}).at("v1")
        for each in policy.firewall:
            each.canary.key.found("a key")
        self.audit = MemoryAudit()
        outside = Outside(MemoryEngines({"p": ["a:1"]}), MemoryJournal(), audit=self.audit)
        self.pipeline = Pipeline(build(policy, outside), "v1", MemoryMeter())

    async def begin(self, path):
        pairs = [(":method", "POST"), (":path", path), ("authorization", "Bearer sk-1")]
        return (await self.pipeline.judge_head(arrive(pairs))).request

    async def send(self, sent, path="/v1/responses"):
        body = Body(json.dumps({"model": "tiny", **sent}).encode())
        judged = await self.pipeline.judge_body((await self.begin(path)).having(body))
        assert judged.stop is None
        return judged.request


def answer(instructions, text="ah", *, is_stream=False):
    output = [{"type": "message", "content": [{"type": "output_text", "text": text}]}]
    told = {"id": "r", "instructions": instructions, "output": output}
    if not is_stream:
        return json.dumps(told).encode()
    events = [
        {"type": "response.created", "response": {**told, "output": []}},
        {"type": "response.completed", "response": told},
    ]
    return b"".join(f"data: {json.dumps(each)}\n\n".encode() for each in events)


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize("sections", [{}, {"firewall": CANARY}])
@pytest.mark.parametrize(("sent", "shown"), [({"instructions": "Be kind."}, "Be kind."), ({}, "")])
async def test_the_clients_own_instructions_stand_there(sent, shown, sections, is_stream):
    world = World(**sections)
    request = await world.send({"input": "hi", "stream": is_stream, **sent})
    got = request.fact(Prompt).document["instructions"]
    assert got.startswith(OURS)
    raw = answer(got, is_stream=is_stream)
    out = await pass_whole(raw, world.pipeline.transforms(request))
    assert out == answer(shown, is_stream=is_stream)
    assert not world.audit.records


async def test_the_operators_words_are_no_text_of_the_caller():
    rules = {"rules": [{"types": ["email"], "action": "mask"}]}
    world = World(outbound=rules)
    request = await world.send({"input": "I am ann@home.example."})
    got = request.fact(Prompt).document["instructions"]
    raw = answer(got, "ann@home.example wrote to ops@corp.example")
    out = await pass_whole(raw, world.pipeline.transforms(request))
    assert out == answer("", "ann@home.example wrote to [EMAIL]")
    assert [each.action for each in world.audit.records] == ["outbound.masked"]


@pytest.mark.parametrize(
    ("parameters", "sections", "path", "mode"),
    [
        (SAID, {}, "/v1/responses", AnswerMode.STREAMED),
        ([], {"firewall": CANARY}, "/v1/responses", AnswerMode.STREAMED),
        (SAID, {}, "/v1/chat/completions", AnswerMode.NONE),
        ([{"defaults": {"top_k": 1}}], {}, "/v1/responses", AnswerMode.NONE),
    ],
)
async def test_who_is_told_nothing_of_ours_pays_nothing(parameters, sections, path, mode):
    world = World(parameters, **sections)
    assert world.pipeline.wish(await world.begin(path)) is mode


async def test_answers_without_any_are_let_alone():
    world = World([], firewall=[{**CANARY[0], "models": ["big"]}])
    request = await world.send({"input": "hi"})
    assert world.pipeline.transforms(request) == []
    world = World(firewall=CANARY)
    chat = {"messages": [{"role": "user", "content": "hi"}]}
    marked = await world.send(chat, "/v1/chat/completions")
    assert len(world.pipeline.transforms(marked)) == 1, "the mark is looked for, and no more"
