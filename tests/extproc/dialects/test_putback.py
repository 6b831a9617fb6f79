"""Whatever was found comes back where it was: changed, and nothing beside it."""

import json

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.dialects.place import JSON, KEY
from extproc.dialects.putback import with_texts
from extproc.dialects.texts import find_texts
from extproc.request import Kind
from tests.extproc.dialects.test_texts import CALL, PLANT, chat

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
