"""What streams are asked to tell, and what is taken out again."""

from dataclasses import replace

import pytest

from engines.base import VLLM
from extproc.filters.measure import Measure
from extproc.request import Kind, Model, Operation, Prompt, Strip
from tests.extproc.requests import BARE

PLAIN = replace(VLLM, name="plain", continuous_usage=False)


async def decide(document, pool="vllm", kind=Kind.CHAT, **facts):
    request = BARE.having(Operation(kind)).having(Model("m", pool, "m"))
    request = request.having(Prompt({"model": "m", **document}, "m", **facts))
    return await Measure({"vllm": VLLM, "plain": PLAIN}).decide(request), request


@pytest.mark.parametrize("document", [{}, {"stream": False}, {"stream": None}])
async def test_what_does_not_stream_is_left_alone(document):
    found, request = await decide(document)
    assert found is request


@pytest.mark.parametrize("kind", [Kind.RESPONSES, Kind.MESSAGES, Kind.COUNT_TOKENS])
async def test_streams_that_tell_by_themselves_are_left_alone(kind):
    found, request = await decide({"stream": True}, kind=kind, stream=True)
    assert found is request


async def test_text_completions_are_asked_too():
    found, _ = await decide({"stream": True}, kind=Kind.COMPLETIONS, stream=True)
    assert found.fact(Prompt).document["stream_options"] == BOTH


OFF, ON = {"include_usage": False}, {"include_usage": True}
BOTH = {"include_usage": True, "continuous_usage_stats": True}


@pytest.mark.parametrize(
    ("given", "wants", "continuous", "strip"),
    [
        (None, False, False, "usage"),
        ({}, False, False, "usage"),
        (OFF, False, False, "usage"),
        ({"continuous_usage_stats": True}, False, True, "usage"),
        (ON, True, False, "continuous"),
        ({**ON, "continuous_usage_stats": False}, True, False, "continuous"),
        (BOTH, True, True, None),
    ],
)
async def test_a_stream_tells_all_and_the_client_sees_what_it_asked_for(
    given, wants, continuous, strip
):
    document = {"stream": True, "stream_options": given}
    found, request = await decide(
        document, stream=True, wants_usage=wants, wants_continuous_usage=continuous
    )
    assert found.fact(Prompt).document == {"model": "m", "stream": True, "stream_options": BOTH}
    assert found.find(Strip) == (Strip(strip) if strip else None)
    assert request.fact(Prompt).document["stream_options"] == given, "facts do not change"


async def test_stream_options_may_be_absent_and_unknown_ones_stay():
    found, _ = await decide({"stream": True}, stream=True)
    assert found.fact(Prompt).document["stream_options"] == BOTH
    found, _ = await decide({"stream": True, "stream_options": {"later": [1]}}, stream=True)
    assert found.fact(Prompt).document["stream_options"] == {**BOTH, "later": [1]}


async def test_only_what_the_engine_understands_is_asked_for():
    found, _ = await decide({"stream": True}, pool="plain", stream=True)
    assert found.fact(Prompt).document["stream_options"] == ON
    assert found.fact(Strip) == Strip("usage")
