"""Every text of a request is found, wherever it hides."""

import json
import time

import pytest

from extproc.dialects.texts import (
    MOST_DEPTH,
    Finder,
    TangledError,
    find_texts,
    find_unreadable,
)
from extproc.request import Kind

PLANT = "mona@example.org"


def told(kind, document):
    return [(text.speaker, text.text) for text in find_texts(kind, document)]


def chat(*messages, **members):
    return {"model": "m", "messages": list(messages), **members}


CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {
            "id": "call_abc",
            "type": "function",
            "function": {
                "name": "mail",
                "arguments": '{"to":"\\u0041@b.cd","n":13800138000,"k":5}',
            },
        }
    ],
}


@pytest.mark.parametrize(
    ("kind", "document", "found"),
    [
        (
            Kind.CHAT,
            chat({"role": "system", "content": "a"}, {"role": "user", "content": "b", "name": "c"}),
            [("system", "a"), ("user", "b"), ("user", "c")],
        ),
        (
            Kind.CHAT,
            chat({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"}]}),
            [("user", "a"), ("user", "b")],
        ),
        (
            Kind.CHAT,
            chat(CALL, {"role": "tool", "tool_call_id": "call_abc", "content": "c"}),
            [
                ("assistant", "mail"),
                ("assistant", "to"),
                ("assistant", "n"),
                ("assistant", "k"),
                ("assistant", "A@b.cd"),
                ("assistant", "13800138000"),
                ("tool", "c"),
            ],
        ),
        (
            Kind.CHAT,
            chat({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://u:p@h/x"}}]}),
            [("other", "https://u:p@h/x")],
        ),
        (
            Kind.CHAT,
            chat({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}),
            [],
        ),
        *(
            (
                Kind.CHAT,
                chat({"role": "user", "content": [{"type": name, name: url} for url in ("data:a/b;base64,AAAA", "https://u:p@h/x")]}),
                [("other", "https://u:p@h/x")],
            )
            for name in ("image_url", "audio_url", "video_url")
        ),
        (
            Kind.RESPONSES,
            {"model": "m", "input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]}]},
            [],
        ),
        (
            Kind.CHAT,
            chat(
                {"role": "user", "content": "a"},
                user="b",
                seed=13800138000,
                max_tokens=2147483647,
                metadata={"k": "d"},
                stop=["e"],
                strange=["f", 13800138000],
                documents=[{"text": "g"}],
            ),
            [
                ("user", "a"),
                ("other", "b"),
                ("other", "k"),
                ("other", "d"),
                ("other", "e"),
                ("other", "strange"),
                ("other", "f"),
                ("other", "13800138000"),
                ("tool", "text"),
                ("tool", "g"),
            ],
        ),
        (Kind.COMPLETIONS, {"model": "m", "prompt": ["a", "b"], "suffix": "c"}, [("user", "a"), ("user", "b"), ("user", "c")]),
        (Kind.EMBEDDINGS, {"model": "m", "input": "a"}, [("user", "a")]),
        (
            Kind.RESPONSES,
            {
                "model": "m",
                "instructions": "a",
                "input": [
                    {"role": "user", "content": [{"type": "input_text", "text": "b"}]},
                    {"type": "function_call", "call_id": "x", "name": "f", "arguments": '["c"]'},
                    {"type": "function_call_output", "call_id": "x", "output": "d"},
                ],
            },
            [("system", "a"), ("user", "b"), ("assistant", "f"), ("assistant", "c"), ("tool", "d")],
        ),
        (
            Kind.MESSAGES,
            {
                "model": "m",
                "max_tokens": 5,
                "system": [{"type": "text", "text": "a"}],
                "messages": [
                    {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"q": "b"}}]},
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "c"}]}]},
                    {"role": "user", "content": [{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"}}]},
                    {"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUFB"}}]},
                ],
            },
            [("system", "a"), ("assistant", "f"), ("assistant", "q"), ("assistant", "b"), ("tool", "c"), ("user", "d")],
        ),
        (Kind.COUNT_TOKENS, {"model": "m", "messages": [{"role": "user", "content": "a"}]}, [("user", "a")]),
    ],
)  # fmt: skip
def test_what_is_found(kind, document, found):
    assert sorted(told(kind, document)) == sorted(found)


