"""Every text of a request is found, wherever it hides, and comes back where it was."""

import json
import time

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.dialects.texts import (
    JSON,
    KEY,
    MOST_DEPTH,
    Finder,
    TangledError,
    Text,
    find_texts,
    find_unreadable,
    with_texts,
    write_place,
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


LEAF = st.text(max_size=6)
VALUE = st.recursive(
    LEAF | st.integers(-(10**12), 10**12) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(LEAF, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def documents(draw, leaf=VALUE):
    """Valid or not: nothing of the form is relied upon."""
    part = st.fixed_dictionaries(
        {"type": st.sampled_from(["text", "tool_use", "tool_result", "image_url", "other"])},
        optional=dict.fromkeys(
            ("text", "content", "input", "image_url", "source", "thinking", "extra"), leaf
        ),
    )
    call = st.builds(
        lambda value: {"function": {"name": "f", "arguments": json.dumps(value)}}, leaf
    )
    message = st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "tool"])},
        optional={
            "content": st.lists(part, max_size=3) | leaf,
            "tool_calls": st.lists(call, max_size=2),
            "name": leaf,
        },
    )
    tool = st.fixed_dictionaries({"function": st.fixed_dictionaries({"parameters": leaf})})
    return {
        "model": "m",
        "messages": draw(st.lists(message, max_size=3)),
        "tools": draw(st.lists(tool, max_size=2)),
        **draw(st.dictionaries(st.sampled_from(["metadata", "user", "input", "x"]), leaf)),
    }


@settings(max_examples=60)
@given(documents())
def test_putting_back_what_was_found_changes_nothing(document):
    before = json.dumps(document)
    found = find_texts(Kind.CHAT, document)
    assert with_texts(document, {text.place: text.text for text in found}) == document
    assert json.dumps(document) == before
    assert len({text.place for text in found}) == len(found)


PLANTED = st.recursive(
    st.just(PLANT) | st.sampled_from(["", "x", 3, None]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "type", "text", PLANT, "enum", "default"]), inner)
    ),
    max_leaves=6,
)


@settings(max_examples=60)
@given(documents(PLANTED))
def test_whatever_is_planted_is_found_and_goes(document):
    found = find_texts(Kind.CHAT, document)
    changed = {
        text.place: text.text.replace(PLANT, "<gone>") for text in found if PLANT in text.text
    }
    assert PLANT not in json.dumps(with_texts(document, changed))


@settings(max_examples=60)
@given(documents())
def test_the_original_is_shared_where_it_does_not_change(document):
    document["user"] = PLANT
    made = with_texts(document, {("user",): "u"})
    assert made["user"] == "u"
    assert made["messages"] is document["messages"]


def test_a_long_number_becomes_a_text_and_its_neighbours_stay():
    document = chat(CALL)
    place = ("messages", 0, "tool_calls", 0, "function", "arguments", JSON, "n")
    made = with_texts(document, {place: "<PHONE>"})
    arguments = made["messages"][0]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(arguments) == {"to": "A@b.cd", "n": "<PHONE>", "k": 5}
    assert '": ' not in arguments


def test_names_of_members_are_renamed_in_their_order_and_none_is_lost():
    document = {"metadata": {"one": 1, "two": 2, "three": 3, "<x>": 4}}
    names = {("metadata", KEY, name): "<x>" for name in ("one", "three")}
    made = with_texts(document, names)["metadata"]
    assert list(made.items()) == [("<x>_2", 1), ("two", 2), ("<x>_3", 3), ("<x>", 4)]


@pytest.mark.parametrize(
    "arguments",
    ['{"a":"\\u0041@b.cd","a":"x"}', '{"a":"\\u0041@b.cd"', '{"a":"\\u0041@b.cd","b":NaN}'],
)
def test_what_is_no_sound_json_hides_nothing_either(arguments):
    call = {"function": {"name": "f", "arguments": arguments}}
    found = told(Kind.CHAT, chat({"role": "assistant", "tool_calls": [call]}))
    assert any("A@b.cd" in text for _, text in found)


def test_escapes_in_a_tools_result_hide_nothing():
    result = {"role": "tool", "content": json.dumps({"name": "\u738b\u5c0f\u660e"})}
    document = chat(result)
    found = find_texts(Kind.CHAT, document)
    assert found[-1].text == "\u738b\u5c0f\u660e"
    content = with_texts(document, {found[-1].place: "\u5f20"})["messages"][0]["content"]
    assert content == json.dumps({"name": "\u5f20"})


def test_half_a_surrogate_pair_stays_an_escape():
    document = chat({"role": "tool", "content": '{"a":"\\ud83d","b":"x"}'})
    place = find_texts(Kind.CHAT, document)[-1].place
    made = with_texts(document, {place: "y"})
    msgspec.json.encode(made)
    assert json.loads(made["messages"][0]["content"]) == {"a": "\ud83d", "b": "y"}


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


@pytest.mark.parametrize(
    ("place", "path"),
    [
        (("messages", 0, "content"), "messages[0].content"),
        (("a", JSON, "b", 2), "a.b[2]"),
        (("metadata", KEY, PLANT), "metadata"),
        (("metadata", PLANT), "metadata.*"),
        ((KEY, PLANT), "*"),
    ],
)
def test_paths_are_for_people_and_tell_no_values(place, path):
    assert write_place(place) == path
    assert repr(Text(place, "user", PLANT)) == f"Text({path}, user)"
