"""Answers in JSON: as they came, or without what was said."""

import json

import pytest

from extproc.request import Kind
from extproc.safety.moderation.rules import Rule
from extproc.safety.moderation.whole import MOST_BYTES, ModeratedWhole
from tests.extproc.safety.moderation.answers import WORDS, Judge, bench, play

JUDGED = Rule("judged", service="judge")
USAGE = {"prompt_tokens": 1, "completion_tokens": 9}


def choice(index, text):
    message = {"role": "assistant", "content": text, "reasoning_content": None}
    return {"index": index, "message": message, "finish_reason": "stop"}


async def put(document, *rules, kind=Kind.CHAT, told=None, **options):
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    found = told if told is not None else []
    transform = ModeratedWhole(kind, bench(*rules, **options), found.append)
    half = len(raw) // 2
    return await play(transform, [raw[:half], b"", raw[half:]])


@pytest.mark.parametrize("rules", [(WORDS,), (JUDGED,), (WORDS, JUDGED)])
async def test_what_nothing_is_against_passes_as_it_came(rules):
    raw = b' {"choices": [ {"index":0,"message":{"content":"kill\\u0065r"}} ]}\n'
    assert await put(raw, *rules) == raw
    assert await put(b"not even JSON", *rules) == b"not even JSON"


@pytest.mark.parametrize(("rule", "text"), [(WORDS, "Kill them"), (JUDGED, "a bad thing")])
async def test_only_the_choice_that_a_rule_is_against_is_silent(rule, text):
    told = []
    document = {"id": "c", "choices": [choice(0, "fine"), choice(1, text)], "usage": USAGE}
    out = json.loads(await put(document, rule, told=told))
    assert out["choices"][0] == choice(0, "fine")
    silent = out["choices"][1]
    assert (silent["index"], silent["finish_reason"]) == (1, "content_filter")
    assert silent["message"] == {"role": "assistant", "content": "", "refusal": None}
    assert (out["usage"], out["id"]) == (USAGE, "c")
    assert out["x_headgate"] == {"stopped_by": rule.name}
    assert [each.rule for each in told] == [rule.name]


@pytest.mark.parametrize(
    ("kind", "document", "found"),
    [
        (Kind.COMPLETIONS, {"choices": [{"index": 0, "text": "kill them"}]}, "content_filter"),
        (Kind.MESSAGES, {"content": [{"type": "text", "text": "kill them"}]}, "refusal"),
        (Kind.RESPONSES, {"output": [{"content": [{"text": "kill them"}]}]}, "incomplete"),
        (
            Kind.RESPONSES,
            {
                "output": [{"content": [{"text": "kill them"}]}],
                "output_text": "kill them",
                "output_messages": [{"message": "kill them", "tokens": [1]}],
            },
            "incomplete",
        ),
        (Kind.CHAT, {"choices": [choice(0, '{"a": "\\u006bill\\nthem"}')]}, "content_filter"),
        (Kind.CHAT, {"message": "kill them"}, "content_blocked"),
        (Kind.CHAT, b"[kill them", "content_blocked"),
    ],
)
async def test_each_api_has_its_words(kind, document, found):
    out = await put(document, WORDS, kind=kind)
    assert b"kill" not in out
    assert found in out.decode()
    json.loads(out)


async def test_tags_change_nothing():
    told, document = [], {"choices": [choice(0, "kill them")]}
    rule = Rule("t", words=("kill them",), action="tag")
    assert json.loads(await put(document, rule, told=told)) == document
    assert [each.action for each in told] == ["tag"]


@pytest.mark.parametrize("on_fault", ["deny", "continue"])
async def test_a_service_that_does_not_judge(on_fault):
    document = {"choices": [choice(0, "fine")]}
    out = await put(document, JUDGED, judge=Judge(fault=True), on_fault=on_fault)
    assert ("content_filter" in out.decode()) == (on_fault == "deny")


async def test_one_that_is_too_long_to_be_held_is_not_shown():
    out = await put(b'{"choices":["' + b"x" * MOST_BYTES + b'"]}', WORDS)
    assert json.loads(out)["error"]["code"] == "content_blocked"