def test_data_is_skipped_where_it_can_only_be_sound():
    sound = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    assert told(Kind.CHAT, chat({"role": "user", "content": [sound]})) == []
    source = {"type": "text", "media_type": "text/plain", "data": "a", "format": "wav"}
    document = {"type": "document", "source": source}
    assert ("user", "a") in told(Kind.MESSAGES, chat({"role": "user", "content": [document]}))


def test_definitions_of_tools():
    parameters = {
        "type": "object",
        "properties": {
            "to": {
                "type": "string",
                "description": "b",
                "enum": ["c"],
                "default": "d",
                "maximum": 10**9,
                "examples": [13800138000],
            }
        },
        "required": ["to"],
    }
    function = {"name": "f", "description": "a", "parameters": parameters}
    found = told(
        Kind.CHAT,
        chat(
            {"role": "user", "content": "x"},
            tools=[{"type": "function", "function": function}],
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "g", "schema": {"title": "e"}},
            },
        ),
    )
    assert sorted(found) == sorted(
        [("user", "x")]
        + [("definition", text) for text in ("f", "a", "to", "b", "c", "d", "13800138000", "to", "g", "e")]
    )  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    ['{"a":"\\u0041@b.cd","a":"x"}', '{"a":"\\u0041@b.cd"', '{"a":"\\u0041@b.cd","b":NaN}'],
)
def test_what_is_no_sound_json_hides_nothing_either(arguments):
    call = {"function": {"name": "f", "arguments": arguments}}
    found = told(Kind.CHAT, chat({"role": "assistant", "tool_calls": [call]}))
    assert any("A@b.cd" in text for _, text in found)


def test_ids_that_are_more_than_ids_are_texts():
    found = told(Kind.CHAT, chat({"role": "tool", "tool_call_id": PLANT, "content": "x"}))
    assert ("tool", PLANT) in found


@pytest.mark.parametrize(
    ("kind", "document", "name"),
    [
        (Kind.COMPLETIONS, {"prompt": [1, 2]}, "prompt"),
        (Kind.COMPLETIONS, {"prompt": ["a", [1, 2]]}, "prompt[1]"),
        (Kind.COMPLETIONS, {"prompt": "a", "prompt_embeds": "QUFB"}, "prompt_embeds"),
        (Kind.EMBEDDINGS, {"input": [[1]]}, "input[0]"),
        (Kind.EMBEDDINGS, {"input": ["a"]}, None),
        (Kind.CHAT, {"messages": []}, None),
        (Kind.CHAT, {"messages": [{"role": "user", "content": [{"type": "text"}]}]}, None),
        (
            Kind.CHAT,
            {
                "messages": [
                    {"role": "system", "content": "x"},
                    {
                        "role": "user",
                        "content": [{"type": "text"}, {"type": "prompt_embeds", "data": "QUFB"}],
                    },
                ]
            },
            "messages[1].content[1]",
        ),
    ],
)
def test_prompts_that_nobody_can_read(kind, document, name):
    assert find_unreadable(kind, document) == name


def nested(depth):
    value = "x"
    for _ in range(depth):
        value = [value]
    return value


def test_nesting_is_bounded():
    assert told(Kind.CHAT, {"x": nested(MOST_DEPTH - 1)})
    with pytest.raises(TangledError):
        find_texts(Kind.CHAT, {"x": nested(MOST_DEPTH)})
    with pytest.raises(TangledError):
        find_texts(Kind.CHAT, chat({"role": "tool", "arguments": json.dumps(nested(200))}))


def test_time_and_number_of_texts_are_bounded():
    document = {"x": [{"a": "b"}] * 30_000}
    begun = time.process_time()
    assert len(find_texts(Kind.CHAT, document)) == 60_001
    assert time.process_time() - begun < 5
    with pytest.raises(TangledError):
        Finder(most_steps=99).find_member((), "x", ["a"] * 50, "other", {})
