"""Prompts as one text: alike where conversations are, different where they differ."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.blocks import token_bytes
from extproc.dialects.canonical import LONG_CHARS, write_ids, write_prompt
from extproc.request import Kind

SYSTEM = {"role": "system", "content": "Be brief."}
HELLO = {"role": "user", "content": "hello"}
MUCH = 10**6


def write(kind, most=MUCH, **document):
    return write_prompt(kind, document, most)


@pytest.mark.parametrize(
    ("kind", "document", "text"),
    [
        (Kind.COMPLETIONS, {"prompt": "abc"}, b"abc"),
        (Kind.COMPLETIONS, {"prompt": ["abc", "def"]}, b"abc"),
        (Kind.COMPLETIONS, {"prompt": []}, b""),
        (Kind.COMPLETIONS, {"prompt": [1, 256]}, b"\1\0\0\0\0\1\0\0"),
        (Kind.COMPLETIONS, {"prompt": [[7], [8]]}, b"\7\0\0\0"),
        (Kind.CHAT, {"messages": [SYSTEM, HELLO]}, b"\x1esystem\x1fBe brief.\x1euser\x1fhello"),
        (Kind.MESSAGES, {"messages": [HELLO]}, b"\x1euser\x1fhello"),
        (Kind.RESPONSES, {"input": "hello"}, b"\x1e\x1fhello"),
        (
            Kind.RESPONSES,
            {"input": [HELLO], "instructions": "Be brief."},
            b"\x1esystem\x1fBe brief.\x1euser\x1fhello",
        ),
        (
            Kind.MESSAGES,
            {"messages": [HELLO], "system": [{"type": "text", "text": "Be brief."}]},
            b"\x1esystem\x1fBe brief.\x1euser\x1fhello",
        ),
    ],
)
def test_what_is_written(kind, document, text):
    assert write(kind, **document) == text


def test_texts_in_parts_are_texts():
    parts = [{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]
    assert write(Kind.CHAT, messages=[{"role": "user", "content": parts}]) == write(
        Kind.CHAT, messages=[HELLO]
    )


def picture(url):
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}, "x"]}


def test_pictures_count_by_what_they_are_and_are_not_kept():
    one, other = ("data:image/png;base64," + letter * LONG_CHARS for letter in "AB")
    texts = [write(Kind.CHAT, messages=[picture(url)]) for url in (one, other, one)]
    assert texts[0] != texts[1]
    assert texts[0] == texts[2]
    assert len(texts[0]) < 200
    assert b"https://x/y.png" in write(Kind.CHAT, messages=[picture("https://x/y.png")])


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f"}}]},
        {"role": "user", "content": "hello", "name": "ann"},
        {"role": "user", "content": None},
        {"role": "tool", "content": "hello", "tool_call_id": "1"},
        {"type": "function_call_output", "output": "hello"},
        "hello",
        ["hello"],
        {"role": "user", "content": ["hello"]},
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "x"}}]},
    ],
)
def test_whatever_makes_a_message_another_one_is_written(message):
    assert write(Kind.CHAT, messages=[message]) != write(Kind.CHAT, messages=[HELLO])


def test_tools_stand_first():
    tools = [{"type": "function", "function": {"name": "f"}}]
    text = write(Kind.CHAT, messages=[HELLO], tools=tools)
    assert text.startswith(json.dumps(tools, separators=(",", ":")).encode())
    assert text.endswith(write(Kind.CHAT, messages=[HELLO]))


MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system"]), "content": st.text()},
        optional={"name": st.text()},
    ),
    min_size=1,
    max_size=6,
)


@given(MESSAGES, MESSAGES)
def test_a_conversation_that_goes_on_begins_alike(messages, more):
    text = write(Kind.CHAT, messages=messages)
    assert write(Kind.CHAT, messages=[*messages, *more]).startswith(text)


@given(MESSAGES, st.integers(0, 50))
def test_no_more_is_written_than_asked_for(messages, most):
    text = write(Kind.CHAT, most, messages=messages)
    longest = max(len(str(each)) for each in messages)
    assert len(text) <= 4 * (most + longest + 20)
    assert write(Kind.CHAT, messages=messages).startswith(text)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
@pytest.mark.parametrize("depth", [100, 300, 500, 700, 900])
def test_a_conversation_is_written_up_to_what_is_nested_too_deeply(opening, closing, depth):
    """Parsers bear more than we do: what one of them has read may not fail here."""
    deep = msgspec.json.decode(opening * depth + "1" + closing * depth)
    messages = [HELLO, {"role": "user", "content": "x", "y": deep}, HELLO]
    text = write(Kind.CHAT, messages=messages)
    assert text.startswith(write(Kind.CHAT, messages=[HELLO]))


@given(st.lists(st.integers(0, 2**32 - 1)))
def test_token_ids_are_those_of_events(ids):
    assert write_ids(ids) == token_bytes(ids)


@pytest.mark.parametrize("ids", [[-1], [2**32], ["a"], [1.5], [None]])
def test_what_is_no_token_id_gives_nothing(ids):
    assert write_ids(ids) == b""
